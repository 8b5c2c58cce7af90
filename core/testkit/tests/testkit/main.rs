//! Each part against the real thing: real HTTP, a real chain, real processes.

// Clippy's exemption of tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

mod anchoring_api;
mod anvil;
mod client;
mod faults;
mod process;
mod program;
mod rpc_proxy;
