//! Several nodes behind one provider: proxies that fail in every way in front of one chain.
#![cfg(feature = "provider")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use alloy::{
    eips::eip2718::Encodable2718,
    network::{EthereumWallet, NetworkWallet, TransactionBuilder},
    providers::Provider,
    rpc::types::TransactionRequest,
    transports::{RpcError, TransportErrorKind},
};
use alloy_primitives::{Address, Bytes, U256};
use op_alloy::network::Optimism;
use serde_json::{Value, json};
use set_chain::{ChainView, EndpointConfig, L2Provider, connect, track};
use set_testkit::{Action, Anvil, RpcProxy, Rule};
use tokio::{sync::watch, time::timeout};

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

type Views = watch::Receiver<Arc<ChainView>>;

/// One chain, and so many ways to it.
struct Paths {
    anvil: Anvil,
    proxies: Vec<RpcProxy>,
}

impl Paths {
    async fn new(count: usize) -> Self {
        let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
        let mut proxies = vec![];
        for _ in 0..count {
            proxies.push(RpcProxy::start(anvil.url().clone()).await.unwrap());
        }
        Self { anvil, proxies }
    }

    fn provider(&self, timeout: Duration) -> L2Provider {
        connect(&EndpointConfig {
            rpc_urls: self.proxies.iter().map(RpcProxy::url).collect(),
            chain_id: Some(self.anvil.chain_id()),
            timeout,
            poll_interval: POLL,
        })
        .unwrap()
    }

    fn follow(&self, provider: &L2Provider) -> Views {
        let (views, tracking) = track(provider.clone(), self.anvil.chain_id(), POLL);
        tokio::spawn(tracking);
        views
    }

    fn name(&self, index: usize) -> String {
        self.proxies[index].url().origin().ascii_serialization()
    }

    /// Returns once the view is at block `number`, as node `index` tells.
    async fn reach(&self, views: &mut Views, number: u64, index: usize) -> Arc<ChainView> {
        let name = self.name(index);
        seen(views, |view| {
            let at = view.latest.is_some_and(|head| head.block.number == number);
            view.reachable && at && view.endpoint.as_ref() == Some(&name)
        })
        .await
    }

    /// Holds a node's head at a block.
    fn hold(&self, index: usize, number: u64) {
        let held = Action::Answer(json!(format!("{number:#x}")));
        self.proxies[index].inject(Rule::pin("latest", number));
        self.proxies[index].inject(Rule::on(["eth_blockNumber"], held));
    }

    /// A signed transfer of account 0.
    async fn transfer(&self) -> Bytes {
        let request = TransactionRequest::default()
            .with_to(Address::repeat_byte(7))
            .with_value(U256::ONE)
            .with_nonce(0)
            .with_chain_id(self.anvil.chain_id())
            .with_gas_limit(21_000)
            .with_max_fee_per_gas(10_000_000_000)
            .with_max_priority_fee_per_gas(1_000_000_000);
        let wallet = EthereumWallet::from(Anvil::account(0));
        let signed = NetworkWallet::<Optimism>::sign_request(&wallet, request.into()).await;
        signed.unwrap().encoded_2718().into()
    }
}

async fn seen(views: &mut Views, fits: impl Fn(&ChainView) -> bool) -> Arc<ChainView> {
    let last = views.clone();
    match timeout(PATIENCE, views.wait_for(|view| fits(view))).await {
        Ok(view) => view.unwrap().clone(),
        Err(_) => panic!("the view stays {:?}", last.borrow()),
    }
}

#[tokio::test]
async fn calls_move_on_from_a_dead_node_and_return_to_it() {
    let mut paths = Paths::new(2).await;
    let provider = paths.provider(PATIENCE);
    let mut views = paths.follow(&provider);
    paths.reach(&mut views, 0, 0).await;
    paths.proxies[0].go_down().await;
    paths.anvil.mine(1).await.unwrap();
    let view = paths.reach(&mut views, 1, 1).await;
    assert_eq!(view.endpoints[1].error, None);
    // A call that was on its way when it died says otherwise; the next one says this.
    let refused = |error: &String| error.to_lowercase().contains("refused");
    seen(&mut views, |view| view.endpoints[0].error.as_ref().is_some_and(refused)).await;
    // Whoever uses the provider notices nothing.
    assert_eq!(provider.get_block_number().await.unwrap(), 1);
    paths.proxies[0].come_back().await.unwrap();
    let view = paths.reach(&mut views, 1, 0).await;
    assert!(view.endpoints.iter().all(|node| node.error.is_none()));
}

#[tokio::test]
async fn a_node_that_is_too_slow_is_passed_over() {
    let paths = Paths::new(2).await;
    paths.proxies[0].inject(Rule::every(Action::Delay(PATIENCE)));
    // In this time the other one answers, however slow the machine.
    let provider = paths.provider(Duration::from_secs(5));
    assert_eq!(provider.get_block_number().await.unwrap(), 0);
    let asked = paths.proxies[0].calls("eth_blockNumber");
    for _ in 0..10 {
        provider.get_block_number().await.unwrap();
    }
    assert_eq!(paths.proxies[0].calls("eth_blockNumber"), asked, "it is left alone");
}

