//! A batcher that has op-geth leave out what is large, as a throttling op-batcher does, ever more.

use alloy::providers::Provider;
use alloy_primitives::U64;
use serde_json::Value;
use set_testkit::Sequencer;

use crate::stage::{PATIENCE, Stage, alarm, metric, over, status};

/// No limit.
const NONE: u64 = 0;

/// Limits the estimated bytes of a transaction, and of a block's transactions.
async fn limit_da(stage: &Stage, transaction: u64, block: u64) {
    let limits = (U64::from(transaction), U64::from(block));
    let set: bool = stage
        .op
        .provider()
        .raw_request("miner_setMaxDASize".into(), limits)
        .await
        .unwrap();
    assert!(set);
}

/// The estimated bytes that calls are kept below; `None` where nothing was learnt.
fn learnt(status: &Value) -> Option<u64> {
    let accounts = status["txmgr"]["accounts"].as_array()?;
    accounts
        .iter()
        .find_map(|account| account["sizeLimit"]["estimatedBytes"].as_u64())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_throttling_batcher_makes_commitments_smaller_and_stops_none_for_good() {
    let stage = Stage::with(Sequencer::builder().seed(81).streams(20)).await;
    let sidecar = stage.sidecar().start().await.unwrap();

    // The first step is above what the sidecar sends at all.
    limit_da(&stage, 20_000, NONE).await;
    stage.all_anchored(&stage.commit_everywhere(2)).await;
    let before = status(&sidecar, "the accounts", |status| {
        status["txmgr"]["accounts"].is_array()
    })
    .await;
    assert_eq!(learnt(&before), None, "{before:#}");

    // What is planned as one is passed over, until smaller ones go through.
    limit_da(&stage, 2_000, NONE).await;
    let many = stage.commit_everywhere(4);
    stage.all_anchored(&many).await;
    let after = status(&sidecar, "a limit", |status| learnt(status).is_some()).await;
    assert!((1_000..=3_000).contains(&learnt(&after).unwrap()), "{after:#}");

    // Not even a single commitment fits: they wait, and that is said.
    limit_da(&stage, 150, 2_000).await;
    let waiting = stage.commit_everywhere(1);
    let said = alarm(&sidecar, "passed_over").await;
    assert!(said.contains("blocks pass over the transaction"), "{said}");
    let line = sidecar
        .process
        .line_with("blocks pass over the transaction", PATIENCE)
        .await;
    line.unwrap();
    metric(&sidecar, "set_tx_alarm", "kind=\"passed_over\"", "1").await;
    assert_eq!(stage.anchored(&waiting).await, 0);
    assert!(stage.none_reported(&waiting));

    limit_da(&stage, NONE, NONE).await;
    stage.all_anchored(&waiting).await;
    over(&sidecar, "passed_over").await;
    stage.all_is_well(&sidecar).await;
}
