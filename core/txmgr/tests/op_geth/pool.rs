//! Queues of nonces, as op-geth's pool keeps them.

use alloy::{consensus::TxEip1559, network::ReceiptResponse, providers::Provider};
use alloy_primitives::U256;
use set_testkit::op_stack::{signed, transaction};
use set_txmgr::{BlockShare, TxConfig, TxEvent, TxStatus};
use tokio::time::timeout;

use crate::{
    fixture::{patient, transfer},
    rig::{Halt, PATIENCE, STACK, ether, halted_account, manager_of},
};

/// The pool keeps as many behind a gap, and any number that has none.
const QUEUED: u64 = 64;

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn as_many_as_may_be_in_flight_wait_in_the_pool_and_land_in_order() {
    let chain = STACK.alone().await;
    let config = TxConfig {
        max_in_flight: QUEUED as usize,
        max_block_share: BlockShare::Off,
        ..patient()
    };
    let (mut account, halt) = halted_account(&chain, config).await;
    for nonce in 0..QUEUED {
        assert_eq!(account.send(1).await.0, nonce);
    }
    chain.pending(account.manager.address(), QUEUED).await.unwrap();
    drop(halt);
    for nonce in 0..QUEUED {
        assert_eq!(account.included().await.0, nonce);
    }
}

/// Behind a gap the pool says of each that it has it, and forgets the last ones: why no more than that may be
/// in flight.
#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn behind_a_gap_the_pool_keeps_so_many_and_forgets_the_rest_silently() {
    let chain = STACK.shared().await;
    let provider = chain.provider();
    let key = chain.account(ether(1)).await.unwrap();
    let send = async |nonce| {
        let tx = TxEip1559 { nonce, ..transaction() };
        chain.send(&signed(tx, &key)).await.unwrap()
    };
    let mut behind = Vec::new();
    for nonce in 1..=QUEUED + 6 {
        behind.push(send(nonce).await);
    }
    let (kept, forgotten) = behind.split_at(QUEUED as usize);
    // It answers first, and counts afterwards.
    let forgets = async {
        for hash in forgotten {
            while provider.get_transaction_by_hash(*hash).await.unwrap().is_some() {
                tokio::task::yield_now().await;
            }
        }
    };
    timeout(PATIENCE, forgets).await.expect("the pool forgets nothing");
    for hash in kept {
        assert!(provider.get_transaction_by_hash(*hash).await.unwrap().is_some());
    }
    let count = provider.get_transaction_count(key.address()).pending();
    assert_eq!(count.await.unwrap(), 0);
    send(0).await;
    chain.receipt(kept[kept.len() - 1]).await.unwrap();
    let count = provider.get_transaction_count(key.address()).pending();
    assert_eq!(count.await.unwrap(), QUEUED + 1);
}

/// Somebody with the same key sent ahead: the pool holds it silently until the manager has filled the gap. No block
/// comes before the manager has given that nonce away too.
#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_strangers_transaction_behind_a_gap_supersedes_one_call_and_no_more() {
    let chain = STACK.alone().await;
    let key = chain.account(ether(1)).await.unwrap();
    let halt = Halt::of(&chain).await;
    let foreign = TxEip1559 {
        nonce: 1,
        // More than the manager goes up to.
        max_fee_per_gas: 40_000_000_000,
        max_priority_fee_per_gas: 20_000_000_000,
        value: U256::from(77),
        ..transaction()
    };
    let foreign = chain.send(&signed(foreign, &key)).await.unwrap();
    let mut account = manager_of(key, chain.rpc_url(), patient());
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(account.manager.submit(transfer(1)).await.unwrap());
    }
    let given_away = |status: &TxStatus| status.in_flight.iter().any(|sent| sent.nonce == 1);
    account.status(given_away).await;
    drop(halt);
    let (mut included, mut superseded) = (Vec::new(), 0);
    while !waiting.is_empty() {
        match account.outcome().await {
            TxEvent::Included { id, nonce, .. } => {
                waiting.retain(|waits| *waits != id);
                included.push(nonce);
            }
            TxEvent::Superseded { id, nonce } => {
                assert_eq!(nonce, 1);
                superseded += 1;
                waiting.retain(|waits| *waits != id);
                waiting.push(account.manager.submit(transfer(1)).await.unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((included, superseded), (vec![0, 2, 3], 1));
    assert!(chain.receipt(foreign).await.unwrap().status());
}
