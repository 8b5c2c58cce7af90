//! The tracker beside an op-node: what is safe and finalized is op-node's word, as far as the node bears it out.
//! A proxy speaks for op-node here; the real one is asked in the tests on the OP Stack.
#![cfg(feature = "provider")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::{eips::BlockNumberOrTag, providers::Provider};
use alloy_primitives::B256;
use serde_json::{Value, json};
use set_chain::{
    BlockRef, ChainView, EndpointConfig, NumberedHash, OpNode, SafeHead, SafeHeads, connect, track_beside,
};
use set_testkit::{Action, Anvil, RpcProxy, Rule};
use tokio::{sync::watch, time::timeout};

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(180);
const SYNC_STATUS: [&str; 1] = ["optimism_syncStatus"];
const SAFE_HEAD: [&str; 1] = ["optimism_safeHeadAtL1Block"];

/// What op-node calls safe and finalized.
type Word = Arc<Mutex<(BlockRef, BlockRef)>>;

fn sync_status(word: &Word) -> Rule {
    let word = word.clone();
    let status = move |_: &Value| {
        let (safe, finalized) = *word.lock().unwrap();
        let zero = json!({ "hash": B256::ZERO, "number": 0, "timestamp": 0 });
        json!({
            "current_l1": zero, "head_l1": zero, "finalized_l1": zero,
            "unsafe_l2": safe, "safe_l2": safe, "finalized_l2": finalized,
        })
    };
    Rule::on(SYNC_STATUS, Action::Reply(Arc::new(status)))
}

async fn seen(views: &mut watch::Receiver<Arc<ChainView>>, fits: impl Fn(&ChainView) -> bool) -> Arc<ChainView> {
    let last = views.clone();
    match timeout(PATIENCE, views.wait_for(|view| fits(view))).await {
        Ok(view) => view.unwrap().clone(),
        Err(_) => panic!("the view stays {:?}", last.borrow()),
    }
}

async fn block(anvil: &Anvil, number: u64) -> BlockRef {
    let found = anvil
        .provider()
        .get_block_by_number(BlockNumberOrTag::Number(number))
        .await;
    let header = found.unwrap().unwrap().header;
    BlockRef {
        number,
        hash: header.hash,
        timestamp: header.timestamp,
    }
}

fn numbers(view: &ChainView) -> (Option<u64>, Option<u64>) {
    let number = |block: Option<BlockRef>| block.map(|block| block.number);
    (number(view.safe), number(view.finalized))
}

fn trouble(view: &ChainView) -> Option<&str> {
    view.op_node.as_ref().unwrap().error.as_deref()
}

#[tokio::test]
async fn op_nodes_word_counts_and_nothing_newer_while_it_is_away() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    anvil.mine(9).await.unwrap();
    let mut proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let word = Arc::new(Mutex::new((block(&anvil, 6).await, block(&anvil, 3).await)));
    proxy.inject(sync_status(&word));

    let endpoint = EndpointConfig {
        rpc_urls: vec![anvil.url().clone()],
        chain_id: None,
        timeout: Duration::from_secs(5),
        poll_interval: POLL,
    };
    let op_node = OpNode::connect(&proxy.url(), Duration::from_secs(5)).unwrap();
    let (mut views, tracking) = track_beside(connect(&endpoint).unwrap(), Some(op_node), anvil.chain_id(), POLL);
    tokio::spawn(tracking);
    let settled = |view: &ChainView, at| numbers(view) == at && trouble(view).is_none();
    seen(&mut views, |view| settled(view, (Some(6), Some(3)))).await;

    // Away: the head goes on, what is settled stays.
    proxy.go_down().await;
    anvil.mine(1).await.unwrap();
    let at_ten = |view: &ChainView| view.latest.is_some_and(|head| head.block.number == 10);
    let away = |view: &ChainView| at_ten(view) && view.reachable && trouble(view).is_some();
    let view = seen(&mut views, away).await;
    assert_eq!(numbers(&view), (Some(6), Some(3)));
    assert!(trouble(&view).unwrap().contains("op-node cannot be asked"), "{view:?}");

    // Back, and of another chain: its word is not taken, and what the node has stays.
    let elsewhere = BlockRef {
        hash: B256::repeat_byte(9),
        ..block(&anvil, 8).await
    };
    *word.lock().unwrap() = (elsewhere, block(&anvil, 3).await);
    proxy.come_back().await.unwrap();
    let view = seen(&mut views, |view| {
        trouble(view).is_some_and(|text| text.contains("block 8"))
    })
    .await;
    assert_eq!(numbers(&view), (Some(6), Some(3)));

    *word.lock().unwrap() = (block(&anvil, 8).await, block(&anvil, 6).await);
    seen(&mut views, |view| settled(view, (Some(8), Some(6)))).await;
}

#[tokio::test]
async fn steps_of_the_safe_head_are_told_where_op_node_keeps_them() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let op_node = OpNode::connect(&proxy.url(), Duration::from_secs(5)).unwrap();
    // As op-node words it without `--safedb.path`.
    let disabled = "failed to get safe head at l1 block 0x7: safe head database not enabled";
    proxy.inject(Rule::on(SAFE_HEAD, Action::error(disabled)));
    assert_eq!(op_node.safe_heads(&[7]).await.unwrap(), SafeHeads::NotKept);
    // The node behind the proxy has no such method.
    proxy.heal();
    assert_eq!(op_node.safe_heads(&[7]).await.unwrap(), SafeHeads::NotKept);

    let step = SafeHead {
        l1_block: NumberedHash {
            number: 5,
            hash: B256::repeat_byte(5),
        },
        safe_head: NumberedHash {
            number: 90,
            hash: B256::repeat_byte(90),
        },
    };
    let kept = json!({
        "l1Block": { "hash": step.l1_block.hash, "number": 5 },
        "safeHead": { "hash": step.safe_head.hash, "number": 90 },
    });
    let before = Rule::on(SAFE_HEAD, Action::error("not found")).when(|params| params[0] == "0x1");
    proxy.replace([before, Rule::on(SAFE_HEAD, Action::Answer(kept))]);
    let answer = op_node.safe_heads(&[1, 7]).await.unwrap();
    assert_eq!(answer, SafeHeads::Kept(vec![None, Some(step)]));

    // Anything else is no answer at all.
    proxy.replace([Rule::on(SAFE_HEAD, Action::error("database closed"))]);
    let error = op_node.safe_heads(&[7]).await.unwrap_err().to_string();
    assert!(error.contains("database closed"), "{error}");
}
