//! The transaction manager against a real chain process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod faults;
mod fixture;
mod lease;
mod nonces;
mod passed_over;
mod reorgs;
mod replacement;
mod restarts;
mod sending;
mod settings;
mod spending;
