//! The follower on a real chain with the real registry, through reorgs, refusals and another chain.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::Arc;

use alloy::eips::BlockId;
use alloy_primitives::Address;
use serde_json::json;
use set_chain::{ChainView, RegistryReader, SettlementTag};
use set_index::{Anchored, Counts};
use set_testkit::{Action, Contracts, RpcProxy, Rule};
use tokio::time::timeout;

use rig::{Chain, Committed, Followed, HANG, connect, state, stream};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_holds_is_followed_and_survives_a_restart() {
    let chain = Chain::start().await;
    let (one, two) = (stream(1), stream(2));
    let first = chain.commit(one, 0, "").await;
    let second = chain.commit(two, 0, "").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");

    let followed = Followed::start(chain.anvil.provider().clone(), chain.contracts, Some(&path), 1_000).await;
    followed.reach(chain.head().await).await;
    let anchored = followed.holds(&first).await.unwrap();
    assert_eq!((anchored.stream, anchored.stream_key), (Some(one), one.key()));
    assert_eq!(
        (anchored.sequence_start, anchored.sequence_end, anchored.event_count),
        (1, 3, 3)
    );
    assert_eq!(anchored.new_state_root, state(one, 0));
    followed.holds(&second).await.unwrap();

    let third = chain.commit(one, 1, "").await;
    followed.reach(chain.head().await).await;
    followed.holds(&third).await.unwrap();
    assert!(followed.index.synced().borrow().is_caught_up());
    followed.stop().await;

    let fourth = chain.commit(two, 1, "").await;
    let followed = Followed::start(chain.anvil.provider().clone(), chain.contracts, Some(&path), 1_000).await;
    followed.reach(chain.head().await).await;
    let again = followed.holds(&first).await.unwrap();
    assert_ne!(again.followed, anchored.followed);
    let read_before = Anchored {
        followed: again.followed,
        ..anchored
    };
    assert_eq!(again, read_before);
    let summary = followed.index.stream(two.key()).await.unwrap().unwrap();
    assert_eq!((summary.commitments, summary.head.batch_id), (2, fourth.batch_id));
    assert_eq!(
        followed.index.counts().await.unwrap(),
        Counts {
            commitments: 4,
            streams: 2
        }
    );
    followed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_takes_back_what_it_undid_and_nothing_else() {
    let chain = Chain::start().await;
    let (one, two) = (stream(1), stream(2));
    let kept = chain.commit(one, 0, "").await;
    let followed = Followed::start(chain.anvil.provider().clone(), chain.contracts, None, 1_000).await;
    let undone = [chain.commit(one, 1, "old").await, chain.commit(two, 0, "old").await];
    followed.reach(chain.head().await).await;
    for committed in &undone {
        followed.holds(committed).await.unwrap();
    }

    chain.anvil.reorg(2).await.unwrap();
    followed.reach(chain.head().await).await;
    followed.holds(&kept).await.unwrap();
    for committed in &undone {
        assert!(followed.holds(committed).await.is_none());
    }
    let summary = followed.index.stream(one.key()).await.unwrap().unwrap();
    assert_eq!((summary.commitments, summary.head.batch_id), (1, kept.batch_id));
    assert_eq!(followed.index.stream(two.key()).await.unwrap(), None);

    let anew = [chain.commit(one, 1, "new").await, chain.commit(two, 0, "new").await];
    followed.reach(chain.head().await).await;
    for committed in &anew {
        followed.holds(committed).await.unwrap();
    }

    // Back to before a block, and on without it.
    let snapshot = chain.anvil.snapshot().await.unwrap();
    let shortly = chain.commit(one, 2, "short").await;
    followed.reach(chain.head().await).await;
    followed.holds(&shortly).await.unwrap();
    assert!(chain.anvil.revert(snapshot).await.unwrap());
    chain.anvil.mine(1).await.unwrap();
    followed.reach(chain.head().await).await;
    assert!(followed.holds(&shortly).await.is_none());
    assert_eq!(
        followed.index.counts().await.unwrap(),
        Counts {
            commitments: 3,
            streams: 2
        }
    );
    followed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_limits_ranges_or_fails_is_followed_all_the_same() {
    let chain = Chain::start().await;
    let one = stream(1);
    let mut committed = vec![];
    for number in 0..3 {
        committed.push(chain.commit(one, number, "").await);
        chain.anvil.mine(40).await.unwrap();
    }
    let proxy = RpcProxy::start(chain.anvil.url().clone()).await.unwrap();
    // More than seven blocks at once become a question that the node refuses.
    proxy.inject(Rule::on(
        ["eth_getLogs"],
        Action::Ask(Arc::new(|params| {
            let block = |key: &str| {
                let digits = params[0][key].as_str().unwrap().trim_start_matches("0x");
                u64::from_str_radix(digits, 16).unwrap()
            };
            if block("toBlock") - block("fromBlock") >= 7 {
                *params = serde_json::json!(["too many blocks"]);
            }
        })),
    ));
    proxy.inject(Rule::on(["eth_getBlockByNumber"], Action::Drop).times(2));
    let followed = Followed::start(connect(&proxy), chain.contracts, None, 1_000).await;
    followed.reach(chain.head().await).await;
    for committed in &committed {
        followed.holds(committed).await.unwrap();
    }
    let asked = proxy.calls("eth_getLogs");
    assert!((120 / 7..120).contains(&asked), "{asked} questions for 120 blocks");

    // What hinders is shown while it lasts, and gone afterwards.
    let refusal = Action::Error {
        code: -32_000,
        message: "history is pruned".to_owned(),
    };
    proxy.heal();
    proxy.inject(Rule::on(["eth_getLogs"], refusal));
    let late = chain.commit(one, 3, "").await;
    let mut synced = followed.index.synced();
    let hindered = synced.wait_for(|synced| {
        synced
            .error
            .as_ref()
            .is_some_and(|why| why.contains("history is pruned"))
    });
    timeout(HANG, hindered).await.unwrap().unwrap();
    proxy.heal();
    followed.reach(chain.head().await).await;
    followed.holds(&late).await.unwrap();
    timeout(
        HANG,
        synced.wait_for(|synced| synced.error.is_none() && synced.is_caught_up()),
    )
    .await
    .unwrap()
    .unwrap();
    followed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chain_means_another_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let chain = Chain::start().await;
    let lost = chain.commit(stream(1), 0, "").await;
    let followed = Followed::start(chain.anvil.provider().clone(), chain.contracts, Some(&path), 1_000).await;
    followed.reach(chain.head().await).await;
    let contracts = chain.contracts;
    followed.stop().await;
    drop(chain);

    // The same contracts at the same addresses, as a devnet that was started anew.
    let chain = Chain::start().await;
    assert_eq!(chain.contracts, contracts);
    let found = chain.commit(stream(2), 0, "").await;
    let followed = Followed::start(chain.anvil.provider().clone(), chain.contracts, Some(&path), 1_000).await;
    followed.reach(chain.head().await).await;
    assert!(followed.holds(&lost).await.is_none());
    followed.holds(&found).await.unwrap();
    assert_eq!(
        followed.index.counts().await.unwrap(),
        Counts {
            commitments: 1,
            streams: 1
        }
    );

    // Another contract is another index too.
    let moved = Contracts {
        registry: Address::repeat_byte(9),
        ..chain.contracts
    };
    followed.stop().await;
    let followed = Followed::start(chain.anvil.provider().clone(), moved, Some(&path), 1_000).await;
    followed.reach(chain.head().await).await;
    assert_eq!(followed.index.counts().await.unwrap(), Counts::default());
    followed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settlement_is_read_off_the_tags() {
    let chain = Chain::start().await;
    let proxy = RpcProxy::start(chain.anvil.url().clone()).await.unwrap();
    let committed = chain.commit(stream(1), 0, "").await;
    let followed = Followed::start(connect(&proxy), chain.contracts, None, 1_000).await;
    followed.reach(chain.head().await).await;
    let anchored = followed.holds(&committed).await.unwrap();
    let mut heads = followed.heads.clone();
    let number = anchored.block.number;
    for (safe, finalized, expected) in [
        (number - 1, 0, SettlementTag::Included),
        (number, number - 1, SettlementTag::Safe),
        (number, number, SettlementTag::Finalized),
    ] {
        proxy.heal();
        proxy.inject(Rule::pin("safe", safe));
        proxy.inject(Rule::pin("finalized", finalized));
        let is = |block: Option<set_chain::BlockRef>, number| block.map(|block| block.number) == Some(number);
        let pinned = heads.wait_for(|view| is(view.safe, safe) && is(view.finalized, finalized));
        let view = Arc::clone(&timeout(HANG, pinned).await.unwrap().unwrap());
        assert_eq!(anchored.settlement(&view), Some(expected));
    }
    assert_eq!(anchored.settlement(&ChainView::unknown()), None);
    followed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_no_node_has_is_left_out_and_said() {
    let chain = Chain::start().await;
    let one = stream(1);
    let old = chain.commit(one, 0, "").await;
    chain.anvil.mine(60).await.unwrap();
    let kept_from = chain.anvil.block_number().await.unwrap() - 20;
    let kept = chain.commit(one, 1, "").await;
    let proxy = RpcProxy::start(chain.anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::pruned_logs(kept_from));
    let followed = Followed::start(connect(&proxy), chain.contracts, None, 1_000).await;
    followed.reach(chain.head().await).await;
    followed.holds(&kept).await.unwrap();
    assert!(followed.holds(&old).await.is_none());
    assert_eq!(followed.index.synced().borrow().from, Some(kept_from));

    // What the contract recorded leads to it all the same.
    let reader = RegistryReader::new(connect(&proxy), chain.contracts.registry);
    let find = async |committed: &Committed| {
        let record = reader
            .record(committed.batch_id, BlockId::latest())
            .await
            .unwrap()
            .unwrap();
        followed.index.find_unindexed(one, &record).await.unwrap()
    };
    let found = find(&old).await.unwrap();
    assert_eq!((found.tx_hash, found.block.hash), (old.tx_hash, old.block_hash));
    assert_eq!((found.stream_key, found.sequence_end), (one.key(), 3));
    assert_eq!(find(&kept).await, None, "the index has it");
    let asked = proxy.calls("eth_getLogs");
    assert!(asked < 20, "{asked} questions");

    // Where its block is gone too, nobody knows.
    let dropped = Action::Error {
        code: 4444,
        message: "pruned history unavailable".into(),
    };
    let old_block = move |params: &serde_json::Value| {
        let number = params[0].as_str().and_then(|number| number.strip_prefix("0x"));
        let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.is_some_and(|number| number < kept_from)
    };
    proxy.inject(Rule::on(["eth_getBlockByNumber"], dropped).when(old_block));
    assert_eq!(find(&old).await, None);
    followed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_takes_nothing_back() {
    let chain = Chain::start().await;
    let one = stream(1);
    chain.anvil.mine(20).await.unwrap();
    let committed = chain.commit(one, 0, "").await;
    let proxy = RpcProxy::start(chain.anvil.url().clone()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.redb");
    let followed = Followed::start(connect(&proxy), chain.contracts, Some(&path), 1_000).await;
    let head = chain.head().await;
    followed.reach(head).await;
    let mut heads = followed.heads.clone();
    let behind = chain.anvil.block_number().await.unwrap() - 10;
    proxy.inject(Rule::behind(behind));
    let hindered = heads.wait_for(|view| !view.reachable);
    timeout(HANG, hindered).await.unwrap().unwrap();
    followed.holds(&committed).await.unwrap();
    followed.stop().await;

    // Nor after a restart, which remembers no head.
    let followed = Followed::start(connect(&proxy), chain.contracts, Some(&path), 1_000).await;
    let mut synced = followed.index.synced();
    let hindered = synced.wait_for(|synced| synced.error.as_ref().is_some_and(|why| why.contains("lacks block")));
    timeout(HANG, hindered).await.unwrap().unwrap();
    let anchored = followed.holds(&committed).await.unwrap();
    assert_eq!(
        anchored.settlement(&followed.heads.borrow()),
        None,
        "nothing vouches for it yet"
    );
    proxy.heal();
    let well = synced.wait_for(|synced| synced.error.is_none() && synced.is_caught_up());
    timeout(HANG, well).await.unwrap().unwrap();
    let anchored = followed.holds(&committed).await.unwrap();
    let view = followed.heads.borrow().clone();
    assert_eq!(anchored.settlement(&view), Some(SettlementTag::Included), "{view:?}");
    followed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_a_header_promises_are_asked_for_again() {
    let chain = Chain::start().await;
    let proxy = RpcProxy::start(chain.anvil.url().clone()).await.unwrap();
    // A node that has blocks before it has their logs.
    let of_range = |params: &serde_json::Value| params[0].get("fromBlock").is_some();
    proxy.inject(Rule::on(["eth_getLogs"], Action::Answer(json!([]))).when(of_range));
    let followed = Followed::start(connect(&proxy), chain.contracts, None, 1_000).await;
    followed.reach(chain.head().await).await;
    let committed = chain.commit(stream(1), 0, "").await;
    followed.reach(chain.head().await).await;
    followed.holds(&committed).await.unwrap();
    followed.stop().await;
}
