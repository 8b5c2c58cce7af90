//! A sequencer that is busy, silent or gone.

use std::time::Duration;

use serde_json::json;
use set_plugin_sdk::prelude::*;
use set_testkit::Sequencer;

use crate::fixture::{ALL, receipt, report, retry, simple, start};

#[tokio::test]
async fn after_a_429_nothing_is_sent_until_its_time_has_passed() {
    let (sequencer, plugin) = simple().await;
    let made = sequencer.commit(sequencer.streams()[0], 1);
    sequencer.set_faults(|faults| (faults.rate_limited, faults.retry_after_s) = (1, Some(60)));
    let (reason, after) = retry(report(&plugin, made.batch_id, 1).await.unwrap());
    assert!(reason.contains("(429)"), "{reason}");
    assert_eq!(after, Some(60_000));

    // The sequencer would answer again; nobody asks.
    let error = plugin.poll(&ALL).await.unwrap_err();
    assert!(
        error.retryable && error.message.contains("none is sent for another "),
        "{error}"
    );
    let (_, after) = retry(report(&plugin, made.batch_id, 1).await.unwrap());
    assert!(after.is_some_and(|after| (1..=60_000).contains(&after)), "{after:?}");
    let proof = InclusionProofRequest {
        stream: made.stream(),
        batch_id: made.batch_id,
        sequence: 1,
    };
    let error = plugin.inclusion_proof(&proof).await.unwrap_err();
    assert!(error.retryable && error.message.contains("(429)"), "{error}");
    assert_eq!(sequencer.requests().pending + sequencer.requests().reports, 0);
    assert_eq!(plugin.metric("requests_anchored_429"), Some(1.0));
    assert_eq!(plugin.metric("requests_proof_2xx"), None);
}

#[tokio::test]
async fn once_the_time_of_a_429_has_passed_the_sequencer_is_asked_again() {
    let (sequencer, plugin) = simple().await;
    let made = sequencer.commit(sequencer.streams()[0], 1);
    sequencer.set_faults(|faults| (faults.rate_limited, faults.retry_after_s) = (1, Some(1)));
    let (_, after) = retry(report(&plugin, made.batch_id, 1).await.unwrap());
    tokio::time::sleep(Duration::from_millis(after.unwrap())).await;
    assert_eq!(plugin.poll(&ALL).await.unwrap().commitments.len(), 1);
    assert_eq!(report(&plugin, made.batch_id, 1).await.unwrap(), ReportStatus::Recorded);
    assert_eq!(plugin.metric("requests_anchored_429"), Some(1.0));
    assert_eq!(plugin.metric("requests_pending_2xx"), Some(1.0));
}

#[tokio::test]
async fn a_429_without_a_short_time_stops_the_rest_of_a_call() {
    let (sequencer, plugin) = start(Sequencer::builder(), json!({ "report_concurrency": 1 })).await;
    let stream = sequencer.streams()[0];
    let receipts: Vec<_> = (0..20)
        .map(|_| receipt(sequencer.commit(stream, 1).batch_id, 1))
        .collect();
    sequencer.set_faults(|faults| faults.rate_limited = u32::MAX);
    let outcomes = plugin.report(&ReportRequest { receipts }).await.unwrap().outcomes;
    for outcome in outcomes {
        let (_, after) = retry(outcome.status);
        assert!(
            after.is_some_and(|after| (1_000..=60_000).contains(&after)),
            "{after:?}"
        );
    }
    assert_eq!(plugin.metric("requests_anchored_429"), Some(1.0));
    let error = plugin.health().await.unwrap_err();
    assert!(error.retryable && error.message.contains("limits the rate"), "{error}");
}

#[tokio::test]
async fn the_silence_of_a_dead_database_is_not_waited_out() {
    let (sequencer, plugin) = start(Sequencer::builder(), json!({ "timeout": "3s" })).await;
    let stream = sequencer.streams()[0];
    let made: Vec<_> = (0..20).map(|_| sequencer.commit(stream, 1).batch_id).collect();
    sequencer.set_faults(|faults| faults.silence_ms = Some(30_000));
    let error = plugin.poll(&ALL).await.unwrap_err();
    assert!(
        error.retryable && error.message.contains("none came within `timeout`"),
        "{error}"
    );
    // More receipts than can be under way: what had no turn is repeated as well.
    let receipts = made.iter().map(|id| receipt(*id, 1)).collect();
    let outcomes = plugin.report(&ReportRequest { receipts }).await.unwrap().outcomes;
    assert_eq!(outcomes.len(), 20);
    for outcome in outcomes {
        let (reason, after) = retry(outcome.status);
        assert!(reason.contains("`timeout`") && after.is_none(), "{reason}");
    }
    assert!(plugin.health().await.is_err());
    sequencer.heal();
    assert_eq!(plugin.poll(&ALL).await.unwrap().commitments.len(), 20);
    plugin.health().await.unwrap();
}

#[tokio::test]
async fn a_sequencer_that_was_gone_is_found_again() {
    let (mut sequencer, plugin) = simple().await;
    let batch_id = sequencer.commit(sequencer.streams()[0], 1).batch_id;
    plugin.poll(&ALL).await.unwrap();
    sequencer.go_down().await;
    // The first may still find the connection that was kept.
    assert!(plugin.poll(&ALL).await.unwrap_err().retryable);
    let error = plugin.poll(&ALL).await.unwrap_err();
    assert!(error.retryable, "{error}");
    assert!(
        error.message.contains("cannot connect to the host of `base_url`: "),
        "{error}"
    );
    assert!(!error.message.contains("http://"), "{error}");
    retry(report(&plugin, batch_id, 1).await.unwrap());
    sequencer.come_back().await.unwrap();
    assert_eq!(report(&plugin, batch_id, 1).await.unwrap(), ReportStatus::Recorded);
    assert!(plugin.metric("requests_pending_no_answer").unwrap() >= 1.0);
}

#[tokio::test]
async fn a_hang_up_leaves_a_report_to_be_repeated() {
    let (sequencer, plugin) = simple().await;
    let batch_id = sequencer.commit(sequencer.streams()[0], 1).batch_id;
    sequencer.set_faults(|faults| faults.hang_ups = 1);
    retry(report(&plugin, batch_id, 1).await.unwrap());
    assert_eq!(report(&plugin, batch_id, 1).await.unwrap(), ReportStatus::Recorded);
}
