//! The program as its users run it: the real binary beside a real chain and the development sequencer.

#![allow(clippy::unwrap_used)]

mod anchoring;
mod blocks;
mod command_line;
mod crashes;
mod disk;
mod money;
mod node;
mod ready;
mod registry;
mod reorgs;
mod restart;
mod rollup;
mod sequencer;
mod serving;
mod stage;
mod standby;
mod watch;
