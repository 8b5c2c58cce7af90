//! Telling the source that a commitment is anchored.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::BatchId;

/// Where the chain holds a commitment. A report of it cannot be undone (the sequencer has no route
/// for that), so one is sent only at the settlement tag that the operator chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorReceipt {
    /// The commitment.
    pub batch_id: BatchId,
    /// Chain id of the L2.
    pub chain_id: u64,
    /// The transaction that committed it.
    pub tx_hash: B256,
    /// The L2 block of that transaction.
    pub block_number: u64,
    /// The commitment's share of the gas that the transaction used; left out where it is not known, because
    /// another run or another account sent it. It is never 0 in place of that: a source would keep the 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gas_used: Option<u64>,
}

/// `report`: tell the source about anchored commitments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRequest {
    /// One receipt per commitment.
    pub receipts: Vec<AnchorReceipt>,
}

/// The answer to `report`: one outcome for each receipt, in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportResponse {
    /// The outcomes.
    pub outcomes: Vec<ReportOutcome>,
}

/// What became of one report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportOutcome {
    /// The commitment.
    pub batch_id: BatchId,
    /// The result.
    #[serde(flatten)]
    pub status: ReportStatus,
}

/// The result of one report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ReportStatus {
    /// The source recorded it now.
    Recorded,
    /// The source had recorded the same hash before.
    AlreadyRecorded,
    /// The source holds another hash for this commitment. Final: repeating it changes nothing.
    Conflict {
        /// The hash that the source holds, where it tells.
        recorded: Option<B256>,
        /// What the source said.
        reason: String,
    },
    /// The source knows no such commitment, or refuses the report as malformed. Final.
    Refused {
        /// What the source said.
        reason: String,
    },
    /// Not recorded, or unknown whether it was: repeat with the same hash.
    Retry {
        /// Not before so many milliseconds, where the source says.
        after_ms: Option<u64>,
        /// What went wrong.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn gas_that_is_not_known_is_left_out() {
        let known = AnchorReceipt {
            batch_id: BatchId::default(),
            chain_id: 1,
            tx_hash: B256::ZERO,
            block_number: 7,
            gas_used: Some(46_000),
        };
        let unknown = AnchorReceipt {
            gas_used: None,
            ..known
        };
        let text = serde_json::to_value(known).unwrap();
        assert_eq!(text["gas_used"], json!(46_000));
        assert_eq!(serde_json::from_value::<AnchorReceipt>(text).unwrap(), known);
        let text = serde_json::to_value(unknown).unwrap();
        assert_eq!(text.get("gas_used"), None);
        assert_eq!(serde_json::from_value::<AnchorReceipt>(text).unwrap(), unknown);
    }
}
