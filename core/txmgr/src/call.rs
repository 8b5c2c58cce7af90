//! What goes into the transaction manager, and what comes back.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Serialize, Serializer};
use set_chain::{BlockRef, SettlementTag};
use set_types::Log;

/// A call to be sent as one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The contract.
    pub to: Address,
    /// Calldata.
    pub data: Bytes,
    /// Wei to send along.
    pub value: U256,
    /// Gas limit of the whole transaction.
    pub gas_limit: u64,
}

/// Names a call in every event about it, whichever account sends it. Ids of one run of the program are
/// never those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallId {
    /// A call submitted in this run, counted from 0 over all accounts.
    Submitted(u64),
    /// A transaction that an earlier run signed and left. What it contains is for the chain to say:
    /// nobody in this run planned it.
    Recovered {
        /// The account that signed it.
        account: Address,
        /// Its nonce.
        nonce: u64,
    },
}

impl CallId {
    /// An id that no other call of this process has.
    pub(crate) fn next() -> Self {
        static SUBMITTED: AtomicU64 = AtomicU64::new(0);
        Self::Submitted(SUBMITTED.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether an earlier run signed it.
    pub const fn is_recovered(self) -> bool {
        matches!(self, Self::Recovered { .. })
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submitted(number) => write!(f, "{number}"),
            Self::Recovered { account, nonce } => write!(f, "recovered-{account:#x}-{nonce}"),
        }
    }
}

impl Serialize for CallId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What happened to a call. For one call they come in this order: `Sent`, once for each signed
/// version; `Included`; then either `Settled` or `Reorged`, and after the latter `Included` again.
/// `Superseded`, `Returned` or `Dropped` ends it early, and nothing follows the last `Settled`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxEvent {
    /// A signed version went out, or may have. After a replacement it comes again with another hash;
    /// any of the hashes can be the one that is included.
    Sent {
        /// The call.
        id: CallId,
        /// Its nonce.
        nonce: u64,
        /// The version's transaction hash.
        hash: B256,
    },
    /// In a block of the canonical chain.
    Included {
        /// The call.
        id: CallId,
        /// Its nonce.
        nonce: u64,
        /// The version that was included.
        hash: B256,
        /// The block.
        block: BlockRef,
        /// Whether it succeeded; `false`: it reverted or ran out of gas.
        succeeded: bool,
        /// Gas used.
        gas_used: u64,
        /// Its logs.
        logs: Vec<Log>,
    },
    /// Its block is no longer canonical; the same bytes are being sent again.
    Reorged {
        /// The call.
        id: CallId,
        /// Its nonce.
        nonce: u64,
        /// The version that had been included.
        hash: B256,
    },
    /// The chain settled its block at `tag`. The call is watched until [`watch_until`], and `Settled`
    /// comes once for each tag on the way; with `watch_until = "included"` it does not come at all.
    ///
    /// [`watch_until`]: crate::TxConfig::watch_until
    Settled {
        /// The call.
        id: CallId,
        /// The version that was included.
        hash: B256,
        /// `Safe` or `Finalized`.
        tag: SettlementTag,
        /// The block.
        block: BlockRef,
    },
    /// Another transaction used its nonce, so it can never be included: plan anew, from what the chain holds.
    Superseded {
        /// The call.
        id: CallId,
        /// The nonce.
        nonce: u64,
    },
    /// It was not sent and will not be, for no fault of its own: what it was planned for is over. Plan
    /// anew, from what the chain holds.
    Returned {
        /// The call.
        id: CallId,
        /// What changed.
        reason: &'static str,
    },
    /// The node refuses it for good, and it was never sent; its nonce goes to the next call.
    Dropped {
        /// The call.
        id: CallId,
        /// What the node or the signer said.
        reason: String,
    },
}

impl TxEvent {
    /// The call that it is about.
    pub const fn id(&self) -> CallId {
        match self {
            Self::Sent { id, .. }
            | Self::Included { id, .. }
            | Self::Reorged { id, .. }
            | Self::Settled { id, .. }
            | Self::Superseded { id, .. }
            | Self::Returned { id, .. }
            | Self::Dropped { id, .. } => *id,
        }
    }
}
