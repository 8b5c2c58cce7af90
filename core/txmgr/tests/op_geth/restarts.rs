//! op-geth that goes away and comes back.

use std::collections::BTreeMap;

use alloy::{network::ReceiptResponse, providers::Provider};
use set_txmgr::{TxConfig, TxEvent};

use crate::{
    fixture::{impatient, transfer},
    rig::{Heads, STACK, account},
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
    while included.len() < CALLS as usize {
        match account.event().await {
            TxEvent::Included { nonce, hash, .. } => assert_eq!(included.insert(nonce, hash), None),
            TxEvent::Reorged { nonce, hash, .. } => assert_eq!(included.remove(&nonce), Some(hash)),
            TxEvent::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
        if included.len() >= 4 * (killed + 1) && killed < 2 {
            killed += 1;
            chain.geth().kill().await.unwrap();
            chain.geth().restart().await.unwrap();
            // It insists on blocks that op-geth has not any more, until it asks op-geth anew.
            chain.node().restart().await.unwrap();
        }
    }
    submitting.await.unwrap();
    // A reorg that the manager has not seen yet is a block behind at most.
    let mut heads = Heads::follow(&chain);
    for _ in 0..2 {
        heads.next().await;
    }
    while !account.is_silent() {
        match account.event().await {
            TxEvent::Included { nonce, hash, .. } => assert_eq!(included.insert(nonce, hash), None),
            TxEvent::Reorged { nonce, hash, .. } => assert_eq!(included.remove(&nonce), Some(hash)),
            _ => {}
        }
    }
    assert!(included.keys().copied().eq(0..CALLS));
    for hash in included.into_values() {
        assert!(chain.receipt(hash).await.unwrap().status());
    }
    let sent = chain.provider().get_transaction_count(account.manager.address());
    assert_eq!(sent.await.unwrap(), CALLS);
}
