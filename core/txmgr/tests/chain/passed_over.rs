//! Transactions that pay enough and that no block takes.

use alloy::providers::Provider;
use set_chain::ChainView;
use set_testkit::{Anvil, RpcProxy, Rule};
use set_txmgr::{AlarmKind, BlockShare, Call, TxConfig, TxEvent};

use crate::fixture::{Account, PATIENCE, impatient, noise, patient, transfer};

#[tokio::test]
async fn what_is_too_large_is_given_back_and_planned_smaller() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::swallow(5_000));
    let mut account = Account::with(&anvil, &proxy.url(), patient(), |_| {});
    let large = [
        account.manager.submit(noise(18_000)).await.unwrap(),
        account.manager.submit(noise(17_000)).await.unwrap(),
    ];
    let small = account.manager.submit(noise(500)).await.unwrap();
    let mut bids = 0;
    let mut given_back = Vec::new();
    loop {
        match account.event().await {
            TxEvent::Sent { id, .. } => bids += u32::from(id == large[0]),
            TxEvent::Superseded { id, .. } => given_back.push(id),
            TxEvent::Included { id, .. } => break assert_eq!(id, small),
            other => panic!("{other:?}"),
        }
    }
    // The call itself, once more at a higher price, and the empty transaction that took its place.
    assert_eq!((given_back.as_slice(), bids), (large.as_slice(), 3));
    let limit = account.manager.status().size_limit.unwrap();
    assert!((7_000..=8_500).contains(&limit.estimated_bytes), "{limit:?}");
    let limits = account.manager.call_limits(&ChainView::unknown());
    assert_eq!((limits.estimated_bytes, limits.gas), (limit.estimated_bytes, limit.gas));

    // What was planned before the limit was known comes back at once; what fits raises it again.
    let id = account.manager.submit(noise(18_000)).await.unwrap();
    assert!(matches!(account.outcome().await, TxEvent::Returned { id: returned, .. } if returned == id));
    proxy.heal();
    account.manager.submit(noise(8_000)).await.unwrap();
    assert!(matches!(account.outcome().await, TxEvent::Included { .. }));
    let raised = |now: set_txmgr::CallSize| now.estimated_bytes > limit.estimated_bytes;
    account.status(|status| status.size_limit.is_none_or(raised)).await;
}

#[tokio::test]
async fn the_smallest_call_waits_and_is_bid_up_once_only() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::swallow(0));
    let mut account = Account::with(&anvil, &proxy.url(), patient(), |_| {});
    account.send(1).await;
    // Once a block was seen to pass it over, no time-out bids it up.
    let looks = proxy.calls("eth_getTransactionCount");
    proxy.called("eth_getTransactionCount", looks + 2, PATIENCE).await;
    account.manager.reconfigure(impatient()).unwrap();
    account.alarm(AlarmKind::PassedOver, true).await;
    let newest = match account.event().await {
        TxEvent::Sent { hash, .. } => hash,
        other => panic!("{other:?}"),
    };
    let status = account.manager.status();
    assert_eq!(
        (status.in_flight[0].versions, status.in_flight[0].hash),
        (2, Some(newest))
    );
    proxy.heal();
    assert_eq!(account.included().await.1, newest);
    account.alarm(AlarmKind::PassedOver, false).await;
}

/// As where a node's pool keeps a transaction and no longer offers it: only another version helps.
#[tokio::test]
async fn what_waits_at_the_smallest_size_is_renewed_by_itself() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::swallow(0).times(3));
    let mut account = Account::with(&anvil, &proxy.url(), patient(), |_| {});
    account.send(1).await;
    account.alarm(AlarmKind::PassedOver, true).await;
    let learnt = account.manager.status().size_limit.unwrap();
    let TxEvent::Included { nonce: 0, hash, .. } = account.outcome().await else {
        panic!("it was not included");
    };
    assert!(anvil.provider().get_transaction_receipt(hash).await.unwrap().is_some());
    assert_eq!(proxy.calls("eth_sendRawTransaction"), 4);
    account.alarm(AlarmKind::PassedOver, false).await;
    // Nothing is sent that could raise it.
    let raised = |now: set_txmgr::CallSize| now.gas > learnt.gas;
    account.status(|status| status.size_limit.is_none_or(raised)).await;
}

/// anvil itself passes over what exceeds the block's gas, while it includes others.
#[tokio::test]
async fn a_call_above_the_blocks_gas_makes_room_for_smaller_ones() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let config = TxConfig {
        max_block_share: BlockShare::Off,
        max_gas: 15_000_000,
        ..patient()
    };
    let mut account = Account::with(&anvil, anvil.url(), config, |_| {});
    anvil.set_block_time(0).await.unwrap();
    let with_gas = |gas_limit| Call {
        gas_limit,
        ..transfer(1)
    };
    account.manager.submit(with_gas(12_000_000)).await.unwrap();
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 0, .. }));
    let _: serde_json::Value = anvil.call("anvil_setBlockGasLimit", ("0x7a1200",)).await.unwrap();
    anvil.set_block_time(1).await.unwrap();
    assert!(matches!(account.outcome().await, TxEvent::Superseded { nonce: 0, .. }));
    assert_eq!(
        account.manager.status().size_limit.map(|limit| limit.gas),
        Some(6_000_000)
    );
    account.manager.submit(with_gas(6_000_000)).await.unwrap();
    assert!(matches!(account.outcome().await, TxEvent::Included { nonce: 1, .. }));
}
