//! `set_getInclusionProof`, `set_verifyInclusion`.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use set_types::BatchId;

use super::CommitmentAnswer;

/// A proof that an event is in a batch; checked before it is handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InclusionProofAnswer {
    /// The batch.
    pub batch_id: BatchId,
    /// The event's sequence number.
    pub sequence: u64,
    /// Hash of the signed event at its position.
    pub leaf: B256,
    /// Position of the leaf: `sequence - sequenceStart`.
    pub leaf_index: u64,
    /// Siblings, bottom-up.
    pub path: Vec<B256>,
    /// The root that the path leads to.
    pub events_root: B256,
    /// Number of events in the batch; a verifier takes it from the chain.
    pub event_count: u32,
    /// Whether the chain holds the batch, so that the contract verifies the proof too.
    pub anchored: bool,
    /// The batch, and where it is anchored.
    pub commitment: CommitmentAnswer,
}

/// Whether a leaf is in a batch: recomputed here, and asked of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyInclusionAnswer {
    /// The batch.
    pub batch_id: BatchId,
    /// Its root, by the registry.
    pub events_root: B256,
    /// Its number of events, by the registry.
    pub event_count: u32,
    /// Whether both agree that it is.
    pub valid: bool,
    /// Recomputed here, from the registry's root and count.
    pub recomputed: CheckAnswer,
    /// `SetRegistry.verifyInclusion`.
    pub on_chain: CheckAnswer,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckAnswer {
    /// Whether the leaf is in the batch.
    pub valid: bool,
    /// Why not, where that is known.
    pub reason: Option<String>,
}
