//! What becomes of reports.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use rstest::rstest;
use serde_json::json;
use set_plugin_sdk::{harness::Harness, prelude::*, types::alloy_primitives::B256};
use set_testkit::{Sequencer, sequencer::Preload};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::{
    fixture::{ALL, plugin, receipt, report, retry, simple, start},
    strangers::serve,
};

#[tokio::test]
async fn every_case_of_the_table() {
    let (sequencer, plugin) = simple().await;
    let batch_id = sequencer.commit(sequencer.streams()[0], 1).batch_id;
    let status = async |transaction| report(&plugin, batch_id, transaction).await.unwrap();
    assert_eq!(status(1).await, ReportStatus::Recorded);
    assert_eq!(status(1).await, ReportStatus::AlreadyRecorded);
    assert_eq!(
        status(2).await,
        ReportStatus::Conflict {
            recorded: Some(B256::repeat_byte(1)),
            reason: format!("batch {batch_id} is anchored in another transaction"),
        }
    );
    // Several sidecars are not kept apart: the sequencer may take the other hash after all.
    sequencer.set_faults(|faults| faults.accepted_conflicts = 1);
    assert_eq!(status(2).await, ReportStatus::Recorded);

    let first = &sequencer.reports()[0];
    let sent = (first.chain_tx_hash, first.chain_id, first.block_number, first.gas_used);
    assert_eq!(sent, (B256::repeat_byte(1), 84_532_001, Some(7), Some(46_000)));
    assert!(plugin.poll(&ALL).await.unwrap().commitments.is_empty());

    let refused = |reason: String| ReportStatus::Refused { reason };
    let unknown = BatchId::from(Uuid::from_u128(5));
    let expected = refused(format!("404 Not Found: no batch {unknown}"));
    assert_eq!(report(&plugin, unknown, 1).await.unwrap(), expected);
    let no_uuid = BatchId::from(B256::repeat_byte(9));
    let expected = refused("the sequencer's batch ids are UUIDs, and this is none".into());
    assert_eq!(report(&plugin, no_uuid, 1).await.unwrap(), expected);
    plugin.health().await.unwrap();
}

#[tokio::test]
async fn gas_that_nobody_knows_is_not_reported_as_none() {
    let (sequencer, plugin) = simple().await;
    let unknown = AnchorReceipt {
        gas_used: None,
        ..receipt(sequencer.commit(sequencer.streams()[0], 1).batch_id, 1)
    };
    let receipts = vec![unknown];
    plugin.report(&ReportRequest { receipts }).await.unwrap();
    let report = &sequencer.reports()[0];
    assert_eq!((report.recorded, report.gas_used), (true, None));
}

#[tokio::test]
async fn many_reports_have_one_outcome_each_in_order() {
    let crowd = Preload {
        streams: 4,
        batches: 50,
        ..Preload::default()
    };
    let (sequencer, plugin) = start(Sequencer::builder().preload(crowd), json!({})).await;
    let mut ids: Vec<_> = sequencer.commitments().iter().map(|made| made.batch_id).collect();
    ids.insert(100, Uuid::from_u128(5).into());
    let receipts = ids.iter().map(|id| receipt(*id, 1)).collect();
    let outcomes = plugin.report(&ReportRequest { receipts }).await.unwrap().outcomes;
    let answered: Vec<_> = outcomes.iter().map(|outcome| outcome.batch_id).collect();
    assert_eq!(answered, ids);
    for (position, outcome) in outcomes.iter().enumerate() {
        let refused = matches!(outcome.status, ReportStatus::Refused { .. });
        assert_eq!(refused, position == 100, "{outcome:?}");
        assert!(refused || outcome.status == ReportStatus::Recorded, "{outcome:?}");
    }
    assert!(sequencer.unreported().is_empty());
    assert_eq!(plugin.metric("requests_anchored_2xx"), Some(200.0));
    assert_eq!(plugin.metric("requests_anchored_4xx"), Some(1.0));
}

#[tokio::test]
async fn so_many_reports_run_at_once_and_no_more() {
    const AT_ONCE: usize = 3;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Answers only where three wait together.
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let handler = {
        let most = Arc::clone(&most);
        move || async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Json(json!({ "status": "anchored" }))
        }
    };
    let url = serve(Router::new().route("/v1/commitments/{id}/anchored", post(handler))).await;
    let plugin = plugin(&url, "ss_key", json!({ "report_concurrency": AT_ONCE }))
        .await
        .unwrap();
    let receipts = |from: u128| ReportRequest {
        receipts: (from..from + 3)
            .map(|id| receipt(Uuid::from_u128(id).into(), 1))
            .collect(),
    };
    let (first, second) = (receipts(1), receipts(4));
    let (first, second) = tokio::join!(plugin.report(&first), plugin.report(&second));
    for outcome in [first.unwrap().outcomes, second.unwrap().outcomes].concat() {
        assert_eq!(outcome.status, ReportStatus::Recorded);
    }
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
}

