//! What an account can afford and may do.

use alloy_primitives::{Address, Bytes, U256, address, bytes};
use set_testkit::{Action, Anvil, RpcProxy, Rule};
use set_txmgr::{AlarmKind, BlockBudget, BlockShare, Call, LocalKey, TxConfig, TxEvent};

use crate::fixture::{Account, PATIENCE, key, patient, transfer};

/// The fee predeploy of OP Stack chains.
const GAS_PRICE_ORACLE: Address = address!("420000000000000000000000000000000000000F");

async fn set_code(anvil: &Anvil, account: Address, code: Bytes) {
    let _: serde_json::Value = anvil.call("anvil_setCode", (account, code)).await.unwrap();
}

#[tokio::test]
async fn an_account_that_carries_code_has_one_transaction_on_its_way() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    // A delegation by EIP-7702.
    let delegation = bytes!("ef010000000000000000000000000000000000000a11ce");
    set_code(&anvil, key().address(), delegation).await;
    let mut account = Account::with(&anvil, anvil.url(), patient(), |_| {});
    account.alarm(AlarmKind::HasCode, true).await;
    for _ in 0..3 {
        account.manager.submit(transfer(1)).await.unwrap();
    }
    for nonce in 0..2 {
        assert!(matches!(account.event().await, TxEvent::Sent { nonce: sent, .. } if sent == nonce));
        let status = account.manager.status();
        assert_eq!((status.in_flight.len(), status.queued), (1, 2 - nonce as usize));
        anvil.mine(1).await.unwrap();
        assert_eq!(account.included().await.0, nonce);
    }
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 2, .. }));
    // Without the code several go at once again.
    set_code(&anvil, key().address(), Bytes::new()).await;
    anvil.mine(1).await.unwrap();
    account.included().await;
    account.alarm(AlarmKind::HasCode, false).await;
    for nonce in 3..6 {
        assert_eq!(account.send(1).await.0, nonce);
    }
}

#[tokio::test]
async fn the_balance_must_pay_for_l1_data_and_the_operator_too() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let account = Account::with(&anvil, anvil.url(), patient(), |_| {});
    let ether = U256::from(10).pow(U256::from(18));
    anvil.set_balance(key().address(), ether).await.unwrap();
    account.status(|status| status.balance == Some(ether)).await;
    account.alarm(AlarmKind::LowBalance, false).await;
    drop(account);
    // Answers everything with half an ether: that much for L1 data, and as much for the operator.
    set_code(&anvil, GAS_PRICE_ORACLE, bytes!("6706f05b59d3b2000060005260206000f3")).await;
    let account = Account::with(&anvil, anvil.url(), patient(), |_| {});
    account.alarm(AlarmKind::LowBalance, true).await;
    anvil.set_balance(key().address(), ether * U256::from(2)).await.unwrap();
    account.alarm(AlarmKind::LowBalance, false).await;
}

#[tokio::test]
async fn accounts_share_what_they_may_take_of_a_block() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    // 300,000 of 30,000,000 gas.
    let config = TxConfig {
        max_block_share: BlockShare::Percent(1),
        ..patient()
    };
    let budget = BlockBudget::default();
    let call = || Call {
        gas_limit: 200_000,
        ..transfer(1)
    };
    let mut one = Account::with(&anvil, anvil.url(), config.clone(), |parts| {
        parts.budget = budget.clone()
    });
    let mut two = Account::with(&anvil, anvil.url(), config.clone(), |parts| {
        parts.budget = budget.clone();
        parts.signer = std::sync::Arc::new(LocalKey::from(Anvil::account(2)));
    });
    one.manager.submit(call()).await.unwrap();
    assert!(matches!(one.event().await, TxEvent::Sent { .. }));
    for account in [&one, &two] {
        account.manager.submit(call()).await.unwrap();
        account.status(|status| status.queued == 1).await;
    }
    anvil.mine(1).await.unwrap();
    one.included().await;
    // Whoever stood in line first sends next, and only one of them.
    let in_flight = || one.manager.status().in_flight.len() + two.manager.status().in_flight.len();
    tokio::select! {
        _ = one.status(|status| !status.in_flight.is_empty()) => {}
        _ = two.status(|status| !status.in_flight.is_empty()) => {}
    }
    assert_eq!(in_flight(), 1);
    // Lifted, nothing waits any more.
    for account in [&one, &two] {
        let lifted = TxConfig {
            max_block_share: BlockShare::Off,
            ..config.clone()
        };
        account.manager.reconfigure(lifted).unwrap();
    }
    for account in [&mut one, &mut two] {
        assert!(matches!(account.event().await, TxEvent::Sent { .. }));
    }
}

#[tokio::test]
async fn a_senders_share_of_the_pool_is_waited_for_block_by_block() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let hour = std::time::Duration::from_secs(3_600);
    let config = TxConfig {
        publish_retry: hour,
        publish_retry_max: hour,
        ..patient()
    };
    let mut account = Account::with(&anvil, &proxy.url(), config, |_| {});
    account.send(1).await;
    let full = Action::Error {
        code: -32_003,
        message: "txpool is full: account limit exceeded".into(),
    };
    proxy.inject(Rule::on(["eth_sendRawTransaction"], full).times(1));
    account.manager.submit(transfer(1)).await.unwrap();
    account.status(|status| status.in_flight.len() == 2).await;
    proxy.called("eth_sendRawTransaction", 2, PATIENCE).await;
    anvil.mine(1).await.unwrap();
    assert_eq!(account.included().await.0, 0);
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 1, .. }));
}
