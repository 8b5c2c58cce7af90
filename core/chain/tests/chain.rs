//! The tracker and the readers against a real chain process.
#![cfg(feature = "provider")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use alloy::{
    eips::BlockId,
    network::{ReceiptResponse, TransactionBuilder},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use alloy_primitives::{Address, B256, Bytes, U256, address, bytes, keccak256};
use alloy_sol_types::SolCall;
use set_chain::{
    ChainView, DataFees, EndpointConfig, L2Provider, RegistryReader, bindings::SetRegistry, connect, track,
};
use set_testkit::{Action, Anvil, RpcProxy, Rule, deploy};
use set_types::{BatchId, StreamHead, StreamId};
use set_ves::EventTree;
use tokio::{sync::watch, time::timeout};
use url::Url;

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers every call with the word 42.
const FORTY_TWO: Bytes = bytes!("602a60005260206000f3");

type Views = watch::Receiver<Arc<ChainView>>;

fn follow(url: &Url, chain_id: u64) -> Views {
    let provider = connect(&EndpointConfig {
        rpc_urls: vec![url.clone()],
        chain_id: None,
        timeout: Duration::from_secs(5),
        poll_interval: POLL,
    });
    let (views, tracking) = track(provider.unwrap(), chain_id, POLL);
    tokio::spawn(tracking);
    views
}

async fn seen(views: &mut Views, fits: impl Fn(&ChainView) -> bool) -> Arc<ChainView> {
    let last = views.clone();
    let waited = timeout(PATIENCE, views.wait_for(|view| fits(view))).await;
    match waited {
        Ok(view) => view.unwrap().clone(),
        Err(_) => panic!("the view stays {:?}", last.borrow()),
    }
}

fn is_at(view: &ChainView, number: u64) -> bool {
    view.reachable && view.latest.is_some_and(|head| head.block.number == number)
}

#[tokio::test]
async fn follows_head_tags_and_fees_in_one_batch_a_poll() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    proxy.inject(Rule::pin("safe", 2));
    proxy.inject(Rule::pin("finalized", 1));
    let mut views = follow(&proxy.url(), anvil.chain_id());
    seen(&mut views, |view| is_at(view, 0)).await;
    anvil.mine(3).await.unwrap();
    let view = seen(&mut views, |view| is_at(view, 3)).await;
    let head = view.latest.unwrap();
    let fees = anvil
        .provider()
        .get_fee_history(1, Default::default(), &[])
        .await
        .unwrap();
    assert_eq!(Some(head.next_base_fee), fees.next_block_base_fee());
    assert!(head.next_base_fee < head.base_fee, "empty blocks lower the base fee");
    let numbers = (view.safe.unwrap().number, view.finalized.unwrap().number);
    assert_eq!(numbers, (2, 1));
    // No predeploys here, so the chain counts no footprint.
    assert_eq!((head.da_footprint, head.da_footprint_scalar), (None, None));
}

#[tokio::test]
async fn a_chain_that_counts_footprints_tells_its_scalar() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let l1_block = address!("4200000000000000000000000000000000000015");
    let _: serde_json::Value = anvil.call("anvil_setCode", (l1_block, FORTY_TWO)).await.unwrap();
    let mut views = follow(anvil.url(), anvil.chain_id());
    let view = seen(&mut views, |view| view.reachable).await;
    assert_eq!(view.latest.unwrap().da_footprint_scalar, Some(42));
}

#[tokio::test]
async fn an_unknown_tag_is_no_fault() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let mut views = follow(&proxy.url(), anvil.chain_id());
    seen(&mut views, |view| is_at(view, 0)).await;
    // A tag beyond the chain is null, as op-node's tags are to a node that has just started.
    proxy.inject(Rule::pin("safe", 99));
    let view = seen(&mut views, |view| view.safe.is_none()).await;
    assert!(view.reachable);
}

#[tokio::test]
async fn another_chain_is_refused_with_both_ids() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let mut views = follow(anvil.url(), 1);
    let view = seen(&mut views, |view| {
        view.error.as_deref().is_some_and(|error| error.contains("chain"))
    })
    .await;
    let error = view.error.clone().unwrap();
    assert!(
        error.contains(&anvil.chain_id().to_string()) && error.contains("says 1"),
        "{error}"
    );
    assert!(!view.reachable && view.latest.is_none());
}

