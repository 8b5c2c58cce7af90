//! Faults of the chain beside the real sidecar: op-geth, op-node and the limits that a batcher sets. Nothing is lost,
//! nothing is on chain twice, nothing is reported that is not safe, and whoever looks is told while it lasts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auditor;
mod elsewhere;
mod execution;
mod sequencing;
mod stage;
mod throttling;
