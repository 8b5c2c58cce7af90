//! op-node's RPC: what it derives from L1 (specification, "Rollup Node", "RPC").

use std::{sync::Arc, time::Duration};

use alloy::{
    rpc::client::{BatchRequest, RpcClient},
    transports::{RpcError, TransportError},
};
use alloy_primitives::{B256, U64};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use url::Url;

use crate::{
    BlockRef, ChainError,
    endpoint::{json_rpc, shown},
};

const SYNC_STATUS: &str = "optimism_syncStatus";
const SAFE_HEAD: &str = "optimism_safeHeadAtL1Block";
const ROLLUP_CONFIG: &str = "optimism_rollupConfig";
/// JSON-RPC's code for a method that the server does not have.
const METHOD_NOT_FOUND: i64 = -32601;

/// The way to an op-node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OpNode {
    client: RpcClient,
    endpoint: String,
}

/// How far op-node has come (`optimism_syncStatus`). What it does not know yet is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// The L1 block that it looks at; what was derived came from those before it.
    pub current_l1: Option<BlockRef>,
    /// L1's newest block, as it sees L1.
    pub head_l1: Option<BlockRef>,
    /// L1's newest finalized block.
    pub finalized_l1: Option<BlockRef>,
    /// The L2's newest block.
    pub unsafe_l2: Option<BlockRef>,
    /// The newest L2 block whose data is on L1.
    pub safe_l2: Option<BlockRef>,
    /// The newest L2 block whose data is in finalized L1 blocks.
    pub finalized_l2: Option<BlockRef>,
}

/// A block by number and hash, where no more is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NumberedHash {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
}

/// A step of the safe head (`optimism_safeHeadAtL1Block`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SafeHead {
    /// The L1 block with which the data of all blocks up to `safe_head` was complete.
    pub l1_block: NumberedHash,
    /// The safe L2 block from then on.
    pub safe_head: NumberedHash,
}

/// What op-node remembers of its safe head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SafeHeads {
    /// The step that was in force at each L1 block asked for; `None` before the first one it remembers.
    Kept(Vec<Option<SafeHead>>),
    /// It remembers none: it was started without `--safedb.path`.
    NotKept,
}

/// The chains that op-node is configured for (`optimism_rollupConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct RollupChains {
    /// Chain id of L1.
    #[serde(rename = "l1_chain_id")]
    pub l1: u64,
    /// Chain id of the L2.
    #[serde(rename = "l2_chain_id")]
    pub l2: u64,
}

/// As op-node writes it: values may be zeroed where they are not known yet.
#[derive(Debug, Deserialize)]
struct RawStatus {
    current_l1: BlockRef,
    head_l1: BlockRef,
    finalized_l1: BlockRef,
    unsafe_l2: BlockRef,
    safe_l2: BlockRef,
    finalized_l2: BlockRef,
}

impl From<RawStatus> for SyncStatus {
    fn from(raw: RawStatus) -> Self {
        let known = |block: BlockRef| (!block.hash.is_zero()).then_some(block);
        Self {
            current_l1: known(raw.current_l1),
            head_l1: known(raw.head_l1),
            finalized_l1: known(raw.finalized_l1),
            unsafe_l2: known(raw.unsafe_l2),
            safe_l2: known(raw.safe_l2),
            finalized_l2: known(raw.finalized_l2),
        }
    }
}

impl OpNode {
    /// Opens the way to the op-node at `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ChainError::Scheme`] for anything but HTTP, [`ChainError::Client`] if no client can be made.
    pub fn connect(url: &Url, timeout: Duration) -> Result<Self, ChainError> {
        Ok(Self {
            client: json_rpc(url, timeout)?,
            endpoint: shown(url),
        })
    }

    /// Scheme, host and port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How far it has come.
    ///
    /// # Errors
    /// [`ChainError::Rpc`] where it does not answer.
    pub async fn sync_status(&self) -> Result<SyncStatus, ChainError> {
        let raw = self.client.request_noparams::<RawStatus>(SYNC_STATUS).await;
        raw.map(SyncStatus::from)
            .map_err(|error| ChainError::rpc(SYNC_STATUS, &error))
    }

