//! Settlement beside the real op-node, batcher, proposer and challenger, down to L1.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    providers::{Provider, RootProvider},
};
use serde_json::json;
use set_chain::{ChainView, NumberedHash, OpNode, SafeHeads, track_beside};
use set_proof::OutputRoot;
use set_settlement::{AlarmKind, ClaimStatus, L1Access, Settlement, SettlementSettings, SettlementView, l1};
use set_testkit::{
    OpStack, Rpc,
    op_stack::{L1_CHAIN_ID, Parts},
};
use tokio::{
    sync::watch,
    time::{interval, timeout},
};

const POLL: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(300);
/// Seconds that the safe block may be behind: more than this devnet's batcher leaves it.
const SAFE_ALARM: u64 = 40;

/// A sidecar's view of settlement, beside a stack.
struct Watching {
    op_node: OpNode,
    heads: watch::Receiver<Arc<ChainView>>,
    settlement: Settlement,
}

impl Watching {
    async fn beside(stack: &OpStack) -> Self {
        let op_node = OpNode::connect(stack.node_url(), Duration::from_secs(5)).unwrap();
        let provider = stack.provider().clone();
        let chain_id = provider.get_chain_id().await.unwrap();
        let (heads, tracking) = track_beside(provider.clone(), Some(op_node.clone()), chain_id, POLL);
        tokio::spawn(tracking);
        let settings = SettlementSettings {
            chain_id,
            first_block: 1,
            op_node: Some(op_node.clone()),
            l1: Some(L1Access {
                provider: l1::connect(stack.l1.url(), Duration::from_secs(5)).unwrap(),
                chain_id: L1_CHAIN_ID,
                portal: stack.contracts.portal,
                poll: POLL,
            }),
            head_alarm: Duration::from_secs(8),
            safe_alarm: Duration::from_secs(SAFE_ALARM),
        };
        let opened = Settlement::open(None, settings, provider, heads.clone()).await;
        let (settlement, following) = opened.unwrap();
        tokio::spawn(following);
        Self {
            op_node,
            heads,
            settlement,
        }
    }

    async fn head(&self, fits: impl Fn(&ChainView) -> bool) -> Arc<ChainView> {
        let mut heads = self.heads.clone();
        match timeout(PATIENCE, heads.wait_for(|view| fits(view))).await {
            Ok(view) => view.unwrap().clone(),
            Err(_) => panic!("the chain stays {:?}", self.heads.borrow()),
        }
    }

    async fn view(&self, fits: impl Fn(&SettlementView) -> bool) -> Arc<SettlementView> {
        let mut views = self.settlement.view();
        let last = views.clone();
        match timeout(PATIENCE, views.wait_for(|view| fits(view))).await {
            Ok(view) => view.unwrap().clone(),
            Err(_) => panic!("settlement stays {:?}", last.borrow()),
        }
    }

    async fn alarm(&self, kind: AlarmKind, raised: bool) -> Arc<SettlementView> {
        self.view(|view| view.alarms.iter().any(|alarm| alarm.kind == kind) == raised)
            .await
    }

