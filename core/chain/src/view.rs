//! The chain at one moment.

use std::fmt;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use set_types::Timestamp;

use crate::OpNodeView;

/// A block, by number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Timestamp, in seconds since 1970.
    pub timestamp: u64,
}

/// The newest block and what the next one will cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Head {
    /// The block.
    pub block: BlockRef,
    /// Hash of its parent.
    pub parent_hash: B256,
    /// Gas that the block may hold.
    pub gas_limit: u64,
    /// Gas that it used.
    pub gas_used: u64,
    /// Gas (or DA footprint) of a block above which the base fee rises.
    pub gas_target: u64,
    /// Its base fee, in wei per gas.
    pub base_fee: u128,
    /// Base fee of the next block, in wei per gas, as the node computes it (`eth_feeHistory`), so that
    /// Holocene's parameters and Jovian's minimum and footprint are counted in.
    pub next_base_fee: u128,
    /// Tip that the node suggests, in wei per gas (`eth_maxPriorityFeePerGas`); zero where it says nothing.
    pub suggested_tip: u128,
    /// The block's DA footprint in gas, where the chain counts one (Jovian, the header's `blobGasUsed`).
    pub da_footprint: Option<u64>,
    /// DA footprint gas per estimated byte, where the chain counts it (L1Block's `daFootprintGasScalar`).
    pub da_footprint_scalar: Option<u64>,
}

/// What the node said last, and whether it still answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainView {
    /// The newest block; `None` until the node answered once. Kept while the node is unreachable.
    pub latest: Option<Head>,
    /// The newest block whose data is on L1; `None` where the node names none.
    pub safe: Option<BlockRef>,
    /// The newest block that L1 finalized; `None` where the node names none.
    pub finalized: Option<BlockRef>,
    /// Whether the last poll was answered, by the chain that was asked for. Nothing is sent while it is false.
    pub reachable: bool,
    /// Why not, in words for the operator; never holds the endpoint's URL.
    pub error: Option<String>,
    /// The endpoint that answers, as scheme, host and port; `None` until one has.
    pub endpoint: Option<String>,
    /// Every endpoint, the preferred one first.
    pub endpoints: Vec<EndpointHealth>,
    /// op-node, where `safe` and `finalized` are its word; `None` where they are the node's own tags. Where it
    /// cannot be followed they stay as they are, or go where the node no longer has these blocks.
    pub op_node: Option<OpNodeView>,
    /// When the view last changed.
    pub updated: Timestamp,
}

/// One of the chain's nodes, as calls to it went last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointHealth {
    /// Scheme, host and port.
    pub endpoint: String,
    /// Why it is passed over, without its URL; `None` while it is well.
    pub error: Option<String>,
}

impl ChainView {
    /// A view from before the first answer.
    pub fn unknown() -> Self {
        Self {
            latest: None,
            safe: None,
            finalized: None,
            reachable: false,
            error: Some("the node has not answered yet".into()),
            endpoint: None,
            endpoints: Vec::new(),
            op_node: None,
            updated: Timestamp::now(),
        }
    }

    /// The newest block that is at least as settled as `tag`.
    pub fn settled(&self, tag: SettlementTag) -> Option<BlockRef> {
        match tag {
            SettlementTag::Included => self.latest.map(|head| head.block),
            SettlementTag::Safe => self.safe,
            SettlementTag::Finalized => self.finalized,
        }
    }
}

/// How settled a block is: a tag of the node, never a number of blocks on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettlementTag {
    /// In a block of the L2 (seconds). Only a devnet should rely on it.
    Included,
    /// Its data is on L1 (`safe`, minutes); an L1 reorg can still undo it.
    Safe,
    /// L1 finalized its data (`finalized`).
    Finalized,
}

impl fmt::Display for SettlementTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Included => "included",
            Self::Safe => "safe",
            Self::Finalized => "finalized",
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn head(number: u64, hash: B256, parent_hash: B256) -> Head {
        Head {
            block: BlockRef {
                number,
                hash,
                timestamp: 2 * number,
            },
            parent_hash,
            gas_limit: 30_000_000,
            gas_used: 0,
            gas_target: 15_000_000,
            base_fee: 1,
            next_base_fee: 1,
            suggested_tip: 0,
            da_footprint: None,
            da_footprint_scalar: None,
        }
    }
}
