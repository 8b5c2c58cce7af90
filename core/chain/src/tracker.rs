//! Following the head: one round trip a poll.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    providers::Provider,
    rpc::{
        client::{BatchRequest, Waiter},
        json_rpc::{RpcRecv, RpcSend},
        types::FeeHistory,
    },
    transports::{RpcError, TransportResult},
};
use alloy_primitives::{Address, B256, Bytes, U64, U128, address};
use serde_json::json;
use set_types::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    BlockRef, ChainError, ChainView, Head, L2Provider, OpNode, OpNodeView,
    failover::{Failover, MAX_BEHIND},
    fee_market::gas_target,
    lineage::{Lineage, Progress},
    op_node,
    settled_tags::SettledTags,
};

/// The L1 attributes predeploy of every OP Stack chain (specification, "Predeploys").
const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// Selector of `daFootprintGasScalar()` (specification, Jovian, "L1Block").
const DA_FOOTPRINT_GAS_SCALAR: [u8; 4] = [0xfe, 0x3d, 0x57, 0x10];
/// A scalar of zero stands for this one (specification, Jovian, "DA footprint block limit").
const DEFAULT_DA_FOOTPRINT_GAS_SCALAR: u64 = 400;

type Block = <op_alloy::network::Optimism as alloy::network::Network>::BlockResponse;

/// Follows a chain.
///
/// Gives the view, and the future that keeps it up to date; run it as a task. It polls every
/// `poll`, each time in one JSON-RPC batch, wakes the view's readers only when something changed,
/// and ends when the last reader is gone. A node that fails, serves another chain than
/// `expected_chain_id` or is behind makes the view unreachable, with the reason in it; polling goes on.
///
/// The head goes back only with a reorg: while a node names a block that the chain had before, the view
/// keeps its head. Beside the polls, nodes that are not in use are looked at, so that calls return to the
/// preferred one.
pub fn track(
    provider: L2Provider,
    expected_chain_id: u64,
    poll: Duration,
) -> (watch::Receiver<Arc<ChainView>>, impl Future<Output = ()> + Send) {
    track_beside(provider, None, expected_chain_id, poll)
}

/// Follows a chain as [`track`] does, with op-node's word for what is safe and finalized, where there is one.
///
/// op-node is asked beside the node, and counts only for blocks that the node has ([`ChainView::op_node`]).
pub fn track_beside(
    provider: L2Provider,
    op_node: Option<OpNode>,
    expected_chain_id: u64,
    poll: Duration,
) -> (watch::Receiver<Arc<ChainView>>, impl Future<Output = ()> + Send) {
    let (views, receiver) = watch::channel(Arc::new(ChainView::unknown()));
    let nodes = Failover::of(&provider);
    let (told, asking) = match op_node {
        Some(node) => {
            let (sender, told) = watch::channel(Arc::new(OpNodeView::unknown(&node)));
            (Some(told), Some(op_node::follow(node, poll, sender)))
        }
        None => (None, None),
    };
    let tracker = Tracker {
        provider,
        nodes: nodes.clone(),
        chain_id: expected_chain_id,
        lineage: Lineage::default(),
        op_node: told,
        views,
    };
    let asking = async move {
        match asking {
            Some(asking) => asking.await,
            None => std::future::pending().await,
        }
    };
    let watching = async move {
        match nodes {
            Some(nodes) => nodes.watch().await,
            None => std::future::pending().await,
        }
    };
    let tracking = async move {
        tokio::select! {
            () = tracker.run(poll) => {}
            () = asking => {}
            () = watching => {}
        }
    };
    (receiver, tracking)
}

struct Tracker {
    provider: L2Provider,
    nodes: Option<Failover>,
    chain_id: u64,
    lineage: Lineage,
    /// What op-node says, where it is asked.
    op_node: Option<watch::Receiver<Arc<OpNodeView>>>,
    views: watch::Sender<Arc<ChainView>>,
}

