//! The plugin beside a real registry: what it plans is mined by anvil, and it reads what became of it.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod registry;

use registry::{OTHER, Registry, SEQUENCER, Stream, committed, outcomes};
use serde_json::json;
use set_chain::bindings::SetRegistry::{pauseCall, setGenesisRequiredCall, unpauseCall};
use set_plugin_sdk::{prelude::*, types::alloy_primitives::Address};

#[tokio::test]
async fn gas_limits_are_enough_and_not_far_above() {
    let registry = Registry::start().await;
    let usual = registry.plugin(json!({})).await;
    let wide = registry.plugin(json!({ "gas_margin_percent": 20 })).await;
    for (uuid, bound) in [(true, false), (false, false), (true, true)] {
        let plugin = if bound { &wide } else { &usual };
        for (streams, commitments) in [(1, 1), (1, 2), (1, 60), (20, 1), (10, 5), (3, 70), (1, 230), (120, 1)] {
            let mut streams: Vec<_> = (0..streams).map(|_| Stream::new(uuid)).collect();
            for stream in streams.iter().filter(|_| bound) {
                registry.bind(stream, SEQUENCER).await;
            }
            for phase in ["first", "later"] {
                let request = registry.request(&mut streams, commitments);
                let calls = plugin.plan(&request).await.unwrap().calls;
                assert_eq!(calls.len(), 1);
                let settle = registry.send(&calls[0], SEQUENCER).await;
                let (limit, used) = (calls[0].gas_limit, settle.gas_used);
                let count = streams.len();
                let shape = format!(
                    "{phase} {commitments} of {count} streams (uuid {uuid}, bound {bound}): {used} of {limit} gas"
                );
                assert!(settle.succeeded && used < limit, "{shape}");
                // Builders pack blocks by limits: a large call may have hardly more than the 64th of its proxy.
                let most = match (bound, count * commitments) {
                    (true, _) => 140,
                    (false, 0..20) => 115,
                    (false, _) => 104,
                };
                assert!(limit * 100 <= used * most, "{shape}");

                let settled = plugin.settle(&settle).await.unwrap();
                assert_eq!(outcomes(&settled), committed(request.commitments.len()));
                registry.holds(plugin, &request.commitments, &streams).await;
            }
        }
    }
    usual.stop().await;
    wide.stop().await;
}

#[tokio::test]
async fn each_commitment_of_a_call_settles_on_its_own() {
    let registry = Registry::start().await;
    let plugin = registry.plugin(json!({})).await;
    let mut streams: Vec<_> = (0..4).map(|_| Stream::new(true)).collect();
    registry.commit(&plugin, &mut streams, 2).await;

    let [repeated, falsified, late, bound] = &mut streams[..] else {
        unreachable!()
    };
    let again = repeated.last.clone().unwrap();
    let mut other_root = falsified.last.clone().unwrap();
    other_root.events_root = other_root.new_state_root;
    late.next();
    let gap = late.next();
    let foreign = bound.next();
    registry.bind(bound, OTHER).await;
    let mut fresh = Stream::new(true);
    let sound = [fresh.next(), fresh.next()];

    let commitments = [vec![again, other_root, gap, foreign], sound.to_vec()].concat();
    let calls = plugin
        .plan(&registry.request_of(commitments, vec![]))
        .await
        .unwrap()
        .calls;
    assert_eq!(calls.len(), 1);
    let settle = registry.send(&calls[0], SEQUENCER).await;
    let settled = outcomes(&plugin.settle(&settle).await.unwrap());
    let [again, other_root, gap, foreign, sound @ ..] = &settled[..] else {
        unreachable!()
    };
    assert_eq!(again, &SettleOutcome::AlreadyCommitted);
    assert!(
        matches!(other_root, SettleOutcome::Conflict { reason } if reason.ends_with("another events root")),
        "{other_root:?}"
    );
    assert!(
        matches!(gap, SettleOutcome::OutOfOrder { reason } if reason.contains("StateRootMismatch")),
        "{gap:?}"
    );
    assert!(
        matches!(foreign, SettleOutcome::Bound { account: OTHER, reason } if reason.contains("StreamBoundToSequencer")),
        "{foreign:?}"
    );
    assert_eq!(sound, [SettleOutcome::Committed, SettleOutcome::Committed]);
    plugin.stop().await;
}