#[tokio::test]
async fn keeps_the_last_head_while_the_node_is_away() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
    let mut views = follow(&proxy.url(), anvil.chain_id());
    seen(&mut views, |view| is_at(view, 0)).await;
    proxy.inject(Rule::every(Action::Status(503)));
    let status = |error: &String| error.contains("503");
    let view = seen(&mut views, |view| view.error.as_ref().is_some_and(status)).await;
    assert!(!view.reachable && view.latest.is_some(), "{view:?}");
    proxy.heal();
    anvil.mine(1).await.unwrap();
    seen(&mut views, |view| is_at(view, 1)).await;
}

#[tokio::test]
async fn data_fees_are_asked_for_and_zero_where_there_are_none() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let fees = DataFees::upper_bound(anvil.provider(), 100_000, 1_000_000)
        .await
        .unwrap();
    assert_eq!(fees, DataFees::default());
    let oracle = address!("420000000000000000000000000000000000000F");
    let _: serde_json::Value = anvil.call("anvil_setCode", (oracle, FORTY_TWO)).await.unwrap();
    let fees = DataFees::upper_bound(anvil.provider(), 100_000, 1_000_000)
        .await
        .unwrap();
    let forty_two = U256::from(42);
    assert_eq!(
        (fees.l1_fee, fees.operator_fee),
        (forty_two * U256::from(DataFees::MARGIN), forty_two)
    );
    assert_eq!(fees.total(), fees.l1_fee + fees.operator_fee);
}

async fn transact(anvil: &Anvil, from: Address, to: Address, call: impl SolCall) {
    let provider: &L2Provider = anvil.provider();
    let request = TransactionRequest::default()
        .with_from(from)
        .with_to(to)
        .with_input(call.abi_encode())
        .with_gas_limit(500_000);
    let sent = provider.send_transaction(request.into()).await.unwrap();
    anvil.mine(1).await.unwrap();
    assert!(sent.get_receipt().await.unwrap().status());
}

#[tokio::test]
async fn the_registry_answers_records_heads_and_proofs() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let sequencer = Anvil::account(1).address();
    let contracts = deploy(&anvil, sequencer).await.unwrap();
    let reader = RegistryReader::new(anvil.provider().clone(), contracts.registry);
    let stream = StreamId {
        tenant_id: B256::repeat_byte(1).into(),
        store_id: B256::repeat_byte(2).into(),
    };
    let other = StreamId {
        store_id: B256::repeat_byte(3).into(),
        ..stream
    };
    let batch_id = BatchId::from(B256::repeat_byte(4));
    let at = BlockId::latest();
    assert_eq!(reader.record(batch_id, at).await.unwrap(), None);

    let leaves: Vec<B256> = (0u8..5).map(|i| keccak256([i])).collect();
    let tree = EventTree::new(leaves.clone()).unwrap();
    let state = B256::repeat_byte(9);
    transact(
        &anvil,
        sequencer,
        contracts.registry,
        SetRegistry::commitBatchCall {
            batchId: batch_id.to_b256(),
            tenantId: stream.tenant_id.to_b256(),
            storeId: stream.store_id.to_b256(),
            eventsRoot: tree.root(),
            prevStateRoot: B256::ZERO,
            newStateRoot: state,
            sequenceStart: 1,
            sequenceEnd: 5,
            eventCount: 5,
        },
    )
    .await;

    let record = reader.record(batch_id, at).await.unwrap().unwrap();
    assert_eq!((record.events_root, record.new_state_root), (tree.root(), state));
    assert_eq!(
        (record.sequence_start, record.sequence_end, record.event_count),
        (1, 5, 5)
    );
    assert_eq!(record.prev_state_root, Some(B256::ZERO));

    let heads = reader.heads(&[other, stream], at).await.unwrap();
    assert_eq!(heads[0], StreamHead::unopened(other));
    let head = StreamHead {
        stream,
        batch_id: Some(batch_id),
        state_root: state,
        sequence: 5,
    };
    assert_eq!(heads[1], head);

    for (index, leaf) in leaves.iter().enumerate() {
        let path = tree.proof(index).unwrap();
        let index = index as u64;
        assert!(
            reader
                .verify_inclusion(batch_id, *leaf, path.clone(), index, at)
                .await
                .unwrap()
        );
        assert!(
            !reader
                .verify_inclusion(batch_id, *leaf, path, index ^ 1, at)
                .await
                .unwrap()
        );
    }

    let nowhere = RegistryReader::new(anvil.provider().clone(), Address::repeat_byte(7));
    let error = nowhere.record(batch_id, at).await.unwrap_err().to_string();
    assert!(error.contains("registry's address"), "{error}");
}
