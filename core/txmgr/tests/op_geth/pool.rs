//! Queues of nonces, as op-geth's pool keeps them.

use std::sync::Arc;

use alloy::{consensus::TxEip1559, network::ReceiptResponse, providers::Provider};
use alloy_primitives::{U256, keccak256};
use set_testkit::{
    anvil::DEVNET_CHAIN_ID,
    op_stack::{signed, transaction},
};
use set_txmgr::{BlockShare, LocalKey, TxConfig, TxEvent};

use crate::{
    fixture::{Account, patient, transfer},
    rig::{Halt, STACK, account, ether},
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
    let mut account = account(&chain, config).await;
    account.status(|status| status.account_nonce == Some(0)).await;
    let halt = Halt::of(&chain);
    for nonce in 0..QUEUED {
        assert_eq!(account.send(1).await.0, nonce);
    }
    let pending = chain.provider().get_transaction_count(account.manager.address());
    assert_eq!(pending.pending().await.unwrap(), QUEUED);
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
    for nonce in (1..=QUEUED + 6).chain([0]) {
        let tx = TxEip1559 { nonce, ..transaction() };
        chain.send(&signed(tx, &key)).await.unwrap();
        if nonce == QUEUED + 6 {
            let pending = provider.get_transaction_count(key.address()).pending();
            assert_eq!(pending.await.unwrap(), 0);
        }
    }
    let last = TxEip1559 {
        nonce: QUEUED,
        ..transaction()
    };
    let hash = keccak256(signed(last, &key));
    chain.receipt(hash).await.unwrap();
    let count = provider.get_transaction_count(key.address()).pending();
    assert_eq!(count.await.unwrap(), QUEUED + 1);
}

/// Somebody with the same key sent ahead: the pool holds it silently until the manager has filled the gap.
#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_strangers_transaction_behind_a_gap_supersedes_one_call_and_no_more() {
    let chain = STACK.shared().await;
    let key = chain.account(ether(1)).await.unwrap();
    let foreign = TxEip1559 {
        nonce: 1,
        // More than the manager goes up to.
        max_fee_per_gas: 40_000_000_000,
        max_priority_fee_per_gas: 20_000_000_000,
        value: U256::from(77),
        ..transaction()
    };
    let foreign = chain.send(&signed(foreign, &key)).await.unwrap();
    let mut account = Account::on(DEVNET_CHAIN_ID, chain.rpc_url(), patient(), |parts| {
        parts.signer = Arc::new(LocalKey::from(key));
    });
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(account.manager.submit(transfer(1)).await.unwrap());
    }
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