    /// The L1 block that made a block safe, by what is followed: that comes after op-node's word that it is safe.
    async fn safe_l1_block(&self, block: u64) -> NumberedHash {
        let mut looks = interval(POLL);
        let found = async {
            loop {
                looks.tick().await;
                if let Some(found) = self.settlement.of(block).await.safe_l1_block {
                    return found;
                }
            }
        };
        match timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("what made block {block} safe stays unknown"),
        }
    }

    /// The L1 block that made a block safe, by asking op-node about every L1 block.
    async fn l1_block_of(&self, block: u64, tip: u64) -> NumberedHash {
        for height in 0..=tip {
            let SafeHeads::Kept(steps) = self.op_node.safe_heads(&[height]).await.unwrap() else {
                panic!("op-node remembers nothing");
            };
            if let Some(step) = steps[0].filter(|step| step.safe_head.number >= block) {
                return step.l1_block;
            }
        }
        panic!("block {block} is not safe up to L1 block {tip}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_block_is_followed_to_its_l1_block_and_its_game_through_faults() {
    let dir = tempfile::tempdir().unwrap();
    let stack = OpStack::builder(dir.path()).parts(Parts::ALL).start().await.unwrap();
    let watching = Watching::beside(&stack).await;

    // Safe and finalized are op-node's word.
    let view = watching
        .head(|view| {
            let heard = view.op_node.as_ref().is_some_and(|op_node| op_node.error.is_none());
            heard && view.finalized.is_some_and(|block| block.number > 3)
        })
        .await;
    let (safe, finalized) = (view.safe.unwrap(), view.finalized.unwrap());
    assert!(safe.number >= finalized.number);
    let status = watching.op_node.sync_status().await.unwrap();
    assert!(status.safe_l2.unwrap().number >= safe.number);

    // Each safe block's L1 block is the one that carried its data, which comes after its origin.
    watching
        .view(|view| view.safe_heads.as_ref().is_some_and(|steps| steps.complete))
        .await;
    let tip = status.current_l1.unwrap().number;
    for block in [1, finalized.number, safe.number] {
        let expected = watching.l1_block_of(block, tip).await;
        assert_eq!(watching.safe_l1_block(block).await, expected, "block {block}");
        let on_l1: RootProvider = RootProvider::new_http(stack.l1.url().clone());
        let carrier = on_l1
            .get_block_by_number(BlockNumberOrTag::Number(expected.number))
            .await;
        assert_eq!(carrier.unwrap().unwrap().header.hash, expected.hash);
    }

    // The proposer's game claims the node's own block, and is won.
    let view = watching.view(|view| view.lags.claimed.is_some()).await;
    let status = watching.op_node.sync_status().await.unwrap();
    assert!(view.lags.claimed.unwrap().block <= status.safe_l2.unwrap().number);
    let claim = watching.settlement.of(1).await.claim.unwrap();
    let number = BlockNumberOrTag::Number(claim.l2_block.number);
    let header = stack
        .provider()
        .get_block_by_number(number)
        .await
        .unwrap()
        .unwrap()
        .header;
    assert_eq!(OutputRoot::of(&header.inner).unwrap().hash(), claim.root_claim);
    assert_eq!(header.hash, claim.l2_block.hash);
    watching.view(|view| view.lags.resolved.is_some()).await;
    let resolved = watching.settlement.of(1).await.claim.unwrap();
    assert!(
        matches!(resolved.status, ClaimStatus::Won | ClaimStatus::Final),
        "{resolved:?}"
    );

    // The batcher stops: blocks are made, and none becomes safe.
    let batcher = Rpc::new(stack.batcher().url().clone());
    batcher.call("admin_stopBatcher", json!([])).await.unwrap();
    let view = watching.alarm(AlarmKind::SafeStands, true).await;
    assert!(view.lags.safe.unwrap().seconds >= SAFE_ALARM);
    let alarm = view.alarms.iter().find(|alarm| alarm.kind == AlarmKind::SafeStands);
    let message = &alarm.unwrap().message;
    assert!(message.contains("op-batcher"), "{message}");
    batcher.call("admin_startBatcher", json!([])).await.unwrap();
    watching.alarm(AlarmKind::SafeStands, false).await;

    // op-node stands still, and so does the head: nothing newer is safe, and it is said.
    stack.node().freeze();
    let is_away = |view: &ChainView| view.op_node.as_ref().is_some_and(|op_node| op_node.error.is_some());
    let before = watching.head(is_away).await.safe.unwrap();
    watching.alarm(AlarmKind::HeadStands, true).await;
    watching.alarm(AlarmKind::OpNode, true).await;
    assert_eq!(watching.heads.borrow().safe.unwrap(), before);
    stack.node().thaw();
    watching.view(|view| view.alarms.is_empty()).await;
    watching
        .head(|view| view.safe.is_some_and(|safe| safe.number > before.number))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn an_op_node_that_remembers_nothing_tells_no_l1_block() {
    let dir = tempfile::tempdir().unwrap();
    let stack = OpStack::builder(dir.path()).parts(Parts::BATCHED).safe_db(false);
    let stack = stack.start().await.unwrap();
    let watching = Watching::beside(&stack).await;
    let view = watching
        .head(|view| view.safe.is_some_and(|safe| safe.number > 2))
        .await;
    watching
        .view(|view| view.safe_heads.as_ref().is_some_and(|steps| steps.kept == Some(false)))
        .await;
    let safe = view.safe.unwrap().number;
    assert_eq!(watching.settlement.of(safe).await.safe_l1_block, None);
}
