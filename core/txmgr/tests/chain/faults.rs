//! A node that loses, refuses and lies, and a signer that fails.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use alloy::consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use async_trait::async_trait;
use set_testkit::{Action, Anvil, RpcProxy, Rule};
use set_txmgr::{AlarmKind, Journal, SignError, TxEvent, TxSigner};

use crate::fixture::{Account, impatient, key, patient, received, transfer};

const SEND: [&str; 1] = ["eth_sendRawTransaction"];

fn error(message: &str) -> Action {
    Action::Error {
        code: -32000,
        message: message.into(),
    }
}

#[tokio::test]
async fn answers_that_are_lost_count_as_sent() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::on(SEND, Action::Lose).times(2));
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    for nonce in 0..3 {
        assert_eq!(account.send(1).await.0, nonce);
    }
    anvil.mine(1).await.unwrap();
    for nonce in 0..3 {
        assert_eq!(account.included().await.0, nonce);
    }
    assert_eq!(proxy.calls("eth_sendRawTransaction"), 3);
    assert_eq!(received(&anvil).await, U256::from(3));
}

#[tokio::test]
async fn bytes_that_never_arrived_are_sent_again() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::on(SEND, Action::Drop).times(1));
    let mut account = Account::start(&anvil, &proxy.url(), impatient(), Journal::in_memory());
    account.send(1).await;
    loop {
        match account.event().await {
            TxEvent::Included { nonce, .. } => break assert_eq!(nonce, 0),
            TxEvent::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received(&anvil).await, U256::from(1));
}

#[tokio::test]
async fn a_node_that_goes_away_and_comes_back_is_waited_for() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.go_down().await;
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    account.manager.submit(transfer(1)).await.unwrap();
    account.status(|status| status.queued == 1).await;
    proxy.come_back().await.unwrap();
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 0, .. }));
    anvil.mine(1).await.unwrap();
    account.included().await;
}

#[tokio::test]
async fn a_node_that_hides_what_became_of_transactions_raises_an_alarm() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    account.send(1).await;
    proxy.inject(Rule::on(["eth_getTransactionCount"], error("header not found")));
    anvil.mine(1).await.unwrap();
    account.alarm(AlarmKind::Unobserved, true).await;
    assert!(account.is_silent());
    proxy.heal();
    assert_eq!(account.included().await.0, 0);
    account.alarm(AlarmKind::Unobserved, false).await;
}

#[tokio::test]
async fn a_null_receipt_of_an_included_transaction_changes_nothing() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    account.send(1).await;
    let hidden = Action::Answer(serde_json::Value::Null);
    proxy.inject(Rule::on(["eth_getTransactionReceipt"], hidden).times(1));
    anvil.mine(1).await.unwrap();
    account.account_nonce(1).await;
    assert!(account.is_silent());
    anvil.mine(1).await.unwrap();
    assert_eq!(account.included().await.0, 0);
}

/// Everything at once: lost answers, lost requests, gateways that give up, a reorg.
#[tokio::test]
async fn in_a_storm_nothing_is_lost_and_nothing_is_sent_twice() {
    const CALLS: u64 = 40;
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let mut account = Account::start(&anvil, &proxy.url(), impatient(), Journal::in_memory());
    let manager = account.manager.clone();
    let submitting = tokio::spawn(async move {
        for _ in 0..CALLS {
            manager.submit(transfer(1)).await.unwrap();
        }
    });
    let mut included = std::collections::BTreeSet::new();
    let mut storms = 0;
    while included.len() < CALLS as usize {
        match account.event().await {
            TxEvent::Included { nonce, .. } => assert!(included.insert(nonce)),
            TxEvent::Reorged { nonce, .. } => assert!(included.remove(&nonce)),
            TxEvent::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
        let done = included.len() as u64;
        if done >= 10 * (storms + 1) && storms < 3 {
            storms += 1;
            proxy.inject(Rule::on(SEND, Action::Lose).times(2));
            proxy.inject(Rule::on(SEND, Action::Drop).times(2));
            proxy.inject(Rule::on(SEND, Action::Status(502)).times(1));
            proxy.inject(Rule::on(SEND, Action::Status(429)).times(1));
            proxy.inject(Rule::on(SEND, error("internal error")).times(1));
            anvil.reorg(2).await.unwrap();
        }
    }
    submitting.await.unwrap();
    assert!(included.into_iter().eq(0..CALLS));
    assert_eq!(received(&anvil).await, U256::from(CALLS));
}

#[tokio::test]
async fn a_full_pool_is_tried_again_with_the_same_nonce() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::on(SEND, error("txpool is full")));
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    account.manager.submit(transfer(1)).await.unwrap();
    account.alarm(AlarmKind::Refused, true).await;
    proxy.heal();
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 0, .. }));
    account.alarm(AlarmKind::Refused, false).await;
}

