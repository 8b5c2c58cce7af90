//! Where a commitment stands between the source's list and the report back to it.

use alloy_primitives::B256;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BatchId, Commitment, StreamId};

/// A step in a commitment's life, in the order in which they come. The last four can be undone by a
/// reorg until the chain finalizes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Listed by the source; not looked at yet, or waiting for its turn in the stream.
    Found,
    /// A policy holds or denies it, or the whole submitter is on hold.
    Held,
    /// It does not continue its stream: an earlier commitment is missing, or is itself stuck.
    Blocked,
    /// It cannot be anchored as it stands; its stream waits. The reason says what is wrong.
    Quarantined,
    /// Part of a planned call that has no transaction yet.
    Planned,
    /// Part of a signed transaction that was sent, or may have been.
    Sent,
    /// In a block of the L2.
    Included,
    /// In a block whose data is on L1 (the `safe` tag).
    Safe,
    /// In a block that L1 finalized (the `finalized` tag).
    Finalized,
    /// The source recorded the anchor.
    Reported,
}

/// A commitment on its way, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingCommitment {
    /// The commitment.
    #[serde(flatten)]
    pub commitment: Commitment,
    /// Where it stands.
    pub stage: Stage,
    /// Why it is not further, in terms of what the operator can change; `None` where nothing hinders it.
    pub reason: Option<String>,
    /// Since when it stands there.
    pub since: Timestamp,
    /// Its transaction, once there is one.
    pub tx_hash: Option<B256>,
    /// The L2 block of that transaction, once it is included.
    pub block_number: Option<u64>,
}

/// A place in the list of pending commitments, which is ordered by stream, then by sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingCursor {
    /// The stream.
    pub stream: StreamId,
    /// First sequence number of the commitment.
    pub sequence_start: u64,
    /// The commitment.
    pub batch_id: BatchId,
}

impl From<&PendingCommitment> for PendingCursor {
    fn from(pending: &PendingCommitment) -> Self {
        Self {
            stream: pending.commitment.stream(),
            sequence_start: pending.commitment.sequence_start,
            batch_id: pending.commitment.batch_id,
        }
    }
}
