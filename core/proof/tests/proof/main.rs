//! Proofs of what a real chain holds, and what becomes of them when they are changed.
//!
//! With `SET_PROOF_VECTORS` in the environment, the chain's proofs are written to `vectors/proofs.json`, which the tests
//! without a chain read.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chain;
mod changes;
mod recorded;
