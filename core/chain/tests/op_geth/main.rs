//! The chain as op-geth and op-node serve it.
#![cfg(feature = "provider")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attributes;
mod deposits;
mod engine_port;
mod fees;
mod head;
mod rig;
mod subscription;
mod system_config;
