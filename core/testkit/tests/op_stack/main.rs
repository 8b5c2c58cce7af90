//! The OP Stack on this machine, and the devnet that runs it.

// Clippy's exemption of tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

mod chain;
mod devnet;
