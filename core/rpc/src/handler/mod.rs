//! The methods' bodies.

mod commitments;
mod inclusion;
mod overview;
mod settlement_proof;
mod streams;

pub(crate) use commitments::{get_commitment, list_commitments, pending_commitments};
pub(crate) use inclusion::{get_inclusion_proof, verify_inclusion};
pub(crate) use overview::{list_plugins, status, version};
pub(crate) use settlement_proof::get_settlement_proof;
pub(crate) use streams::get_stream_head;