#[tokio::test]
async fn a_node_of_another_chain_gets_no_calls() {
    let mut paths = Paths::new(2).await;
    paths.proxies[1].inject(Rule::on(["eth_chainId"], Action::Answer(json!("0x1"))));
    let provider = paths.provider(PATIENCE);
    let mut views = paths.follow(&provider);
    paths.reach(&mut views, 0, 0).await;
    paths.proxies[0].go_down().await;
    let view = seen(&mut views, |view| !view.reachable && view.endpoints[1].error.is_some()).await;
    let error = view.endpoints[1].error.clone().unwrap();
    assert!(error.contains("chain 1"), "{error}");
    provider.get_balance(Address::ZERO).await.unwrap_err();
    assert_eq!(paths.proxies[1].calls("eth_getBalance"), 0);
    // One that begins to lie is left for the other.
    paths.proxies[1].heal();
    paths.reach(&mut views, 0, 1).await;
    paths.proxies[0].come_back().await.unwrap();
    paths.reach(&mut views, 0, 0).await;
    paths.proxies[0].inject(Rule::on(["eth_chainId"], Action::Answer(json!("0x1"))));
    paths.reach(&mut views, 0, 1).await;
}

#[tokio::test]
async fn a_node_that_is_behind_is_no_reorg() {
    let mut paths = Paths::new(3).await;
    paths.anvil.mine(20).await.unwrap();
    paths.hold(1, 5);
    paths.proxies[2].go_down().await;
    let provider = paths.provider(PATIENCE);
    let mut views = paths.follow(&provider);
    let head = paths.reach(&mut views, 20, 0).await.latest;
    // Alone, it makes the view unreachable, and the head stays.
    paths.proxies[0].go_down().await;
    let view = seen(&mut views, |view| {
        !view.reachable && view.error.as_ref().is_some_and(|error| error.contains("behind"))
    })
    .await;
    assert_eq!(view.latest, head);
    // Another that is not behind is better.
    paths.proxies[2].come_back().await.unwrap();
    paths.reach(&mut views, 20, 2).await;
    // A block or two are the way to it, and go unnoticed.
    paths.hold(2, 18);
    paths.anvil.mine(1).await.unwrap();
    let polls = paths.proxies[2].calls("eth_feeHistory");
    paths.proxies[2].called("eth_feeHistory", polls + 3, PATIENCE).await;
    let view = views.borrow().clone();
    assert!(view.reachable && view.latest == head, "{view:?}");
    paths.proxies[2].heal();
    paths.reach(&mut views, 21, 2).await;
}

#[tokio::test]
async fn a_preferred_node_that_still_syncs_at_the_start_is_left_until_it_is_there() {
    let paths = Paths::new(2).await;
    paths.anvil.mine(9).await.unwrap();
    paths.hold(0, 2);
    let provider = paths.provider(PATIENCE);
    let mut views = paths.follow(&provider);
    let view = paths.reach(&mut views, 9, 1).await;
    let error = view.endpoints[0].error.clone().unwrap();
    assert!(error.contains("7 blocks behind"), "{error}");
    paths.proxies[0].heal();
    let view = paths.reach(&mut views, 9, 0).await;
    assert!(view.endpoints.iter().all(|node| node.error.is_none()));
}

#[tokio::test]
async fn a_node_that_stumbles_is_better_than_one_that_is_behind() {
    let paths = Paths::new(2).await;
    paths.anvil.mine(20).await.unwrap();
    paths.hold(1, 5);
    let provider = paths.provider(PATIENCE);
    let mut views = paths.follow(&provider);
    paths.reach(&mut views, 20, 0).await;
    // Each HTTP request holds one of these: a poll and a look ask for the chain id.
    let requests = AtomicU32::new(0);
    let seventh = move |_: &Value| requests.fetch_add(1, Ordering::Relaxed) % 7 == 6;
    let stumble = Rule::on(["eth_chainId", "eth_gasPrice"], Action::Status(503));
    paths.proxies[0].inject(stumble.when(seventh));
    for number in 21..=40 {
        paths.anvil.mine(1).await.unwrap();
        provider.get_gas_price().await.unwrap();
        paths.reach(&mut views, number, 0).await;
    }
    assert_eq!(
        paths.proxies[1].calls("eth_gasPrice"),
        0,
        "no call goes to the one that is behind"
    );

    // A transaction that it may have taken goes there again, and is known there.
    paths.proxies[0].replace([Rule::on_send(Action::Lose).times(1)]);
    let error = provider
        .send_raw_transaction(&paths.transfer().await)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, RpcError::ErrorResp(payload) if payload.message.contains("already")),
        "{error}"
    );
    assert_eq!(paths.proxies[0].calls("eth_sendRawTransaction"), 2);
    assert_eq!(paths.proxies[1].calls("eth_sendRawTransaction"), 0);
}