#[tokio::test]
async fn a_node_that_wrongly_calls_a_nonce_used_leaves_no_gap() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::on(SEND, error("nonce too low: next nonce 1, tx nonce 0")).times(1));
    let mut account = Account::start(&anvil, &proxy.url(), patient(), Journal::in_memory());
    account.manager.submit(transfer(1)).await.unwrap();
    assert!(matches!(account.event().await, TxEvent::Superseded { nonce: 0, .. }));
    assert_eq!(account.send(1).await.0, 1);
    anvil.set_block_time(1).await.unwrap();
    assert_eq!(account.included().await.0, 1);
    assert_eq!(received(&anvil).await, U256::from(1));
}

#[tokio::test]
async fn bytes_that_turn_out_to_be_invalid_do_not_block_the_account() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    // First nobody knows, then no node takes it: the empty transaction in its place comes after that.
    proxy.inject(Rule::on(SEND, Action::Drop).times(1));
    proxy.inject(Rule::on(SEND, error("intrinsic gas too low")).times(1));
    let mut account = Account::start(&anvil, &proxy.url(), impatient(), Journal::in_memory());
    account.send(5).await;
    let mut superseded = false;
    while !superseded {
        match account.event().await {
            TxEvent::Superseded { nonce, .. } => superseded = nonce == 0,
            TxEvent::Sent { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(account.send(1).await.0, 1);
    account.included().await;
    assert_eq!(received(&anvil).await, U256::from(1));
}

/// Fails once over the empty transaction, which goes from the account to itself.
struct FailsOnce {
    key: Arc<dyn TxSigner>,
    fillers: AtomicU32,
}

#[async_trait]
impl TxSigner for FailsOnce {
    fn address(&self) -> Address {
        self.key.address()
    }

    async fn sign(&self, tx: &TxEip1559) -> Result<Bytes, SignError> {
        let filler = tx.to == TxKind::Call(self.address());
        if filler && self.fillers.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(SignError("the signer is on holiday".into()));
        }
        self.key.sign(tx).await
    }
}

#[tokio::test]
async fn a_nonce_is_freed_from_invalid_bytes_even_if_the_signer_fails_over_it() {
    let anvil = Anvil::builder().block_time(1).spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::on(SEND, Action::Drop).times(1));
    proxy.inject(Rule::on(SEND, error("intrinsic gas too low")).times(1));
    let signer = Arc::new(FailsOnce {
        key: key(),
        fillers: AtomicU32::new(0),
    });
    let mut account = Account::with_signer(&anvil, &proxy.url(), impatient(), Journal::in_memory(), signer);
    account.send(5).await;
    account.alarm(AlarmKind::Signer, true).await;
    match account.outcome().await {
        TxEvent::Superseded { nonce, .. } => assert_eq!(nonce, 0),
        other => panic!("{other:?}"),
    }
    account.alarm(AlarmKind::Signer, false).await;
    assert_eq!(account.send(1).await.0, 1);
    account.included().await;
    assert_eq!(received(&anvil).await, U256::from(1));
}

/// Fails, then signs something else, then works.
struct Unreliable {
    key: Arc<dyn TxSigner>,
    calls: AtomicU32,
}

#[async_trait]
impl TxSigner for Unreliable {
    fn address(&self) -> Address {
        self.key.address()
    }

    async fn sign(&self, tx: &TxEip1559) -> Result<Bytes, SignError> {
        match self.calls.fetch_add(1, Ordering::Relaxed) {
            0 => Err(SignError("the signer is on holiday".into())),
            1 => {
                let mut other = tx.clone();
                other.value = U256::from(1_000_000);
                self.key.sign(&other).await
            }
            2 => panic!("the signer is broken"),
            _ => self.key.sign(tx).await,
        }
    }
}

#[tokio::test]
async fn a_signer_that_fails_lies_and_panics_costs_no_nonce() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let signer = Arc::new(Unreliable {
        key: key(),
        calls: AtomicU32::new(0),
    });
    let mut account = Account::with_signer(&anvil, anvil.url(), patient(), Journal::in_memory(), signer.clone());
    account.manager.submit(transfer(1)).await.unwrap();
    account.alarm(AlarmKind::Signer, true).await;
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 0, .. }));
    account.alarm(AlarmKind::Signer, false).await;
    assert_eq!(signer.calls.load(Ordering::Relaxed), 4);
    anvil.mine(1).await.unwrap();
    account.included().await;
    assert_eq!(received(&anvil).await, U256::from(1));
}
