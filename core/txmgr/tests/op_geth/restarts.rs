//! op-geth that goes away and comes back.

use std::collections::BTreeMap;

use alloy::{network::ReceiptResponse, providers::Provider};
use alloy_primitives::B256;
use set_testkit::op_stack::Turn;
use set_txmgr::{TxConfig, TxEvent};

use crate::{
    fixture::{impatient, transfer},
    rig::{STACK, account},
};

const CALLS: u64 = 24;

/// Killed, op-geth forgets its newest blocks, and op-node makes others in their place: a reorg that nobody
/// announces.
#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_killed_node_costs_no_call_and_doubles_none() {
    let chain = STACK.alone().await;
    let mut account = account(
        &chain,
        TxConfig {
            max_in_flight: 4,
            ..impatient()
        },
    )
    .await;
    let manager = account.manager.clone();
    let submitting = tokio::spawn(async move {
        for _ in 0..CALLS {
            manager.submit(transfer(1)).await.unwrap();
        }
    });
    let mut included = BTreeMap::new();
    let mut killed = 0;
    // What the manager calls included is so in the end; until it has seen every reorg, not yet.
    while included.len() < CALLS as usize || !account.is_silent() || !are_included(&chain, &included).await {
        match account.event().await {
            TxEvent::Included { nonce, hash, .. } => assert_eq!(included.insert(nonce, hash), None),
            TxEvent::Reorged { nonce, hash, .. } => assert_eq!(included.remove(&nonce), Some(hash)),
            TxEvent::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
        if included.len() >= 4 * (killed + 1) && killed < 2 {
            killed += 1;
            let restarted = chain.restart(chain.geth()).await;
            restarted.unwrap_or_else(|error| panic!("{error}"));
        }
    }
    submitting.await.unwrap();
    assert!(included.keys().copied().eq(0..CALLS));
    let sent = chain.provider().get_transaction_count(account.manager.address());
    assert_eq!(sent.await.unwrap(), CALLS);
}

/// Whether blocks hold all of them.
async fn are_included(chain: &Turn<'_>, transactions: &BTreeMap<u64, B256>) -> bool {
    for hash in transactions.values() {
        match chain.provider().get_transaction_receipt(*hash).await.unwrap() {
            Some(receipt) => assert!(receipt.status(), "{receipt:?}"),
            None => return false,
        }
    }
    true
}