#[tokio::test]
async fn one_node_that_falls_behind_says_so_and_catches_up() {
    let paths = Paths::new(1).await;
    paths.anvil.mine(20).await.unwrap();
    let mut views = paths.follow(&paths.provider(PATIENCE));
    paths.reach(&mut views, 20, 0).await;
    paths.hold(0, 10);
    let view = seen(&mut views, |view| !view.reachable).await;
    assert!(view.error.as_deref().unwrap().contains("10 blocks behind"), "{view:?}");
    assert_eq!(view.latest.unwrap().block.number, 20);
    paths.proxies[0].heal();
    paths.reach(&mut views, 20, 0).await;
    // A lower head of another fork is a reorg, and followed.
    paths.hold(0, 15);
    seen(&mut views, |view| !view.reachable).await;
    paths.anvil.reorg(8).await.unwrap();
    paths.reach(&mut views, 15, 0).await;
}

#[tokio::test]
async fn a_limited_rate_is_kept_to() {
    let paths = Paths::new(2).await;
    let provider = paths.provider(PATIENCE);
    provider.get_block_number().await.unwrap();
    let limit = |code, message: &str| Action::Error {
        code,
        message: message.to_owned(),
    };
    paths.proxies[0].inject(Rule::every(limit(-32_005, "request rate exceeded")));
    let asked = paths.proxies[0].calls("eth_gasPrice");
    for _ in 0..20 {
        provider.get_gas_price().await.unwrap();
    }
    let extra = paths.proxies[0].calls("eth_gasPrice") - asked;
    // Each doubles the pause before the next: more than seven would take half a minute.
    assert!(extra <= 7, "{extra} calls to a node that limits them");

    // Where there is no other node, the call waits, and asks seldom.
    let alone = Paths::new(1).await;
    let provider = alone.provider(PATIENCE);
    alone.proxies[0].inject(Rule::every(Action::Status(429)).times(2));
    provider.get_gas_price().await.unwrap();
    assert_eq!(alone.proxies[0].calls("eth_gasPrice"), 3);

    // It gives up in time, and says why.
    alone.proxies[0].inject(Rule::every(limit(-32_016, "over rate limit")));
    let short = Duration::from_millis(1_500);
    let error = alone.provider(short).get_gas_price().await.unwrap_err();
    assert!(
        matches!(&error, RpcError::ErrorResp(payload) if payload.code == -32_016),
        "{error}"
    );
    // At once, after a quarter of a second and after three: the next pause is longer than it waits.
    let asked = alone.proxies[0].calls("eth_gasPrice");
    assert!((4..=6).contains(&asked), "{asked}");
    // While it is left alone, its words are what callers and the view get.
    let provider = alone.provider(short);
    for _ in 0..3 {
        let error = provider.get_gas_price().await.unwrap_err();
        assert!(
            matches!(&error, RpcError::ErrorResp(payload) if payload.code == -32_016 && payload.message.contains("over rate")),
            "{error}"
        );
    }
    let mut views = alone.follow(&provider);
    let words = "-32016: over rate limit";
    seen(&mut views, |view| {
        view.error.as_ref().is_some_and(|error| error.contains(words))
    })
    .await;
}

#[tokio::test]
async fn a_send_that_may_have_arrived_is_repeated_and_stays_ambiguous_unless_taken() {
    let paths = Paths::new(2).await;
    let provider = paths.provider(PATIENCE);
    let raw = paths.transfer().await;
    // The first node takes it and hangs up; the second has it already.
    paths.proxies[0].inject(Rule::on(["eth_sendRawTransaction"], Action::Lose));
    let error = provider.send_raw_transaction(&raw).await.unwrap_err();
    assert!(
        matches!(&error, RpcError::ErrorResp(payload) if payload.message.contains("already")),
        "{error}"
    );
    assert_eq!(paths.proxies[1].calls("eth_sendRawTransaction"), 1);

    // The second refuses it, which says nothing about the first.
    let paths = Paths::new(2).await;
    let provider = paths.provider(PATIENCE);
    paths.proxies[0].inject(Rule::on(["eth_sendRawTransaction"], Action::Drop));
    let refusal = Action::Error {
        code: -32_000,
        message: "insufficient funds for gas * price + value".to_owned(),
    };
    paths.proxies[1].inject(Rule::on(["eth_sendRawTransaction"], refusal).times(1));
    let error = provider.send_raw_transaction(&raw).await.unwrap_err();
    assert!(
        matches!(error, RpcError::Transport(TransportErrorKind::Custom(_))),
        "{error}"
    );
    // The second takes it now: it is the one that is asked.
    let _sent = provider.send_raw_transaction(&raw).await.unwrap();
}