#[tokio::test]
async fn a_failed_bulk_call_says_what_stands_in_the_way() {
    let registry = Registry::start().await;
    let plugin = registry.plugin(json!({ "mode": "bulk" })).await;
    let mut streams = vec![Stream::new(true), Stream::new(true)];
    let request = registry.request(&mut streams, 3);
    let call = plugin.plan(&request).await.unwrap().calls.remove(0);

    registry.administer(&pauseCall {}).await;
    let sick = plugin.health().await.unwrap_err();
    assert!(sick.retryable && sick.message.contains("is paused"), "{sick}");
    let settle = registry.send(&call, SEQUENCER).await;
    assert!(!settle.succeeded);
    for outcome in outcomes(&plugin.settle(&settle).await.unwrap()) {
        assert!(
            matches!(&outcome, SettleOutcome::Unavailable { reason } if reason.contains("EnforcedPause")),
            "{outcome:?}"
        );
    }
    registry.administer(&unpauseCall {}).await;
    plugin.health().await.unwrap();

    let settle = registry.send(&call, OTHER).await;
    let settled = outcomes(&plugin.settle(&settle).await.unwrap());
    let name = format!("setSequencerAuthorization for {OTHER}");
    assert!(
        matches!(&settled[0], SettleOutcome::NotAuthorised { reason } if reason.contains(&name)),
        "{settled:?}"
    );

    let starved = CandidateCall {
        gas_limit: call.gas_limit / 2,
        ..call.clone()
    };
    let settle = registry.send(&starved, SEQUENCER).await;
    assert!(!settle.succeeded);
    for outcome in outcomes(&plugin.settle(&settle).await.unwrap()) {
        assert!(
            matches!(&outcome, SettleOutcome::Retry { reason } if reason.contains("out of gas")),
            "{outcome:?}"
        );
    }
    assert_eq!(plugin.metric("gas_margin_percent"), Some(16.0));
    let roomier = plugin.plan(&request).await.unwrap().calls.remove(0);
    assert_eq!((&roomier.data, &roomier.batches), (&call.data, &call.batches));
    assert!(roomier.gas_limit > call.gas_limit);

    let settle = registry.send(&roomier, SEQUENCER).await;
    assert_eq!(outcomes(&plugin.settle(&settle).await.unwrap()), committed(6));
    plugin.stop().await;
}

#[tokio::test]
async fn a_failed_single_call_says_what_stands_in_the_way() {
    let registry = Registry::start().await;
    let plugin = registry.plugin(json!({ "mode": "single" })).await;
    let mut streams = vec![Stream::new(true), Stream::new(true)];
    registry.commit(&plugin, &mut streams, 2).await;
    registry.administer(&setGenesisRequiredCall { required: true }).await;

    let again = streams[0].last.clone().unwrap();
    let mut other_count = streams[1].last.clone().unwrap();
    other_count.sequence_end += 1;
    other_count.event_count += 1;
    streams[0].next();
    let late = streams[0].next();
    let mut gap = streams[1].next();
    gap.sequence_start += 1;
    gap.sequence_end += 1;
    let mut middle = Stream::new(true);
    middle.next();
    let middle = middle.next();

    let commitments = vec![again, late, other_count, gap, middle];
    let calls = plugin
        .plan(&registry.request_of(commitments, vec![]))
        .await
        .unwrap()
        .calls;
    assert_eq!(calls.len(), 5);
    let mut settled = vec![];
    for call in &calls {
        let settle = registry.send(call, SEQUENCER).await;
        assert!(!settle.succeeded);
        settled.extend(outcomes(&plugin.settle(&settle).await.unwrap()));
    }
    let [again, late, other_count, gap, middle] = &settled[..] else {
        unreachable!()
    };
    assert_eq!(again, &SettleOutcome::AlreadyCommitted);
    assert!(
        matches!(late, SettleOutcome::OutOfOrder { reason } if reason.contains("StateRootMismatch")),
        "{late:?}"
    );
    let differs = "another last sequence number, event count";
    assert!(
        matches!(other_count, SettleOutcome::Conflict { reason } if reason.ends_with(differs)),
        "{other_count:?}"
    );
    assert!(
        matches!(gap, SettleOutcome::OutOfOrder { reason } if reason.contains("SequenceGap")),
        "{gap:?}"
    );
    assert!(
        matches!(middle, SettleOutcome::Refused { reason } if reason.contains("GenesisRequired")),
        "{middle:?}"
    );
    plugin.stop().await;
}

