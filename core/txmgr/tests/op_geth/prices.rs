//! Replacement at a higher price.

use alloy::{consensus::Transaction, providers::Provider};
use set_testkit::op_stack::SystemConfigChange;
use set_txmgr::TxEvent;

use crate::{
    fixture::{impatient, patient},
    rig::{STACK, account, halted_account},
    throttling::{NONE, limit_da},
};

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn the_pool_takes_each_replacement_for_the_one_before() {
    let chain = STACK.alone().await;
    let provider = chain.provider();
    let (mut account, halt) = halted_account(&chain, impatient()).await;
    let mut versions = vec![account.send(1).await.1];
    let pooled = async |hash| provider.get_transaction_by_hash(hash).await.unwrap().is_some();
    // What the pool does not have was replaced again meanwhile, which the next event says.
    while versions.len() <= 3 || !pooled(versions[versions.len() - 1]).await {
        match account.event().await {
            TxEvent::Sent { nonce: 0, hash, .. } => versions.push(hash),
            other => panic!("{other:?}"),
        }
        let before = versions[versions.len() - 2];
        assert!(!pooled(before).await, "{before} is in the pool beside {versions:?}");
    }
    drop(halt);
    // More may go out before the manager sees the block.
    let included = loop {
        match account.event().await {
            TxEvent::Sent { hash, .. } => versions.push(hash),
            TxEvent::Included { nonce: 0, hash, .. } => break hash,
            other => panic!("{other:?}"),
        }
    };
    assert!(versions[3..].contains(&included));
}

/// What is in flight is priced out by what the operator sets on L1, and replaced at the next head.
#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_raised_minimum_base_fee_is_followed_by_what_is_in_flight() {
    let chain = STACK.alone().await;
    let mut account = account(&chain, patient()).await;
    let status = account.status(|status| status.account_nonce == Some(0)).await;
    assert!(status.alarms.is_empty(), "{:?}", status.alarms);
    // No block takes anything.
    limit_da(&chain, 1, 0).await;
    let (nonce, first) = account.send(1).await;
    let offered = account.manager.status().in_flight[0].fee_cap.unwrap();
    let least = u64::try_from(offered.0).unwrap() * 2;
    chain
        .change_system_config(SystemConfigChange::MinBaseFee(least))
        .await
        .unwrap();
    // That blocks leave it out is a reason to send it anew too, where L1 takes its time.
    while account.manager.status().in_flight[0].fee_cap.unwrap().0 <= least.into() {
        match account.event().await {
            TxEvent::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    limit_da(&chain, NONE, NONE).await;
    let hash = match account.outcome().await {
        TxEvent::Included {
            nonce: included, hash, ..
        } if included == nonce => hash,
        other => panic!("{other:?}"),
    };
    assert_ne!(hash, first);
    let replacement = chain.provider().get_transaction_by_hash(hash).await.unwrap().unwrap();
    assert!(replacement.max_fee_per_gas() > least.into(), "{replacement:?}");
    chain
        .change_system_config(SystemConfigChange::MinBaseFee(1_000_000))
        .await
        .unwrap();
}
