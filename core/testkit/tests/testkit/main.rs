//! Each part against the real thing: real HTTP, a real chain, real processes.

mod anchoring_api;
mod anvil;
mod client;
//mod faults;
//mod process;
//mod program;
//mod rpc_proxy;
