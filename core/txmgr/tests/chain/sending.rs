//! The plain path: many at once, in order, settled as the chain says.

use std::time::Duration;

use set_chain::SettlementTag;
use set_testkit::{Action, Anvil, RpcProxy, Rule};
use set_txmgr::{Call, Journal, SubmitError, TxConfig, TxEvent};

use crate::fixture::{Account, patient, received, transfer};

#[tokio::test]
async fn a_pipeline_of_calls_lands_in_one_block() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    for nonce in 0..8 {
        assert_eq!(account.send(1).await.0, nonce);
    }
    assert_eq!(account.manager.room(), 0);
    anvil.mine(1).await.unwrap();
    for nonce in 0..8 {
        let (included, _, block) = account.included().await;
        assert_eq!((included, block), (nonce, 1));
    }
    account.status(|status| status.is_idle()).await;
    assert_eq!(account.manager.room(), 8);
    assert_eq!(received(&anvil).await.to::<u64>(), 8);
}

#[tokio::test]
async fn a_call_waits_for_room_and_goes_out_as_blocks_come() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let config = TxConfig {
        max_in_flight: 2,
        watch_until: SettlementTag::Included,
        ..patient()
    };
    let mut account = Account::start(&anvil, anvil.url(), config, Journal::in_memory());
    let manager = account.manager.clone();
    let submitting = tokio::spawn(async move {
        for _ in 0..6 {
            manager.submit(transfer(1)).await.unwrap();
        }
    });
    let (mut sent, mut included) = (0, 0);
    while included < 6 {
        match account.event().await {
            TxEvent::Sent { nonce, .. } => {
                assert_eq!(nonce, sent);
                sent += 1;
            }
            TxEvent::Included { nonce, .. } => {
                assert_eq!(nonce, included);
                included += 1;
            }
            other => panic!("{other:?}"),
        }
        assert!(sent - included <= 2);
    }
    submitting.await.unwrap();
    assert!(account.manager.drain(Duration::from_secs(60)).await);
    assert_eq!(account.manager.submit(transfer(1)).await, Err(SubmitError::Closed));
    assert_eq!(account.manager.status().awaiting_settlement, 0);
}

#[tokio::test]
async fn settlement_follows_the_tags_and_a_lost_tag_is_no_reorg() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let pin = |safe, finalized| {
        proxy.heal();
        proxy.inject(Rule::pin("safe", safe));
        proxy.inject(Rule::pin("finalized", finalized));
    };
    pin(0, 0);
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    let (_, hash) = account.send(1).await;
    anvil.mine(3).await.unwrap();
    account.included().await;

    pin(1, 0);
    match account.event().await {
        TxEvent::Settled {
            hash: settled,
            tag,
            block,
            ..
        } => {
            assert_eq!((settled, tag, block.number), (hash, SettlementTag::Safe, 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(account.manager.status().awaiting_settlement, 1);

    // The tag falls back, as after a restart of the node, then is gone, then goes on to the end.
    pin(0, 0);
    anvil.mine(1).await.unwrap();
    account.status(|status| status.awaiting_settlement == 1).await;
    proxy.replace([
        Rule::on_tag("safe", Action::Answer(serde_json::Value::Null)),
        Rule::on_tag("finalized", Action::Answer(serde_json::Value::Null)),
    ]);
    anvil.mine(1).await.unwrap();
    let looks = proxy.calls("eth_getTransactionCount");
    while proxy.calls("eth_getTransactionCount") < looks + 1 {
        anvil.mine(1).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(account.is_silent());
    pin(3, 2);
    match account.event().await {
        TxEvent::Settled { hash: settled, tag, .. } => assert_eq!((settled, tag), (hash, SettlementTag::Finalized)),
        other => panic!("{other:?}"),
    }
    account.status(|status| status.awaiting_settlement == 0).await;
}

#[tokio::test]
async fn a_revert_is_included_as_such_and_takes_nobody_along() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    let reverting = alloy_primitives::address!("00000000000000000000000000000000000badc0");
    // PUSH1 0 PUSH1 0 REVERT
    let code = alloy_primitives::bytes!("60006000fd");
    let _: serde_json::Value = anvil.call("anvil_setCode", (reverting, code)).await.unwrap();
    let failing = Call {
        to: reverting,
        gas_limit: 50_000,
        ..transfer(0)
    };
    account.manager.submit(failing).await.unwrap();
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 0, .. }));
    assert_eq!(account.send(1).await.0, 1);
    anvil.mine(1).await.unwrap();
    match account.event().await {
        TxEvent::Included {
            nonce: 0, succeeded, ..
        } => assert!(!succeeded),
        other => panic!("{other:?}"),
    }
    assert_eq!(account.included().await.0, 1);
}

#[tokio::test]
async fn a_call_that_runs_out_of_gas_is_included_as_such() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    let endless = alloy_primitives::address!("00000000000000000000000000000000000e4d1e");
    // JUMPDEST PUSH1 0 JUMP
    let code = alloy_primitives::bytes!("5b600056");
    let _: serde_json::Value = anvil.call("anvil_setCode", (endless, code)).await.unwrap();
    let call = Call {
        to: endless,
        gas_limit: 50_000,
        ..transfer(0)
    };
    account.manager.submit(call).await.unwrap();
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 0, .. }));
    anvil.mine(1).await.unwrap();
    match account.event().await {
        TxEvent::Included {
            succeeded, gas_used, ..
        } => assert_eq!((succeeded, gas_used), (false, 50_000)),
        other => panic!("{other:?}"),
    }
    assert_eq!(account.send(1).await.0, 1);
}

#[tokio::test]
async fn a_call_that_no_node_takes_gives_its_nonce_to_the_next() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    let starved = Call {
        gas_limit: 20_000,
        ..transfer(1)
    };
    let id = account.manager.submit(starved).await.unwrap();
    match account.event().await {
        TxEvent::Dropped { id: dropped, reason } => {
            assert_eq!(dropped, id);
            assert!(reason.contains("intrinsic gas"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(account.send(1).await.0, 0);
    let huge = Call {
        gas_limit: 16_000_000,
        ..transfer(1)
    };
    let error = account.manager.submit(huge).await.unwrap_err();
    assert!(error.to_string().contains("txmgr.max_gas"), "{error}");
}
