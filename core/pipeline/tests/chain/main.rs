//! The pipeline with the real plugins, a real chain and the development sequencer.

#![allow(clippy::unwrap_used)]

mod accounts;
mod anchoring;
mod limits;
mod quarantine;
mod restarts;
mod rig;
