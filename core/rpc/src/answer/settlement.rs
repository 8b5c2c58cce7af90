//! How far Ethereum has settled a commitment, beyond the L2's own tags.

use alloy_primitives::{Address, B256, U64};
use serde::{Deserialize, Serialize};
use set_chain::{NumberedHash, SettlementTag};
use set_settlement::{Claim, ClaimStatus};

/// How settled a commitment is; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettlementLevel {
    /// In a block of the L2.
    Included,
    /// Its data is on L1.
    Safe,
    /// L1 finalized its data.
    Finalized,
    /// Finalized, and a dispute game that stands claims its block or a later one.
    Claimed,
    /// Finalized, and the defender has won that game.
    Resolved,
}

impl SettlementLevel {
    /// From the chain's own tag, and the game that claims the block. A game says nothing of whether the data is on L1
    /// for good, so it counts only for what is finalized.
    pub(crate) const fn new(tag: SettlementTag, claim: Option<&Claim>) -> Self {
        match (tag, claim) {
            (SettlementTag::Included, _) => Self::Included,
            (SettlementTag::Safe, _) => Self::Safe,
            (SettlementTag::Finalized, None) => Self::Finalized,
            (SettlementTag::Finalized, Some(claim)) if claim.status.is_resolved() => Self::Resolved,
            (SettlementTag::Finalized, Some(_)) => Self::Claimed,
        }
    }
}

/// A block of L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L1BlockAnswer {
    /// Number.
    pub number: U64,
    /// Hash.
    pub hash: B256,
}

impl From<NumberedHash> for L1BlockAnswer {
    fn from(block: NumberedHash) -> Self {
        Self {
            number: U64::from(block.number),
            hash: block.hash,
        }
    }
}

/// A dispute game on L1 that claims the commitment's block or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimAnswer {
    /// The game's proxy.
    pub game: Address,
    /// Its index in DisputeGameFactory.
    pub index: U64,
    /// Its type.
    pub game_type: U64,
    /// The output root that it claims, which is that of the node's own block.
    pub root_claim: B256,
    /// The L2 block that it claims it for.
    pub l2_block: U64,
    /// That block's hash.
    pub l2_block_hash: B256,
    /// When it was made, in seconds since 1970.
    pub created_at: U64,
    /// How it stands at L1's newest block.
    pub status: ClaimStatus,
    /// When it was resolved, in seconds since 1970; null before.
    pub resolved_at: Option<U64>,
}

impl From<Claim> for ClaimAnswer {
    fn from(claim: Claim) -> Self {
        Self {
            game: claim.game,
            index: U64::from(claim.index),
            game_type: U64::from(claim.game_type),
            root_claim: claim.root_claim,
            l2_block: U64::from(claim.l2_block.number),
            l2_block_hash: claim.l2_block.hash,
            created_at: U64::from(claim.created_at),
            status: claim.status,
            resolved_at: claim.resolved_at.map(U64::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use set_chain::BlockRef;

    use super::*;

    #[test]
    fn a_game_counts_once_the_block_is_final() {
        use SettlementLevel::{Claimed, Finalized, Included, Resolved, Safe};
        let claim = |status| Claim {
            game: Address::repeat_byte(1),
            index: 1,
            game_type: 0,
            root_claim: B256::repeat_byte(2),
            l2_block: BlockRef {
                number: 9,
                hash: B256::repeat_byte(3),
                timestamp: 18,
            },
            created_at: 20,
            status,
            resolved_at: None,
        };
        let (open, won) = (claim(ClaimStatus::InProgress), claim(ClaimStatus::Won));
        for (tag, claim, level) in [
            (SettlementTag::Included, Some(&won), Included),
            (SettlementTag::Safe, Some(&won), Safe),
            (SettlementTag::Finalized, None, Finalized),
            (SettlementTag::Finalized, Some(&open), Claimed),
            (SettlementTag::Finalized, Some(&won), Resolved),
        ] {
            assert_eq!(SettlementLevel::new(tag, claim), level);
        }
        assert!(Included < Safe && Safe < Finalized && Finalized < Claimed && Claimed < Resolved);
    }
}
