//! Inclusion proofs, as a source hands them out.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{BatchId, StreamId};

/// `inclusion_proof`: ask a source to prove that an event is in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InclusionProofRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamId,
    /// The batch.
    pub batch_id: BatchId,
    /// The event's sequence number, within the batch's range.
    pub sequence: u64,
}

/// The path from an event's leaf to the batch's events root (VES v1).
///
/// The root does not commit to the number of leaves, so a verifier takes `event_count` from the chain
/// and also checks that the path is exactly `ceil(log2(event_count))` long and the index below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InclusionProof {
    /// The batch.
    pub batch_id: BatchId,
    /// The event's sequence number.
    pub sequence: u64,
    /// Hash of the signed event at its position.
    pub leaf: B256,
    /// `sequence - sequence_start`; bit d is 0 where the sibling at depth d is on the right.
    pub leaf_index: u64,
    /// Siblings, bottom-up.
    pub path: Vec<B256>,
    /// The root that the path leads to.
    pub events_root: B256,
}