impl Tracker {
    async fn run(mut self, poll: Duration) {
        let mut ticks = interval(poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.views.closed() => return,
                _ = ticks.tick() => {}
            }
            let told = self.op_node.as_ref().map(|told| Arc::clone(&told.borrow()));
            let op_node = told.as_deref().map(|told| SettledTags::new(told, &self.views.borrow()));
            let asked = Instant::now();
            let answer = read(&self.provider, self.chain_id, op_node).await;
            self.publish(asked, answer, told.as_deref());
        }
    }

    /// Puts the answer to what was asked at `asked` into the view, and wakes readers if it says anything new.
    fn publish(&mut self, asked: Instant, answer: Result<Answer, ChainError>, told: Option<&OpNodeView>) {
        let contradiction = answer.as_ref().ok().and_then(|answer| answer.contradiction.clone());
        let last = Arc::clone(&self.views.borrow());
        let mut next = match answer.and_then(|answer| self.take(asked, answer, &last)) {
            Ok(view) => view,
            Err(error) => {
                if let (ChainError::OtherChain { .. }, Some(nodes)) = (&error, &self.nodes) {
                    nodes.distrust(&error.to_string());
                }
                metrics::counter!("set_chain_poll_failures_total").increment(1);
                ChainView {
                    reachable: false,
                    error: Some(error.to_string()),
                    ..last.as_ref().clone()
                }
            }
        };
        next.updated = last.updated;
        next.op_node = told.map(|told| OpNodeView {
            error: told.error.clone().or(contradiction),
            ..told.clone()
        });
        if let Some(nodes) = &self.nodes {
            next.endpoint = next.latest.map(|_| nodes.active());
            next.endpoints = nodes.health();
        }
        if next == *last {
            return;
        }
        next.updated = Timestamp::now();
        log_transition(&last, &next);
        record(&next);
        self.views.send_replace(Arc::new(next));
    }

    /// The view that an answer makes.
    fn take(&mut self, asked: Instant, answer: Answer, last: &ChainView) -> Result<ChainView, ChainError> {
        let view = ChainView {
            latest: Some(answer.head),
            safe: answer.safe,
            finalized: answer.finalized,
            reachable: true,
            error: None,
            ..last.clone()
        };
        match self.lineage.take(&answer.head) {
            Progress::Newest => {
                if let Some(nodes) = &self.nodes {
                    nodes.set_head(answer.head.block.number, asked);
                }
                Ok(view)
            }
            Progress::Behind(blocks) if blocks <= MAX_BEHIND => Ok(ChainView {
                latest: last.latest,
                safe: last.safe,
                finalized: last.finalized,
                ..view
            }),
            Progress::Behind(blocks) => {
                if let Some(nodes) = &self.nodes {
                    nodes.is_behind(blocks);
                }
                Err(ChainError::Behind {
                    head: answer.head.block.number,
                    blocks,
                })
            }
        }
    }
}

/// Says when the node goes away and when it comes back.
fn log_transition(before: &ChainView, after: &ChainView) {
    match (before.reachable, after.reachable, &after.error) {
        (true, false, Some(error)) => tracing::warn!(%error, "node unreachable"),
        (false, false, Some(error)) if before.error != after.error => tracing::warn!(%error, "node unreachable"),
        (false, true, _) => {
            tracing::info!(head = after.latest.map(|head| head.block.number), "node reachable");
        }
        _ => {}
    }
    let trouble = |view: &ChainView| view.op_node.as_ref().and_then(|op_node| op_node.error.clone());
    match (trouble(before), trouble(after)) {
        (before, Some(error)) if before.as_ref() != Some(&error) => {
            tracing::warn!(%error, "op-node is not followed: nothing newer counts as safe or finalized");
        }
        (Some(_), None) => tracing::info!("op-node is followed"),
        _ => {}
    }
}

fn record(view: &ChainView) {
    let number = |block: Option<BlockRef>| block.map_or(0.0, |block| block.number as f64);
    metrics::gauge!("set_chain_reachable").set(f64::from(u8::from(view.reachable)));
    metrics::gauge!("set_chain_block", "tag" => "latest").set(number(view.latest.map(|head| head.block)));
    metrics::gauge!("set_chain_block", "tag" => "safe").set(number(view.safe));
    metrics::gauge!("set_chain_block", "tag" => "finalized").set(number(view.finalized));
    let flag = |is: bool| f64::from(u8::from(is));
    if let Some(op_node) = &view.op_node {
        metrics::gauge!("set_chain_op_node_up").set(flag(op_node.error.is_none()));
    }
    for node in &view.endpoints {
        let active = view.endpoint.as_ref() == Some(&node.endpoint);
        metrics::gauge!("set_chain_endpoint_up", "endpoint" => node.endpoint.clone()).set(flag(node.error.is_none()));
        metrics::gauge!("set_chain_endpoint_active", "endpoint" => node.endpoint.clone()).set(flag(active));
    }
    if let Some(head) = view.latest {
        metrics::gauge!("set_chain_next_base_fee_wei").set(head.next_base_fee as f64);
    }
}

/// What one poll brings.
struct Answer {
    head: Head,
    safe: Option<BlockRef>,
    finalized: Option<BlockRef>,
    /// What op-node says and the node does not bear out.
    contradiction: Option<String>,
}

/// The blocks that tell what is safe and finalized: by the node's own tags, or at the heights that op-node names.
fn settled_blocks(op_node: Option<&SettledTags>) -> Vec<BlockNumberOrTag> {
    match op_node {
        None => vec![BlockNumberOrTag::Safe, BlockNumberOrTag::Finalized],
        Some(tags) => tags.numbers().into_iter().map(BlockNumberOrTag::Number).collect(),
    }
}

