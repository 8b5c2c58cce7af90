//! Nonces that a crash, a node's lie or a slow node leave in disorder.

use std::time::Duration;

use alloy_primitives::U256;
use set_testkit::{Action, Anvil, RpcProxy, Rule};
use set_txmgr::{CallId, Journal, TxEvent};

use crate::{
    fixture::{Account, empty_pool, impatient, patient, received},
    restarts,
};

#[tokio::test]
async fn a_gap_that_a_crash_left_is_filled() {
    let dir = tempfile::tempdir().unwrap();
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let journal = restarts::open(dir.path(), &anvil).await;
    let mut account = Account::start(&anvil, anvil.url(), patient(), journal);
    account.send(1).await;
    account.send(2).await;
    drop(account);
    empty_pool(&anvil).await;
    drop(restarts::open(dir.path(), &anvil).await);
    // The disk damages what it holds of the first nonce.
    let file = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = file
        .into_iter()
        .find(|path| path.extension() == Some("journal".as_ref()))
        .unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();

    let journal = restarts::open(dir.path(), &anvil).await;
    let mut account = Account::start(&anvil, anvil.url(), patient(), journal);
    anvil.set_block_time(1).await.unwrap();
    match account.outcome().await {
        TxEvent::Included {
            id: CallId::Recovered { nonce, .. },
            ..
        } => assert_eq!(nonce, 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(received(&anvil).await, U256::from(2));
    assert_eq!(account.send(1).await.0, 2);
}

#[tokio::test]
async fn a_nonce_beyond_reason_does_not_stop_the_account() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let lie = Action::Answer("0xfffffffffff".into());
    proxy.inject(Rule::on(["eth_getTransactionCount"], lie).times(1));
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    assert_eq!(account.send(1).await.0, 0xfff_ffff_ffff);
    anvil.mine(1).await.unwrap();
    account.account_nonce(0).await;
    anvil.mine(1).await.unwrap();
    assert!(matches!(
        account.event().await,
        TxEvent::Superseded {
            nonce: 0xfff_ffff_ffff,
            ..
        }
    ));
    anvil.set_block_time(1).await.unwrap();
    account.status(|status| status.next_nonce == Some(0)).await;
    assert_eq!(account.send(1).await.0, 0);
    assert_eq!(account.included().await.0, 0);
}

#[tokio::test]
async fn a_node_that_answers_slower_than_it_makes_blocks_does_not_stop_repairs() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let mut account = Account::start(&anvil, &proxy.url(), impatient(), Journal::in_memory());
    account.status(|status| status.leading).await;
    anvil.set_block_time(0).await.unwrap();
    account.send(1).await;
    empty_pool(&anvil).await;
    proxy.inject(Rule::on(
        ["eth_getTransactionCount"],
        Action::Delay(Duration::from_millis(1_500)),
    ));
    anvil.set_block_time(1).await.unwrap();
    assert!(matches!(account.outcome().await, TxEvent::Included { nonce: 0, .. }));
    assert_eq!(received(&anvil).await, U256::from(1));
}
