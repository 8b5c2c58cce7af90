//! A program that is killed and started again.

use std::path::Path;

use alloy_primitives::{B256, U256};
use set_testkit::{Anvil, RpcProxy};
use set_txmgr::{AlarmKind, CallId, Journal, TxEvent};

use crate::fixture::{Account, empty_pool, foreign_transfer, key, patient, received, transfer};

/// The journal is free once the killed coordinator is gone.
pub(crate) async fn open(dir: &Path, anvil: &Anvil) -> Journal {
    loop {
        match Journal::open(dir, anvil.chain_id(), key().address()) {
            Err(set_txmgr::JournalError::InUse(_)) => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

/// Waits until a transaction of the run before was included; gives its hash.
async fn recovered(account: &mut Account, expected: u64) -> B256 {
    match account.event().await {
        TxEvent::Included {
            id: CallId::Recovered { account: of, nonce },
            hash,
            ..
        } => {
            assert_eq!((of, nonce), (key().address(), expected));
            hash
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_sent_goes_out_again_before_anything_new() {
    let dir = tempfile::tempdir().unwrap();
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), open(dir.path(), &anvil).await);
    let (_, first) = account.send(1).await;
    let (_, second) = account.send(1).await;
    drop(account);
    empty_pool(&anvil).await;

    let mut account = Account::start(&anvil, anvil.url(), patient(), open(dir.path(), &anvil).await);
    assert_eq!(account.send(1).await.0, 2);
    anvil.mine(1).await.unwrap();
    assert_eq!(recovered(&mut account, 0).await, first);
    assert_eq!(recovered(&mut account, 1).await, second);
    assert_eq!(account.included().await.0, 2);
    assert_eq!(received(&anvil).await, U256::from(3));
}

#[tokio::test]
async fn what_was_included_meanwhile_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), open(dir.path(), &anvil).await);
    let (_, hash) = account.send(1).await;
    drop(account);
    anvil.mine(5).await.unwrap();

    let mut account = Account::start(&anvil, anvil.url(), patient(), open(dir.path(), &anvil).await);
    assert_eq!(recovered(&mut account, 0).await, hash);
    assert_eq!(account.send(1).await.0, 1);
}

#[tokio::test]
async fn without_its_journal_what_lies_in_the_pool_is_outbid() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    account.send(1).await;
    drop(account);

    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    let (nonce, hash) = account.send(10).await;
    assert_eq!(nonce, 0);
    anvil.mine(1).await.unwrap();
    assert_eq!(account.included().await.1, hash);
    assert_eq!(received(&anvil).await, U256::from(10));
}

#[tokio::test]
async fn a_nonce_that_somebody_else_used_gives_the_call_back() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    let sent = account.manager.submit(transfer(1)).await.unwrap();
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 0, .. }));
    empty_pool(&anvil).await;
    foreign_transfer(&anvil, 0).await;
    anvil.mine(1).await.unwrap();
    account.account_nonce(1).await;
    // One head is not proof enough.
    assert!(account.is_silent());
    anvil.mine(1).await.unwrap();
    match account.event().await {
        TxEvent::Superseded { id, nonce } => assert_eq!((id, nonce), (sent, 0)),
        other => panic!("{other:?}"),
    }
    assert_eq!(account.manager.room(), 8);
    assert_eq!(account.send(1).await.0, 1);
}

/// A directory in the journal's place stands for a disk that takes nothing.
#[tokio::test]
async fn what_cannot_be_kept_is_not_sent_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let name = format!("transactions-{}-{:#x}.journal", anvil.chain_id(), key().address());
    let obstacle = dir.path().join(name);
    std::fs::create_dir(&obstacle).unwrap();
    let journal = open(dir.path(), &anvil).await;
    let mut account = Account::start(&anvil, &proxy.url(), patient(), journal);
    account.alarm(AlarmKind::Journal, true).await;
    account.manager.submit(transfer(1)).await.unwrap();
    account
        .status(|status| status.in_flight.first().is_some_and(|one| one.hash.is_some()))
        .await;
    account.account_nonce(0).await;
    anvil.mine(2).await.unwrap();
    account.alarm(AlarmKind::Journal, true).await;
    assert_eq!(proxy.calls("eth_sendRawTransaction"), 0);

    std::fs::remove_dir(&obstacle).unwrap();
    assert!(matches!(account.outcome().await, TxEvent::Included { nonce: 0, .. }));
    account.alarm(AlarmKind::Journal, false).await;
    assert!(obstacle.is_file());
}