/// A call inside the batch.
fn call<P: RpcSend, R: RpcRecv>(
    batch: &mut BatchRequest<'_>,
    method: &'static str,
    params: &P,
) -> Result<Waiter<R>, ChainError> {
    batch
        .add_call(method, params)
        .map_err(|error| ChainError::rpc(method, &error))
}

/// One round trip: chain id, blocks, fees, the DA scalar.
async fn read(
    provider: &L2Provider,
    expected_chain_id: u64,
    op_node: Option<SettledTags>,
) -> Result<Answer, ChainError> {
    const BLOCK: &str = "eth_getBlockByNumber";
    let client = provider.client();
    let mut batch = BatchRequest::new(client);
    let chain_id = call::<_, U64>(&mut batch, "eth_chainId", &())?;
    let latest = call::<_, Option<Block>>(&mut batch, BLOCK, &(BlockNumberOrTag::Latest, false))?;
    let settled = settled_blocks(op_node.as_ref()).into_iter();
    let settled: Vec<_> = settled
        .map(|tag| call::<_, Option<Block>>(&mut batch, BLOCK, &(tag, false)))
        .collect::<Result<_, _>>()?;
    let fees = call::<_, FeeHistory>(
        &mut batch,
        "eth_feeHistory",
        &(U64::from(1), BlockNumberOrTag::Latest, [0f64; 0]),
    )?;
    let tip = call::<_, U128>(&mut batch, "eth_maxPriorityFeePerGas", &())?;
    let scalar = call::<_, Bytes>(
        &mut batch,
        "eth_call",
        &(
            json!({ "to": L1_BLOCK, "data": Bytes::from(DA_FOOTPRINT_GAS_SCALAR) }),
            BlockNumberOrTag::Latest,
        ),
    )?;
    batch
        .send()
        .await
        .map_err(|error| ChainError::rpc("poll of the head", &error))?;

    let chain_id = chain_id.await.map_err(|error| ChainError::rpc("eth_chainId", &error))?;
    if chain_id != U64::from(expected_chain_id) {
        return Err(ChainError::OtherChain {
            found: chain_id.to(),
            expected: expected_chain_id,
        });
    }
    let latest = latest
        .await
        .map_err(|error| ChainError::rpc(BLOCK, &error))?
        .ok_or_else(|| ChainError::Answer {
            method: BLOCK,
            cause: "no `latest` block".into(),
        })?;
    let fees = fees.await.map_err(|error| ChainError::rpc("eth_feeHistory", &error))?;
    let header = &latest.header;
    let base_fee = u128::from(header.base_fee_per_gas.unwrap_or_default());
    let da_footprint_scalar = footprint_scalar(scalar.await);
    let head = Head {
        block: reference(&latest),
        parent_hash: header.parent_hash,
        gas_limit: header.gas_limit,
        gas_used: header.gas_used,
        gas_target: gas_target(header.gas_limit, &header.extra_data),
        base_fee,
        next_base_fee: fees.next_block_base_fee().unwrap_or(base_fee),
        suggested_tip: tip.await.map(|tip| tip.to()).unwrap_or_default(),
        da_footprint: da_footprint_scalar.and(header.blob_gas_used),
        da_footprint_scalar,
    };
    let mut blocks = Vec::with_capacity(settled.len());
    for block in settled {
        blocks.push(tagged(block.await)?);
    }
    Ok(match op_node {
        None => Answer {
            head,
            safe: blocks.first().copied().flatten(),
            finalized: blocks.get(1).copied().flatten(),
            contradiction: None,
        },
        Some(tags) => {
            let hashes: BTreeMap<u64, B256> = blocks
                .iter()
                .flatten()
                .map(|block| (block.number, block.hash))
                .collect();
            let borne_out = tags.held_against(&hashes);
            Answer {
                head,
                safe: borne_out.safe,
                finalized: borne_out.finalized,
                contradiction: borne_out.contradiction,
            }
        }
    })
}

fn reference(block: &Block) -> BlockRef {
    BlockRef {
        number: block.header.number,
        hash: block.header.hash,
        timestamp: block.header.timestamp,
    }
}

/// A tag that the node does not know is null or an error of the node's own; a broken connection is neither.
fn tagged(answer: TransportResult<Option<Block>>) -> Result<Option<BlockRef>, ChainError> {
    match answer {
        Ok(block) => Ok(block.as_ref().map(reference)),
        Err(RpcError::ErrorResp(_)) => Ok(None),
        Err(error) => Err(ChainError::rpc("eth_getBlockByNumber", &error)),
    }
}

/// The scalar, or `None` where there is no predeploy or it is older than Jovian.
fn footprint_scalar(answer: TransportResult<Bytes>) -> Option<u64> {
    let word: [u8; 32] = answer.ok()?.as_ref().try_into().ok()?;
    match u64::from(u16::from_be_bytes([word[30], word[31]])) {
        0 => Some(DEFAULT_DA_FOOTPRINT_GAS_SCALAR),
        scalar => Some(scalar),
    }
}