    /// The chains that it is configured for.
    ///
    /// # Errors
    /// [`ChainError::Rpc`] where it does not answer.
    pub async fn chains(&self) -> Result<RollupChains, ChainError> {
        let answer = self.client.request_noparams(ROLLUP_CONFIG).await;
        answer.map_err(|error| ChainError::rpc(ROLLUP_CONFIG, &error))
    }

    /// The steps of the safe head that were in force at these L1 blocks, in one round trip.
    ///
    /// # Errors
    /// [`ChainError::Rpc`] where it does not answer.
    pub async fn safe_heads(&self, l1_blocks: &[u64]) -> Result<SafeHeads, ChainError> {
        if l1_blocks.is_empty() {
            return Ok(SafeHeads::Kept(Vec::new()));
        }
        let rpc = |error: TransportError| ChainError::rpc(SAFE_HEAD, &error);
        let mut batch = BatchRequest::new(&self.client);
        let mut waiting = Vec::with_capacity(l1_blocks.len());
        for number in l1_blocks {
            let params = (U64::from(*number),);
            waiting.push(batch.add_call::<_, SafeHead>(SAFE_HEAD, &params).map_err(rpc)?);
        }
        batch.send().await.map_err(rpc)?;
        let mut steps = Vec::with_capacity(waiting.len());
        for answer in waiting {
            match answer.await {
                Ok(step) => steps.push(Some(step)),
                Err(RpcError::ErrorResp(error)) if error.message == "not found" => steps.push(None),
                Err(RpcError::ErrorResp(error))
                    if error.code == METHOD_NOT_FOUND || error.message.contains("not enabled") =>
                {
                    return Ok(SafeHeads::NotKept);
                }
                Err(error) => return Err(rpc(error)),
            }
        }
        Ok(SafeHeads::Kept(steps))
    }
}

/// What op-node said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpNodeView {
    /// Scheme, host and port.
    pub endpoint: String,
    /// How far it has come; kept while it does not answer.
    pub status: SyncStatus,
    /// Why it is not followed at present: it does not answer, or speaks of blocks that the node does not have. `None`
    /// while it is, and until it was asked first. Without the endpoint's URL.
    pub error: Option<String>,
}

impl OpNodeView {
    pub(crate) fn unknown(node: &OpNode) -> Self {
        Self {
            endpoint: node.endpoint.clone(),
            status: SyncStatus::default(),
            error: None,
        }
    }
}

/// Asks op-node every `poll` until nobody listens. It goes its own pace, so that an op-node that hangs keeps nobody
/// from seeing the head.
pub(crate) async fn follow(node: OpNode, poll: Duration, views: watch::Sender<Arc<OpNodeView>>) {
    let mut ticks = interval(poll);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = views.closed() => return,
            _ = ticks.tick() => {}
        }
        let answer = node.sync_status().await;
        views.send_if_modified(|view| {
            let next = match answer {
                Ok(status) => OpNodeView {
                    endpoint: node.endpoint.clone(),
                    status,
                    error: None,
                },
                Err(error) => OpNodeView {
                    error: Some(format!("op-node cannot be asked: {error}")),
                    ..OpNodeView::clone(view)
                },
            };
            let changed = next != **view;
            *view = Arc::new(next);
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_op_node_writes_and_takes_zeroes_for_nothing() {
        let zero = serde_json::json!({
            "hash": B256::ZERO, "number": 0, "parentHash": B256::ZERO, "timestamp": 0
        });
        let block = serde_json::json!({
            "hash": B256::repeat_byte(7), "number": 12, "parentHash": B256::ZERO, "timestamp": 1_763_000_000,
            "l1origin": { "hash": B256::ZERO, "number": 3 }, "sequenceNumber": 1
        });
        let status = serde_json::json!({
            "current_l1": block, "current_l1_finalized": zero, "head_l1": block, "safe_l1": zero,
            "finalized_l1": zero, "unsafe_l2": block, "safe_l2": block, "finalized_l2": zero,
            "pending_safe_l2": zero, "cross_unsafe_l2": zero, "local_safe_l2": zero
        });
        let status = SyncStatus::from(serde_json::from_value::<RawStatus>(status).unwrap());
        let found = BlockRef {
            number: 12,
            hash: B256::repeat_byte(7),
            timestamp: 1_763_000_000,
        };
        assert_eq!((status.safe_l2, status.current_l1), (Some(found), Some(found)));
        assert_eq!((status.finalized_l2, status.finalized_l1), (None, None));
    }
}
