//! How much of a block a call takes.

use serde::Serialize;

use crate::Call;

/// Estimated compressed bytes of a signed transaction beside its calldata: signature, nonce, fees,
/// addresses. They are noise, so they hardly compress.
const ENVELOPE: u64 = 110;

/// What a block's two limits count of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallSize {
    /// Gas limit of the transaction.
    pub gas: u64,
    /// Estimated compressed bytes of the signed transaction (Fjord's FastLZ estimate). Times the chain's
    /// scalar, they are its DA footprint.
    pub estimated_bytes: u64,
}

impl CallSize {
    /// What the smallest useful call takes at most: one commitment, its stream opened by it. No limit
    /// that the manager sets by itself is lower, or nothing could be sent at all.
    pub(crate) const SMALLEST: Self = Self {
        gas: 500_000,
        estimated_bytes: 1_000,
    };

    /// Measures a call. It compresses the calldata, which takes about a millisecond for 100 kB.
    pub(crate) fn of(call: &Call) -> Self {
        Self {
            gas: call.gas_limit,
            estimated_bytes: set_chain::estimated_size(&call.data).saturating_add(ENVELOPE),
        }
    }

    pub(crate) fn map(self, side: impl Fn(u64) -> u64) -> Self {
        Self {
            gas: side(self.gas),
            estimated_bytes: side(self.estimated_bytes),
        }
    }

    pub(crate) fn zip(self, other: Self, side: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            gas: side(self.gas, other.gas),
            estimated_bytes: side(self.estimated_bytes, other.estimated_bytes),
        }
    }

    /// Whether it is about as large as `other`, or larger, on either side: what passes over the one
    /// passes over it too.
    pub(crate) const fn is_as_large_as(self, other: Self) -> bool {
        self.gas >= other.gas / 4 * 3 || self.estimated_bytes >= other.estimated_bytes / 4 * 3
    }

    /// Whether neither side exceeds `limit`.
    pub(crate) const fn fits(self, limit: Self) -> bool {
        self.gas <= limit.gas && self.estimated_bytes <= limit.estimated_bytes
    }
}
