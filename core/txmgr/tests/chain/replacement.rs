//! Transactions that no block takes.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use set_testkit::{Action, Anvil, RpcProxy, Rule};
use set_txmgr::{AlarmKind, Journal, TxConfig, TxEvent, Wei};

use crate::fixture::{Account, PATIENCE, empty_pool, impatient, patient, received};

/// However long the time-out, the head that prices a transaction out has it replaced, once.
#[tokio::test]
async fn a_transaction_below_the_base_fee_is_replaced_at_the_next_head() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    let (nonce, first) = account.send(1).await;
    let (_, second) = account.send(1).await;
    anvil.set_next_base_fee(20_000_000_000).await.unwrap();
    anvil.mine(1).await.unwrap();
    // Both are on their way at once, and either may be first.
    let mut replacements = BTreeMap::new();
    for _ in 0..2 {
        match account.event().await {
            TxEvent::Sent { nonce, hash, .. } => replacements.insert(nonce, hash),
            other => panic!("{other:?}"),
        };
    }
    assert!(replacements.values().all(|hash| *hash != first && *hash != second));
    anvil.mine(1).await.unwrap();
    for nonce in [nonce, nonce + 1] {
        assert_eq!(account.included().await, (nonce, replacements[&nonce], 2));
    }
    assert_eq!(proxy.calls("eth_sendRawTransaction"), 4);
    assert_eq!(received(&anvil).await, U256::from(2));
}

#[tokio::test]
async fn at_the_ceiling_the_same_bytes_go_out_again() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let config = TxConfig {
        fee_ceiling_multiplier: 2,
        fee_ceiling_threshold: Wei(0),
        // The first replacement fits below it, a second does not.
        max_fee: Wei::gwei(4),
        ..impatient()
    };
    let mut account = Account::start(&anvil, anvil.url(), config, Journal::in_memory());
    account.send(1).await;
    account.alarm(AlarmKind::FeeCeiling, true).await;
    let mut newest = None;
    while !account.is_silent() {
        match account.event().await {
            TxEvent::Sent { hash, .. } => newest = Some(hash),
            other => panic!("{other:?}"),
        }
    }
    // Even out of the pool, it comes back as it was.
    empty_pool(&anvil).await;
    anvil.set_block_time(1).await.unwrap();
    let (_, hash, _) = account.included().await;
    assert_eq!(Some(hash), newest);
}

#[tokio::test]
async fn a_transaction_that_the_pool_lost_comes_back() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), impatient(), Journal::in_memory());
    account.send(1).await;
    account.send(1).await;
    empty_pool(&anvil).await;
    anvil.set_block_time(1).await.unwrap();
    let mut included = 0;
    while included < 2 {
        match account.event().await {
            TxEvent::Included { nonce, .. } => {
                assert_eq!(nonce, included);
                included += 1;
            }
            TxEvent::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received(&anvil).await, U256::from(2));
}

#[tokio::test]
async fn an_empty_account_waits_with_an_alarm_and_goes_on_after_a_top_up() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut account = Account::start(&anvil, anvil.url(), patient(), Journal::in_memory());
    let address = account.manager.address();
    anvil.set_balance(address, U256::ZERO).await.unwrap();
    anvil.mine(1).await.unwrap();
    account.alarm(AlarmKind::LowBalance, true).await;
    account.manager.submit(crate::fixture::transfer(1)).await.unwrap();
    account.alarm(AlarmKind::InsufficientFunds, true).await;
    assert!(account.is_silent());

    anvil
        .set_balance(address, U256::from(10).pow(U256::from(19)))
        .await
        .unwrap();
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 0, .. }));
    account.alarm(AlarmKind::InsufficientFunds, false).await;
    anvil.mine(1).await.unwrap();
    account.included().await;
    account.alarm(AlarmKind::LowBalance, false).await;
}

#[tokio::test]
async fn a_node_that_asks_more_than_the_ceiling_is_not_flooded() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let config = TxConfig {
        max_fee: Wei::gwei(4),
        ..patient()
    };
    let mut account = Account::start(&anvil, &proxy.url(), config, Journal::in_memory());
    account.send(1).await;
    anvil.mine(1).await.unwrap();
    account.included().await;
    let refusal = Action::Error {
        code: -32_000,
        message: "transaction underpriced".into(),
    };
    proxy.inject(Rule::on(["eth_sendRawTransaction"], refusal));
    anvil.reorg(1).await.unwrap();
    account.alarm(AlarmKind::FeeCeiling, true).await;
    // The manager looks at some more heads, and has nothing more to offer at any of them.
    for _ in 0..5 {
        let looks = proxy.calls("eth_getTransactionCount");
        anvil.mine(1).await.unwrap();
        proxy.called("eth_getTransactionCount", looks + 1, PATIENCE).await;
    }
    let sends = proxy.calls("eth_sendRawTransaction");
    assert!(sends < 12, "{sends} sends");
}