#[tokio::test]
async fn beside_a_public_registry_each_commitment_is_a_call() {
    let registry = Registry::start().await;
    let plugin = registry.public_plugin(json!({})).await;
    let mut streams = vec![Stream::new(true), Stream::new(true)];
    let request = registry.request(&mut streams, 3);
    let calls = plugin.plan(&request).await.unwrap().calls;
    assert_eq!(calls.len(), 6);
    for call in &calls {
        let settle = registry.send(call, SEQUENCER).await;
        assert!(
            settle.succeeded && settle.gas_used < call.gas_limit,
            "{} gas",
            settle.gas_used
        );
        assert_eq!(outcomes(&plugin.settle(&settle).await.unwrap()), committed(1));
    }
    registry.holds(&plugin, &request.commitments, &streams).await;
    plugin.stop().await;

    let bulk = registry.public_plugin(json!({ "mode": "bulk" })).await;
    let error = bulk.plan(&request).await.unwrap_err();
    assert!(
        !error.retryable && error.message.contains("`mode` is \"bulk\""),
        "{error}"
    );
    bulk.stop().await;
}

#[tokio::test]
async fn an_address_without_a_registry_is_named() {
    let registry = Registry::start().await;
    let empty = registry.plugin(json!({ "registry": OTHER })).await;
    let error = empty.health().await.unwrap_err();
    assert!(
        error.message.contains("`registry`") && error.message.contains("no contract"),
        "{error}"
    );
    empty.stop().await;

    let paymaster = registry
        .plugin(json!({ "registry": registry.contracts.paymaster }))
        .await;
    let error = paymaster.health().await.unwrap_err();
    assert!(error.message.contains("is no SetRegistry"), "{error}");
    paymaster.stop().await;

    let zero = json!({ "registry": Address::ZERO });
    let error = registry.try_plugin(zero).await.unwrap_err();
    assert!(error.message.contains("`registry` is the zero address"), "{error}");
}

#[tokio::test]
async fn reads_are_of_the_block_that_was_asked_for() {
    let registry = Registry::start().await;
    let plugin = registry.plugin(json!({ "start_block": 7 })).await;
    let mut streams = vec![Stream::new(true)];
    registry.commit(&plugin, &mut streams, 1).await;
    let (early, early_head) = (registry.head_hash().await, streams[0].head());
    registry.commit(&plugin, &mut streams, 1).await;
    let newest = streams[0].last.clone().unwrap().batch_id;

    let unknown = Stream::new(true).ids;
    let ask = |at_block| HeadsRequest {
        streams: vec![unknown, streams[0].ids],
        at_block,
    };
    let heads = |heads| HeadsResponse {
        heads: vec![StreamHead::unopened(unknown), heads],
    };
    assert_eq!(plugin.heads(&ask(Some(early))).await.unwrap(), heads(early_head));
    assert_eq!(plugin.heads(&ask(None)).await.unwrap(), heads(streams[0].head()));
    let lookup = |at_block| LookupRequest {
        batches: vec![newest],
        at_block,
    };
    assert_eq!(plugin.lookup(&lookup(Some(early))).await.unwrap().records, [None]);
    assert!(plugin.lookup(&lookup(None)).await.unwrap().records[0].is_some());

    let filter = plugin.log_filter().await.unwrap();
    assert_eq!(
        (filter.addresses, filter.from_block),
        (vec![registry.contracts.registry], Some(7))
    );
    plugin.stop().await;
}
