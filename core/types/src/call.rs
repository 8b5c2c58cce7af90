//! What a submitter is asked and answers: candidate calls out, outcomes back.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::{BatchId, Commitment, StreamHead, StreamId};

/// `plan`: turn commitments into calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// What to commit. A stream's commitments are adjacent, in order, and continue its head.
    pub commitments: Vec<Commitment>,
    /// One head for each stream named, with what is already in flight counted in.
    pub heads: Vec<StreamHead>,
    /// What one call may take.
    pub limits: CallLimits,
    /// The account that will send.
    pub from: Address,
}

/// Upper bounds for one candidate call, so that a block or a throttled batcher never passes it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLimits {
    /// Gas of the whole transaction (EIP-7825 caps it at 16,777,216).
    pub gas: u64,
    /// Bytes of the signed transaction (node pools take at most 131,072).
    pub bytes: u64,
    /// Estimated compressed bytes of the signed transaction (Fjord's FastLZ estimate).
    pub estimated_bytes: u64,
    /// DA footprint in gas: estimated bytes times the chain's scalar (Jovian); `None` where the chain counts none.
    pub da_footprint: Option<u64>,
    /// DA footprint gas per estimated byte, where the chain counts it.
    pub da_footprint_scalar: Option<u64>,
    /// At most so many calls; what does not fit stays for the next plan.
    pub calls: u32,
}

/// The answer to `plan`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanResponse {
    /// Calls, to be sent in this order.
    pub calls: Vec<CandidateCall>,
    /// Commitments that this submitter can't express, each with its reason; they are quarantined.
    #[serde(default)]
    pub excluded: Vec<Exclusion>,
}

/// A call that a submitter proposes. The core checks it against the plugin's allow-list (address,
/// selector, value), then signs and sends it; the plugin sees neither key nor nonce nor gas price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateCall {
    /// The contract.
    pub to: Address,
    /// Calldata.
    pub data: Bytes,
    /// Wei to send along.
    pub value: U256,
    /// Gas limit that is surely enough, for the whole transaction.
    pub gas_limit: u64,
    /// The commitments inside, in the order in which the call settles them.
    pub batches: Vec<BatchId>,
}

/// A commitment that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// The commitment.
    pub batch_id: BatchId,
    /// Why.
    pub reason: String,
}

/// A log as `eth_getLogs` or a receipt holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The contract that emitted it.
    pub address: Address,
    /// Topics.
    pub topics: Vec<B256>,
    /// Data.
    pub data: Bytes,
}

/// `settle`: say what a mined transaction did to its commitments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleRequest {
    /// The call as it was planned.
    pub call: CandidateCall,
    /// Whether the transaction succeeded.
    pub succeeded: bool,
    /// Gas that the transaction used.
    pub gas_used: u64,
    /// Block that holds it.
    pub block_number: u64,
    /// The account that sent it.
    pub from: Address,
    /// The receipt's logs.
    pub logs: Vec<Log>,
}

/// The answer to `settle`: one settlement for each of the call's batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleResponse {
    /// The settlements.
    pub settlements: Vec<Settlement>,
}

/// What a mined transaction did to one commitment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The commitment.
    pub batch_id: BatchId,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: SettleOutcome,
}

/// The outcome of one commitment inside a mined transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum SettleOutcome {
    /// This transaction committed it.
    Committed,
    /// The chain held it already, with the same content.
    AlreadyCommitted,
    /// The chain holds this id with other content: an alarm, never repeated by itself.
    Conflict {
        /// What differs.
        reason: String,
    },
    /// It does not continue the stream's head (a gap, another state root): plan anew from the chain.
    OutOfOrder {
        /// What the contract said.
        reason: String,
    },
    /// The contract refuses it as it is: quarantine.
    Refused {
        /// What the contract said.
        reason: String,
    },
    /// The contract takes nothing from anybody at present (paused): hold everything.
    Unavailable {
        /// What the contract said.
        reason: String,
    },
    /// The contract takes nothing from the account that sent it (not authorised): hold that account; others
    /// may go on.
    NotAuthorised {
        /// What the contract said.
        reason: String,
    },
    /// The contract takes the stream from one other account alone: plan it for that one.
    Bound {
        /// The account.
        account: Address,
        /// What the contract said.
        reason: String,
    },
    /// The transaction failed for a reason that is not the commitment's (out of gas): plan anew.
    Retry {
        /// What happened.
        reason: String,
    },
}

