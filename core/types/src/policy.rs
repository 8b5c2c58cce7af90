//! What a policy is asked and answers.

use alloy_primitives::{Address, U256};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BatchId, Commitment};

/// Something that a policy judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "subject", rename_all = "snake_case")]
pub enum Subject {
    /// A commitment that would be sent next.
    Commitment {
        /// The commitment.
        #[serde(flatten)]
        commitment: Box<Commitment>,
        /// What waits in its stream, itself included.
        backlog: StreamBacklog,
    },
    /// A sponsorship that a merchant asks for.
    Sponsorship(Sponsorship),
}

/// What waits in one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamBacklog {
    /// Commitments that are not in flight yet.
    pub commitments: u32,
    /// Their events, summed.
    pub events: u64,
    /// When the oldest of them was made.
    pub oldest: Timestamp,
}

/// A request to sponsor a merchant's gas through SetPaymaster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sponsorship {
    /// The merchant that receives the payment.
    pub merchant: Address,
    /// Amount in wei.
    pub amount: U256,
    /// SetPaymaster's operation type, 0 to 6.
    pub operation_type: u8,
}

/// What the core knows when it asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyContext {
    /// The core's clock.
    pub now: Timestamp,
    /// Fees at the head, or `None` while the chain cannot be reached.
    pub fees: Option<FeeContext>,
}

/// Fees at the chain's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeContext {
    /// Base fee of the next block, in wei per gas.
    pub base_fee: u128,
    /// Tip that the transaction manager would offer, in wei per gas.
    pub tip: u128,
}

/// `evaluate`: judge several subjects at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluateRequest {
    /// What to judge.
    pub subjects: Vec<Subject>,
    /// What the core knows.
    pub context: PolicyContext,
}

/// The answer to `evaluate`: one verdict for each subject, in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluateResponse {
    /// The verdicts.
    pub verdicts: Vec<Verdict>,
}

/// A policy's judgement. Policies form a chain; the first that is not `Allow` decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Go ahead, as far as this policy is concerned.
    Allow,
    /// Not now.
    Hold {
        /// When to ask again; `None`: at the next opportunity.
        until: Option<Timestamp>,
        /// Why, in terms of what the operator can change.
        reason: String,
    },
    /// Not as things are configured. A denied commitment waits, visibly, until the policy changes.
    Deny {
        /// Why, in terms of what the operator can change.
        reason: String,
    },
}

impl Verdict {
    /// Whether the verdict is [`Verdict::Allow`].
    pub const fn is_allow(&self) -> bool {
        matches!(self, Self::Allow)
    }
}

impl Subject {
    /// The commitment's id, where the subject is a commitment.
    pub const fn batch_id(&self) -> Option<BatchId> {
        match self {
            Self::Commitment { commitment, .. } => Some(commitment.batch_id),
            Self::Sponsorship(_) => None,
        }
    }
}
