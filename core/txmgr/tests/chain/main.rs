//! The transaction manager against a real chain process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod fixture;
mod reorgs;
mod replacement;
mod restarts;
mod sending;