/// `heads`: where do these streams stand on chain?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsRequest {
    /// The streams.
    pub streams: Vec<StreamId>,
    /// The block to read at; `None`: the latest.
    #[serde(default)]
    pub at_block: Option<B256>,
}

/// The answer to `heads`: one head for each stream, in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsResponse {
    /// The heads.
    pub heads: Vec<StreamHead>,
}

/// `lookup`: what does the chain hold under these ids?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupRequest {
    /// The ids.
    pub batches: Vec<BatchId>,
    /// The block to read at; `None`: the latest.
    #[serde(default)]
    pub at_block: Option<B256>,
}

/// The answer to `lookup`: one entry for each id, in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupResponse {
    /// What is recorded, or `None` where nothing is.
    pub records: Vec<Option<RecordedCommitment>>,
}

/// A commitment as the contract keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCommitment {
    /// The commitment.
    pub batch_id: BatchId,
    /// Root of the batch's event tree.
    pub events_root: B256,
    /// State root before the batch, where the contract keeps it.
    pub prev_state_root: Option<B256>,
    /// State root after the batch.
    pub new_state_root: B256,
    /// First sequence number.
    pub sequence_start: u64,
    /// Last sequence number.
    pub sequence_end: u64,
    /// Number of events.
    pub event_count: u32,
    /// Timestamp of the block that committed it, in seconds since 1970.
    pub timestamp: u64,
}

impl RecordedCommitment {
    /// Whether the chain holds exactly what the source says. The contract keeps no stream beside a
    /// record, so equality is of roots and range; that is all it can mean.
    pub fn matches(&self, commitment: &Commitment) -> bool {
        self.batch_id == commitment.batch_id
            && self.events_root == commitment.events_root
            && self.new_state_root == commitment.new_state_root
            && self.sequence_start == commitment.sequence_start
            && self.sequence_end == commitment.sequence_end
            && self.event_count == commitment.event_count
            && self
                .prev_state_root
                .is_none_or(|root| root == commitment.prev_state_root)
    }
}

/// `log_filter`: which logs tell that commitments were made, by whomever. The core follows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFilter {
    /// Contracts to follow.
    pub addresses: Vec<Address>,
    /// Values for topic 0; any of them.
    pub topics: Vec<B256>,
    /// First block that can hold such a log, where the submitter knows.
    pub from_block: Option<u64>,
}

/// `decode`: read logs that the filter matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodeRequest {
    /// The logs, in chain order.
    pub logs: Vec<Log>,
}

/// The answer to `decode`: what each log says, by its position in the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodeResponse {
    /// Commitments that were made.
    pub committed: Vec<CommittedLog>,
    /// Streams that were seen for the first time, with their ids in clear.
    #[serde(default)]
    pub opened: Vec<StreamOpened>,
}

/// A log that says: this commitment was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedLog {
    /// Position of the log in the request.
    pub log: usize,
    /// The commitment.
    pub batch_id: BatchId,
    /// The stream's key (see [`StreamId::key`]); the log does not hold the ids.
    pub stream_key: B256,
    /// Root of the batch's event tree.
    pub events_root: B256,
    /// State root after the batch.
    pub new_state_root: B256,
    /// First sequence number.
    pub sequence_start: u64,
    /// Last sequence number.
    pub sequence_end: u64,
    /// Number of events.
    pub event_count: u32,
}

/// A log that says: this stream was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOpened {
    /// Position of the log in the request.
    pub log: usize,
    /// The stream's key.
    pub stream_key: B256,
    /// Its ids.
    #[serde(flatten)]
    pub stream: StreamId,
}