#[tokio::test]
async fn a_504_is_repeated_with_the_same_hash_whether_it_was_written_or_not() {
    let (sequencer, plugin) = simple().await;
    let stream = sequencer.streams()[0];
    let (written, lost) = (
        sequencer.commit(stream, 1).batch_id,
        sequencer.commit(stream, 1).batch_id,
    );

    sequencer.set_faults(|faults| faults.timeouts_after_write = 1);
    let (reason, after) = retry(report(&plugin, written, 1).await.unwrap());
    assert!(reason.contains("504 Gateway Timeout"), "{reason}");
    assert_eq!(after, None);
    assert_eq!(
        report(&plugin, written, 1).await.unwrap(),
        ReportStatus::AlreadyRecorded
    );

    sequencer.set_faults(|faults| faults.timeouts_before_write = 1);
    retry(report(&plugin, lost, 1).await.unwrap());
    assert_eq!(report(&plugin, lost, 1).await.unwrap(), ReportStatus::Recorded);
    assert!(sequencer.contradictions().is_empty());
}

/// Before a server that answers every report with `reported`, and whoever asks for the recorded hash with
/// `shown`.
async fn answering<R, S>(reported: R, shown: S) -> Harness
where
    R: IntoResponse + Clone + Send + Sync + 'static,
    S: IntoResponse + Clone + Send + Sync + 'static,
{
    let app = Router::new()
        .route("/v1/commitments/{id}/anchored", post(|| async { reported }))
        .route("/api/v1/ves/commitments/{id}", get(|| async { shown }));
    plugin(&serve(app).await, "ss_key", json!({})).await.unwrap()
}

fn any() -> BatchId {
    Uuid::from_u128(1).into()
}

#[rstest]
#[case(StatusCode::BAD_REQUEST)]
#[case(StatusCode::NOT_FOUND)]
#[case(StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[case(StatusCode::UNPROCESSABLE_ENTITY)]
#[tokio::test]
async fn what_is_refused_in_words_is_refused_for_good(#[case] status: StatusCode) {
    let plugin = answering((status, "not so"), StatusCode::NOT_FOUND).await;
    let reason = format!("{status}: not so");
    assert_eq!(
        report(&plugin, any(), 1).await.unwrap(),
        ReportStatus::Refused { reason }
    );
}

#[rstest]
#[case(StatusCode::REQUEST_TIMEOUT)]
#[case(StatusCode::PAYLOAD_TOO_LARGE)]
#[case(StatusCode::INTERNAL_SERVER_ERROR)]
#[case(StatusCode::SERVICE_UNAVAILABLE)]
#[tokio::test]
async fn everything_else_is_repeated(#[case] status: StatusCode) {
    let plugin = answering((status, [(header::RETRY_AFTER, "3")], "not now"), StatusCode::NOT_FOUND).await;
    let (reason, after) = retry(report(&plugin, any(), 1).await.unwrap());
    assert!(reason.ends_with(&format!("{status}: not now")), "{reason}");
    assert_eq!(after, Some(3000));
}

#[tokio::test]
async fn a_conflict_is_final_only_where_no_more_can_be_learnt() {
    let conflict = (StatusCode::CONFLICT, "another transaction");
    let status = async |plugin: Harness| report(&plugin, any(), 0x11).await.unwrap();

    let busy = status(answering(conflict, StatusCode::GATEWAY_TIMEOUT).await).await;
    let (reason, _) = retry(busy);
    assert!(
        reason.starts_with("409: another transaction; ") && reason.contains("504"),
        "{reason}"
    );

    let gone = status(answering(conflict, (StatusCode::NOT_FOUND, "no such batch")).await).await;
    assert!(
        matches!(gone, ReportStatus::Conflict { recorded: None, .. }),
        "{gone:?}"
    );

    let stale = status(answering(conflict, Json(json!({ "chain_tx_hash": null }))).await).await;
    let (reason, after) = retry(stale);
    assert!(reason.starts_with("409: another transaction; "), "{reason}");
    assert_eq!(after, Some(20_000), "a cache does not show it yet");

    let shown = |hash: String| Json(json!({ "chain_tx_hash": hash }));
    let ours = status(answering(conflict, shown("11".repeat(32))).await).await;
    assert_eq!(ours, ReportStatus::AlreadyRecorded);
    let other = status(answering(conflict, shown(format!("0x{}", "22".repeat(32)))).await).await;
    let expected = ReportStatus::Conflict {
        recorded: Some(B256::repeat_byte(0x22)),
        reason: "another transaction".into(),
    };
    assert_eq!(other, expected);
}
