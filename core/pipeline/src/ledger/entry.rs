//! One commitment in memory.

use std::{sync::Arc, time::Instant};

use alloy_primitives::{Address, B256};
use set_chain::{BlockRef, SettlementTag};
use set_index::{QuarantineCause, StreamPosition};
use set_types::{BatchId, Commitment, Timestamp};

use crate::clock::{Backoff, Now};

/// Names a planned call; never used twice in a run.
pub(crate) type CallKey = u64;

/// One commitment on its way.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) commitment: Arc<Commitment>,
    pub(super) place: Place,
    /// Since when it is at its place, or has its standing.
    pub(super) since: Timestamp,
    /// Number of the listing that showed it first.
    pub(super) first_seen: u64,
    /// Number of the last listing that showed it.
    pub(super) last_seen: u64,
    /// What the source lists now, where that differs from `commitment`.
    pub(super) disputed: Option<String>,
    /// A fault that looking at heads cannot mend.
    pub(super) fault: Option<Fault>,
    /// What is known from asking the chain for its id.
    pub(super) lookup: Lookup,
    /// Whether the source's proofs were checked.
    pub(super) proofs: Proofs,
    /// How many events, from the first on, a check that was broken off had proven.
    pub(super) proven: u32,
    /// Times that it did not continue the head, without the head moving.
    pub(super) strikes: u32,
    /// Whether the contract refused it before: then it goes alone.
    pub(super) refused: bool,
    /// Whether the submitter could not plan it alone: then it is tried alone.
    pub(super) unplannable: bool,
    /// A pause after a failure that is not its fault.
    pub(super) pause: Backoff,
    /// Why it pauses.
    pub(super) pause_reason: String,
    /// A pause while the chain holds it and nobody knows in which transaction.
    pub(super) unlocated: Backoff,
    /// A transaction of this run that a reorg put into another block, and its share of that one's gas.
    pub(super) moved: Option<(B256, u64)>,
    /// Until when a policy's consent holds.
    pub(super) allowed_until: Option<Instant>,
    /// The hash of the first report that was tried: no other is ever sent.
    pub(super) claimed: Option<B256>,
    /// The hash that the source recorded.
    pub(super) recorded: Option<B256>,
}

/// Where a commitment is.
#[derive(Debug)]
pub(super) enum Place {
    /// In its stream's queue.
    Waiting(Standing),
    /// Handed to the submitter to plan for this account.
    Planning(Address),
    /// Part of a call that was planned, and whose outcome is not known.
    InFlight(CallKey),
    /// The chain holds it.
    OnChain(OnChain),
    /// The source recorded it.
    Reported {
        /// Where the chain holds it.
        anchor: Anchor,
        /// Since when.
        at: Instant,
    },
    /// The chain holds it and the source will not take the report: final.
    Closed {
        /// Where the chain holds it.
        anchor: Anchor,
        /// What the source said.
        reason: String,
    },
}

/// How a waiting commitment stands; worked out anew whenever its stream changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its stream's head is being read.
    Unknown,
    /// The chain is being asked for its id.
    LookingUp,
    /// The source's proofs are being checked.
    Proving,
    /// It can go.
    Ready,
    /// Something else must come first.
    Blocked(String),
    /// It failed for a reason that is not its own, and pauses.
    Paused(String),
    /// It cannot go as it is.
    Quarantined(QuarantineCause, String),
}

/// What is said of a commitment that is quarantined to those behind it.
pub(super) const QUARANTINED: &str = "is quarantined";

impl Standing {
    /// Whether it says what keeps the commitment back. That stands until a question about it is answered.
    pub(super) const fn is_verdict(&self) -> bool {
        matches!(self, Self::Blocked(_) | Self::Paused(_) | Self::Quarantined(..))
    }

    /// Whether it says no more than that something is asked.
    pub(super) const fn is_question(&self) -> bool {
        matches!(self, Self::Unknown | Self::LookingUp | Self::Proving)
    }
}

/// A fault that looking at heads cannot mend.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) cause: QuarantineCause,
    pub(super) reason: String,
    /// When it is checked again; `None`: only another content can mend it.
    pub(super) recheck: Option<Instant>,
}

