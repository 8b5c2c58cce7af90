//! `set_status`.

use alloy_primitives::{B256, U64};
use serde::{Deserialize, Serialize};
use set_chain::{BlockRef, EndpointHealth, OpNodeView};

/// How everything is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusAnswer {
    /// The chain, as its node tells.
    pub chain: ChainAnswer,
    /// The index.
    pub index: IndexAnswer,
    /// The other parts, each with a member of its own: `network` (what is configured), `lease` (who sends),
    /// `pipeline`, `settlement` (how far L1 has settled the chain), and `txmgr` with one entry of `accounts` a sending account.
    #[serde(flatten)]
    pub parts: serde_json::Map<String, serde_json::Value>,
}

/// The chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainAnswer {
    /// Chain id of the L2.
    pub chain_id: U64,
    /// Whether the node answers, for the right chain.
    pub reachable: bool,
    /// Why not.
    pub error: Option<String>,
    /// The node that answers, as scheme, host and port.
    pub endpoint: Option<String>,
    /// Every node, the preferred one first.
    pub endpoints: Vec<EndpointAnswer>,
    /// The newest block.
    pub latest: Option<BlockAnswer>,
    /// The newest block whose data is on L1.
    pub safe: Option<BlockAnswer>,
    /// The newest block that L1 finalized.
    pub finalized: Option<BlockAnswer>,
    /// op-node, where `safe` and `finalized` are its word; null where they are the node's own tags.
    pub op_node: Option<OpNodeAnswer>,
}

/// op-node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpNodeAnswer {
    /// Scheme, host and port.
    pub endpoint: String,
    /// Why it is not followed; null while it is.
    pub error: Option<String>,
    /// The L1 block that it has come to.
    pub current_l1: Option<BlockAnswer>,
    /// L1's newest block, as it sees L1.
    pub head_l1: Option<BlockAnswer>,
    /// L1's newest finalized block, as it sees L1.
    pub finalized_l1: Option<BlockAnswer>,
}

impl From<&OpNodeView> for OpNodeAnswer {
    fn from(view: &OpNodeView) -> Self {
        Self {
            endpoint: view.endpoint.clone(),
            error: view.error.clone(),
            current_l1: view.status.current_l1.map(BlockAnswer::from),
            head_l1: view.status.head_l1.map(BlockAnswer::from),
            finalized_l1: view.status.finalized_l1.map(BlockAnswer::from),
        }
    }
}

/// One of the chain's nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointAnswer {
    /// Scheme, host and port.
    pub endpoint: String,
    /// Why it is passed over; null while it is well.
    pub error: Option<String>,
}

impl From<&EndpointHealth> for EndpointAnswer {
    fn from(health: &EndpointHealth) -> Self {
        Self {
            endpoint: health.endpoint.clone(),
            error: health.error.clone(),
        }
    }
}

/// The index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexAnswer {
    /// The last block followed.
    pub block: Option<BlockAnswer>,
    /// Blocks yet to be followed.
    pub lag: Option<u64>,
    /// Commitments in it; null while it cannot be read.
    pub commitments: Option<u64>,
    /// Streams in it; null while it cannot be read.
    pub streams: Option<u64>,
    /// Where it is kept, and whether it took the place of an unusable file.
    pub storage: String,
    /// What hinders it.
    pub error: Option<String>,
}

/// A block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockAnswer {
    /// Number.
    pub number: U64,
    /// Hash.
    pub hash: B256,
    /// Timestamp, in seconds since 1970.
    pub timestamp: U64,
}

impl From<BlockRef> for BlockAnswer {
    fn from(block: BlockRef) -> Self {
        Self {
            number: U64::from(block.number),
            hash: block.hash,
            timestamp: U64::from(block.timestamp),
        }
    }
}
