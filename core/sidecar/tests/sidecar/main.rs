//! The program as its users run it: the real binary beside a real chain and the development sequencer.

#![allow(clippy::unwrap_used)]

mod anchoring;
mod command_line;
mod crashes;
mod restart;
mod serving;
mod stage;
mod watch;
