//! Blocks that go away again.

use alloy_primitives::U256;
use rstest::rstest;
use set_chain::SettlementTag;
use set_testkit::{Action, Anvil, RpcProxy, Rule};
use set_txmgr::{Journal, TxEvent};

use crate::fixture::{Account, PATIENCE, empty_pool, foreign_transfer, impatient, key, patient, received};

#[tokio::test]
async fn a_reorg_is_repaired_with_the_same_bytes() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    let (_, first) = account.send(1).await;
    let (_, second) = account.send(1).await;
    anvil.mine(1).await.unwrap();
    account.included().await;
    account.included().await;
    anvil.mine(2).await.unwrap();
    account.account_nonce(2).await;

    anvil.reorg(3).await.unwrap();
    for expected in [first, second] {
        match account.event().await {
            TxEvent::Reorged { hash, .. } => assert_eq!(hash, expected),
            other => panic!("{other:?}"),
        }
    }
    account.status(|status| status.in_flight.len() == 2).await;
    anvil.set_block_time(1).await.unwrap();
    assert_eq!(account.included().await.1, first);
    assert_eq!(account.included().await.1, second);
    assert_eq!(received(&anvil).await, U256::from(2));
}

/// A refusal that will pass is no reason for another price, and so for another hash, however long it lasts.
#[rstest]
#[case::full_pool("txpool is full")]
#[case::node_that_lags("nonce too low: next nonce 1, tx nonce 0")]
#[tokio::test]
async fn what_a_reorg_undid_keeps_its_hash_while_the_node_refuses_it(#[case] refusal: &str) {
    const SEND: &str = "eth_sendRawTransaction";
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let mut account = Account::start(&anvil, &proxy.url(), impatient(), Journal::in_memory());
    let (_, hash) = account.send(1).await;
    anvil.mine(2).await.unwrap();
    account.included().await;
    proxy.inject(Rule::on_send(Action::error(refusal)));
    let sent = proxy.calls(SEND);
    anvil.reorg(2).await.unwrap();
    empty_pool(&anvil).await;
    proxy.called(SEND, sent + 12, PATIENCE).await;
    // A block takes it as soon as it comes, before its time is up once more.
    let _: serde_json::Value = anvil.call("evm_setAutomine", (true,)).await.unwrap();
    proxy.heal();
    assert!(matches!(account.outcome().await, TxEvent::Reorged { hash: undone, .. } if undone == hash));
    assert_eq!(account.included().await.1, hash);
    assert_eq!(received(&anvil).await, U256::from(1));
}

#[tokio::test]
async fn a_chain_that_shrinks_and_grows_differently_is_a_reorg() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    let (_, hash) = account.send(1).await;
    let snapshot = anvil.snapshot().await.unwrap();
    anvil.mine(2).await.unwrap();
    account.included().await;
    anvil.revert(snapshot).await.unwrap();
    empty_pool(&anvil).await;
    anvil.set_block_time(1).await.unwrap();
    match account.event().await {
        TxEvent::Reorged { hash: reorged, .. } => assert_eq!(reorged, hash),
        other => panic!("{other:?}"),
    }
    assert_eq!(account.included().await.1, hash);
    assert_eq!(received(&anvil).await, U256::from(1));
}

#[tokio::test]
async fn a_gap_that_a_reorg_opens_is_filled() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    account.send(1).await;
    let (second, _) = account.send(1).await;
    empty_pool(&anvil).await;
    // Somebody else takes the first nonce, and the chain takes that back.
    foreign_transfer(&anvil, 0).await;
    anvil.mine(1).await.unwrap();
    account.account_nonce(1).await;
    anvil.mine(1).await.unwrap();
    assert!(matches!(account.event().await, TxEvent::Superseded { nonce: 0, .. }));
    // Only now: what the pool lost must not be back before the reorg.
    account.manager.reconfigure(impatient()).unwrap();
    anvil.reorg(2).await.unwrap();
    anvil.set_block_time(1).await.unwrap();
    loop {
        match account.event().await {
            TxEvent::Included { nonce, .. } => {
                assert_eq!(nonce, second);
                break;
            }
            TxEvent::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received(&anvil).await, U256::from(1));
}

#[tokio::test]
async fn a_reorg_deeper_than_what_is_in_flight_is_repaired_from_the_journal() {
    const CALLS: u64 = 24;
    let dir = tempfile::tempdir().unwrap();
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let journal = Journal::open(dir.path(), anvil.chain_id(), key().address()).unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), journal);
    let mut hashes = Vec::new();
    for block in 0..3 {
        for _ in 0..CALLS / 3 {
            hashes.push(account.send(1).await.1);
        }
        anvil.mine(1).await.unwrap();
        for _ in 0..CALLS / 3 {
            assert_eq!(account.included().await.2, block + 1);
        }
    }
    account
        .status(|status| status.awaiting_settlement == CALLS as usize)
        .await;
    anvil.reorg(3).await.unwrap();
    for expected in &hashes {
        match account.event().await {
            TxEvent::Reorged { hash, .. } => assert_eq!(hash, *expected),
            other => panic!("{other:?}"),
        }
    }
    anvil.set_block_time(1).await.unwrap();
    for expected in &hashes {
        assert_eq!(account.included().await.1, *expected);
    }
    assert_eq!(received(&anvil).await, U256::from(CALLS));
}

#[tokio::test]
async fn a_reorg_past_what_was_safe_is_told_and_repaired() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let settle = |safe| proxy.replace([Rule::pin("safe", safe), Rule::pin("finalized", 0)]);
    settle(0);
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    let (_, hash) = account.send(1).await;
    anvil.mine(2).await.unwrap();
    account.included().await;
    settle(1);
    let safe =
        |event: TxEvent| matches!(event, TxEvent::Settled { tag: SettlementTag::Safe, hash: of, .. } if of == hash);
    assert!(safe(account.event().await));
    anvil.reorg(2).await.unwrap();
    assert!(matches!(account.event().await, TxEvent::Reorged { hash: gone, .. } if gone == hash));
    account.status(|status| status.in_flight.len() == 1).await;
    anvil.set_block_time(1).await.unwrap();
    let (_, again, block) = account.included().await;
    assert_eq!(again, hash);
    settle(block);
    assert!(safe(account.event().await));
}
