//! The plugin before the development sequencer, and before servers that are none.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod access;
mod fixture;
mod lists;
mod outages;
mod proofs;
mod reports;
mod strangers;
