//! What is to be done outside the ledger, and what comes back.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use set_chain::ChainView;
use set_host::Judgement;
use set_index::{Anchored, QuarantineEntry, ReportConflict, Synced};
use set_txmgr::{CallId, TxEvent};
use set_types::{
    AnchorReceipt, BatchId, CandidateCall, Commitment, Exclusion, PollResponse, RecordedCommitment, ReportOutcome,
    SettleRequest, Settlement, StreamHead, StreamId, Subject,
};

use super::CallKey;

/// Something to be done. Each piece is answered by exactly one [`Event`].
#[derive(Debug)]
pub(crate) enum Work {
    /// Ask the source for its list.
    Poll {
        /// The number of this listing.
        listing: u64,
        /// Commitments, at most.
        limit: u32,
    },
    /// Ask the source for one stream past its list.
    ReadOn {
        stream: StreamId,
        /// Only what starts after this sequence.
        after: u64,
        limit: u32,
    },
    /// Ask the index which streams the chain knows.
    ListStreams {
        /// Only those behind this key.
        after: Option<B256>,
        limit: usize,
    },
    /// Read where streams stand on chain.
    ReadHeads { streams: Vec<StreamId> },
    /// Ask the chain what it holds under these ids.
    LookUp { batches: Vec<BatchId> },
    /// Check a commitment's events root against the source's proofs.
    Prove {
        commitment: Arc<Commitment>,
        /// How many of its events, from the first on, were proven before.
        proven: u32,
    },
    /// Ask the policies.
    Judge { subjects: Vec<Subject> },
    /// Have the submitter plan for an account; the answer is checked before it comes back.
    Plan {
        account: Address,
        commitments: Vec<Commitment>,
        heads: Vec<StreamHead>,
        /// Calls, at most.
        calls: u32,
    },
    /// Hand calls to an account's transaction manager, in this order, up to the first that it does not take.
    Submit {
        account: Address,
        calls: Vec<(CallKey, CandidateCall)>,
    },
    /// Ask the submitter what a mined transaction did.
    Settle {
        call: CallKey,
        /// Which inclusion of the call it is about.
        inclusion: u64,
        request: SettleRequest,
    },
    /// Ask the index where commitments are.
    Locate {
        batches: Vec<BatchId>,
        /// Their streams, in the same order.
        streams: Vec<StreamId>,
    },
    /// Tell the source.
    Report { receipts: Vec<AnchorReceipt> },
    /// Keep something durably.
    Record(Record),
}

/// Something to be kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) quarantine: Vec<QuarantineEntry>,
    pub(crate) release: Vec<BatchId>,
    pub(crate) conflicts: Vec<ReportConflict>,
    pub(crate) forget_conflicts: Vec<BatchId>,
    /// To be marked in the index.
    pub(crate) reported: Vec<BatchId>,
}

/// Something that did not work, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    /// Whether a plugin proposed what it must not.
    pub(crate) violation: bool,
    /// Whether a plugin refused, and will refuse the same again.
    pub(crate) permanent: bool,
}

impl Failure {
    pub(crate) fn new(message: impl std::fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            violation: false,
            permanent: false,
        }
    }
}

/// Why the source's proofs do not vouch for a commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProofFailure {
    /// A proof does not lead to the events root.
    Mismatch(String),
    /// The source gave no proof.
    Unavailable {
        reason: String,
        /// How many events, from the first on, are proven by now.
        proven: u32,
    },
}

/// A plan that passed every check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) calls: Vec<CandidateCall>,
    pub(crate) excluded: Vec<Exclusion>,
}

/// The answer to a report call.
pub(crate) type Report = Result<Vec<ReportOutcome>, Failure>;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The chain was polled.
    Chain(Arc<ChainView>),
    /// The index moved on.
    Indexed(Synced),
    /// The transaction manager says something.
    Tx(TxEvent),
    /// Answer to [`Work::Poll`].
    Polled {
        listing: u64,
        answer: Result<PollResponse, Failure>,
    },
    /// Answer to [`Work::ReadOn`].
    ReadOn {
        stream: StreamId,
        answer: Result<PollResponse, Failure>,
    },
    /// Answer to [`Work::ListStreams`]: keys, with ids where they are known.
    StreamsListed {
        after: Option<B256>,
        answer: Result<Vec<(B256, Option<StreamId>)>, Failure>,
    },
    /// Answer to [`Work::ReadHeads`].
    Heads {
        streams: Vec<StreamId>,
        answer: Result<Vec<StreamHead>, Failure>,
    },
    /// Answer to [`Work::LookUp`].
    LookedUp {
        batches: Vec<BatchId>,
        answer: Result<Vec<Option<RecordedCommitment>>, Failure>,
    },
    /// Answer to [`Work::Prove`].
    Proved {
        commitment: Arc<Commitment>,
        answer: Result<(), ProofFailure>,
    },
    /// Answer to [`Work::Judge`].
    Judged {
        asked: Vec<BatchId>,
        answer: Vec<Judgement>,
    },
    /// Answer to [`Work::Plan`].
    Planned {
        account: Address,
        asked: Vec<BatchId>,
        answer: Result<Plan, Failure>,
    },
    /// Answer to [`Work::Submit`]: one result for each call.
    Submitted {
        account: Address,
        results: Vec<(CallKey, Result<CallId, Failure>)>,
    },
    /// Answer to [`Work::Settle`].
    Outcomes {
        call: CallKey,
        inclusion: u64,
        answer: Result<Vec<Settlement>, Failure>,
    },
    /// Answer to [`Work::Locate`].
    Located {
        batches: Vec<BatchId>,
        answer: Result<Vec<Option<Anchored>>, Failure>,
    },
    /// Answer to [`Work::Report`].
    Reported { batches: Vec<BatchId>, answer: Report },
    /// Answer to [`Work::Record`].
    Recorded {
        record: Record,
        answer: Result<(), Failure>,
    },
}
