//! What an operator does with a sidecar: check it against the real chain and sequencer, change it while it runs,
//! and exchange its keys.

#![allow(clippy::unwrap_used)]

mod check_online;
mod desk;
mod reload;
mod rotation;
mod sponsorship;