/// What is known from asking the chain for a commitment's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// It was not asked, and need not be unless the head is past it.
    Unasked,
    /// It must be asked before anything else: another transaction may have committed it.
    Needed,
    /// It is being asked, as of this epoch of its stream's head.
    Running(u64),
    /// The chain did not hold it, as of this epoch of its stream's head.
    Absent(u64),
}

/// Whether the source's proofs were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proofs {
    /// Not yet.
    Unchecked,
    /// Being checked.
    Running,
    /// They lead to the events root, or nobody asks for them.
    Fine,
}

/// A commitment that the chain holds.
#[derive(Debug)]
pub(super) struct OnChain {
    /// Where; `None` until the index finds the transaction.
    pub(super) anchor: Option<Anchor>,
    /// When the chain, or the index, last said that it is there.
    pub(super) seen: Instant,
    /// How settled its block is, as far as confirmed.
    pub(super) settled: Option<SettlementTag>,
    pub(super) report: ReportStep,
    pub(super) backoff: Backoff,
    /// Why the last report did not get through.
    pub(super) reason: Option<String>,
}

/// Where the report of a commitment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportStep {
    /// Its block is not settled enough.
    NotYet,
    /// To be sent at this moment.
    Due(Instant),
    /// On its way.
    Running,
}

/// Where the chain holds a commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) tx_hash: B256,
    pub(super) block: BlockRef,
    /// Its share of the transaction's gas; `None` where this run did not send it.
    pub(super) gas_used: Option<u64>,
    /// The call of this run that committed it.
    pub(super) call: Option<CallKey>,
}

impl OnChain {
    /// Whether it only waits for its block to settle.
    pub(super) fn is_undisturbed(&self) -> bool {
        self.report == ReportStep::NotYet && self.reason.is_none() && self.backoff.is_clear()
    }
}

impl Entry {
    pub(super) fn new(commitment: Arc<Commitment>, listing: u64, prove: bool, now: Now) -> Self {
        let proofs = if prove { Proofs::Unchecked } else { Proofs::Fine };
        Self {
            proofs,
            ..Self::at_rest(commitment, listing, now.wall)
        }
    }

    /// One that was at rest, before it is known where.
    pub(super) fn at_rest(commitment: Arc<Commitment>, listing: u64, since: Timestamp) -> Self {
        Self {
            commitment,
            place: Place::Waiting(Standing::Unknown),
            since,
            first_seen: listing,
            last_seen: listing,
            disputed: None,
            fault: None,
            lookup: Lookup::Unasked,
            proofs: Proofs::Unchecked,
            proven: 0,
            strikes: 0,
            refused: false,
            unplannable: false,
            pause: Backoff::default(),
            pause_reason: String::new(),
            unlocated: Backoff::default(),
            moved: None,
            allowed_until: None,
            claimed: None,
            recorded: None,
        }
    }

    pub(super) fn batch_id(&self) -> BatchId {
        self.commitment.batch_id
    }

    pub(super) fn position(&self) -> StreamPosition {
        StreamPosition {
            sequence_start: self.commitment.sequence_start,
            batch_id: self.commitment.batch_id,
        }
    }

    /// Moves it to another place.
    pub(super) fn move_to(&mut self, place: Place, now: Now) {
        self.place = place;
        self.since = now.wall;
    }

    /// Puts it back into its stream's queue.
    pub(super) fn requeue(&mut self, lookup: bool, now: Now) {
        self.allowed_until = None;
        if lookup {
            self.lookup = Lookup::Needed;
        }
        self.move_to(Place::Waiting(Standing::Unknown), now);
    }

    /// What those behind it wait for while the chain or the source is asked about it: what it was said to be
    /// stands until there is an answer.
    pub(super) const fn asked(&self, question: &'static str) -> &'static str {
        match self.place {
            Place::Waiting(Standing::Quarantined(..)) => QUARANTINED,
            _ => question,
        }
    }

    /// The call that it is part of, whether or not that call is included.
    pub(super) fn call(&self) -> Option<CallKey> {
        match &self.place {
            Place::InFlight(call) => Some(*call),
            Place::OnChain(on_chain) => on_chain.anchor.and_then(|anchor| anchor.call),
            Place::Reported { anchor, .. } | Place::Closed { anchor, .. } => anchor.call,
            Place::Waiting(_) | Place::Planning(_) => None,
        }
    }
}
