//! The transaction manager against op-geth.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../chain/fixture.rs"]
#[allow(dead_code, reason = "the tests on anvil use the rest of it")]
mod fixture;

mod delegated;
mod full_blocks;
mod pool;
mod prices;
mod restarts;
mod rig;
mod spending;
mod throttling;
