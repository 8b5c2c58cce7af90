//! The program beside a real OP Stack chain.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asking;
mod check;
mod faults;
mod settlement;
