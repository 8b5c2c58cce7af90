//! The two lists of unreported commitments.

use std::collections::HashSet;

use rstest::rstest;
use serde_json::json;
use set_plugin_sdk::{prelude::*, types::alloy_primitives::B256};
use set_testkit::{
    Sequencer,
    sequencer::{Defect, Faults, Preload},
};
use uuid::Uuid;

use crate::fixture::{ALL, receipt, simple, start};

fn ids(list: &[Commitment]) -> Vec<BatchId> {
    list.iter().map(|commitment| commitment.batch_id).collect()
}

#[tokio::test]
async fn both_lists_say_the_same_in_other_words() {
    let (sequencer, plugin) = start(Sequencer::builder().first_sequence(41), json!({})).await;
    let [stream] = sequencer.streams()[..] else {
        panic!("one stream")
    };
    for events in [1, 3, 8] {
        sequencer.commit(stream, events);
    }
    // With 0x …
    let pending = plugin.poll(&ALL).await.unwrap();
    assert_eq!(ids(&pending.commitments), ids(&sequencer.commitments()));
    assert!(!pending.more && pending.malformed.is_empty());
    let first = &pending.commitments[0];
    assert_eq!((first.sequence_start, first.prev_state_root), (41, B256::ZERO));
    // … and without.
    let request = PollStreamRequest {
        stream,
        after: 0,
        limit: 5000,
    };
    let of_stream = plugin.poll_stream(&request).await.unwrap();
    assert_eq!(of_stream, pending);
    assert_eq!(plugin.metric("requests_pending_2xx"), Some(1.0));
    assert_eq!(plugin.metric("requests_stream_commitments_2xx"), Some(1.0));
}

#[tokio::test]
async fn a_streams_list_begins_after_a_sequence_number_and_ends_at_the_limit() {
    let (sequencer, plugin) = simple().await;
    let stream = sequencer.streams()[0];
    for _ in 0..5 {
        sequencer.commit(stream, 2);
    }
    let starts = async |after, limit| {
        let request = PollStreamRequest { stream, after, limit };
        let list = plugin.poll_stream(&request).await.unwrap();
        let starts = list.commitments.iter().map(|commitment| commitment.sequence_start);
        (starts.collect::<Vec<_>>(), list.more)
    };
    assert_eq!(starts(2, 5000).await, (vec![3, 5, 7, 9], false));
    assert_eq!(starts(3, 2).await, (vec![5, 7], true));
    assert_eq!(starts(9, 2).await, (vec![], false));
    let unknown = PollStreamRequest {
        stream: StreamId {
            tenant_id: Uuid::from_u128(1).into(),
            ..stream
        },
        after: 0,
        limit: 10,
    };
    assert_eq!(plugin.poll_stream(&unknown).await.unwrap(), PollResponse::default());
    let no_uuid = PollStreamRequest {
        stream: StreamId {
            store_id: B256::repeat_byte(7).into(),
            ..stream
        },
        ..unknown
    };
    let error = plugin.poll_stream(&no_uuid).await.unwrap_err();
    assert!(
        !error.retryable && error.message.contains("its ids are UUIDs"),
        "{error}"
    );
}

#[tokio::test]
async fn past_a_full_window_a_stream_is_read_by_itself() {
    let crowd = Preload {
        streams: 50,
        batches: 100,
        ..Preload::default()
    };
    let (sequencer, plugin) = start(Sequencer::builder().preload(crowd), json!({})).await;
    sequencer.commit(sequencer.streams()[0], 1);
    let window = plugin.poll(&PollRequest { limit: 9999 }).await.unwrap();
    assert_eq!((window.commitments.len(), window.more), (5000, true));
    let few = plugin.poll(&PollRequest { limit: 7 }).await.unwrap();
    assert_eq!((few.commitments.len(), few.more), (7, true));

    let shown: HashSet<BatchId> = ids(&window.commitments).into_iter().collect();
    let made = sequencer.commitments();
    let hidden: Vec<_> = made.iter().filter(|made| !shown.contains(&made.batch_id)).collect();
    let [hidden] = hidden[..] else {
        panic!("{} are hidden", hidden.len())
    };
    let request = PollStreamRequest {
        stream: hidden.stream(),
        after: hidden.sequence_start - 1,
        limit: 10,
    };
    let of_stream = plugin.poll_stream(&request).await.unwrap();
    assert_eq!(ids(&of_stream.commitments), [hidden.batch_id]);
}

#[tokio::test]
async fn malformed_entries_do_not_hide_their_neighbours() {
    let (sequencer, plugin) = simple().await;
    let stream = sequencer.streams()[0];
    for _ in 0..4 {
        sequencer.commit(stream, 1);
    }
    sequencer.set_faults(|faults| faults.malformed = 10);
    let list = plugin.poll(&ALL).await.unwrap();
    assert_eq!(ids(&list.commitments), ids(&sequencer.commitments()));
    let reasons: Vec<&str> = list.malformed.iter().map(|entry| entry.reason.as_str()).collect();
    let fields = [
        "`batch_id`: ",
        "`events_root`: `0x1234` is not 32 bytes",
        "`sequence_start`: invalid value: integer `-1`",
        "`event_count`: invalid value: integer `4294967296`",
        "`committed_at`: ",
        "`tenant_id` is missing or null",
        "`sequence_end`: invalid type: string",
        "`new_state_root` is missing or null",
        "the entry is no commitment: invalid type: null",
        "the entry is no commitment: invalid type: string \"a text\"",
    ];
    assert_eq!(reasons.len(), fields.len());
    for (reason, field) in reasons.iter().zip(fields) {
        assert!(reason.starts_with(field), "{reason}");
    }
    assert_eq!(list.malformed[0].batch_id.as_deref(), Some("not-a-uuid"));
    let streams: Vec<bool> = list.malformed.iter().map(|entry| entry.stream.is_some()).collect();
    assert_eq!(streams, [true, true, true, true, true, false, true, true, false, false]);
    assert_eq!(plugin.metric("malformed_entries"), Some(10.0));
}

#[tokio::test]
async fn holes_and_disorder_are_passed_on_as_they_are() {
    let (sequencer, plugin) = simple().await;
    let stream = sequencer.streams()[0];
    let made: Vec<_> = (0..3).map(|_| sequencer.commit(stream, 1).batch_id).collect();
    let backdated = sequencer.commit_flawed(stream, 1, Defect::Backdated).batch_id;
    let list = plugin.poll(&ALL).await.unwrap();
    assert_eq!(ids(&list.commitments), [backdated, made[0], made[1], made[2]]);
    sequencer.set_faults(|faults| faults.holes = true);
    let list = plugin.poll(&ALL).await.unwrap();
    assert_eq!(list.commitments.len(), 2);
}

#[tokio::test]
async fn what_is_stale_stays_listed_and_is_reported_once() {
    let (sequencer, plugin) = simple().await;
    let batch_id = sequencer.commit(sequencer.streams()[0], 1).batch_id;
    sequencer.set_faults(|faults| faults.stale_ms = 600_000);
    let statuses = async |transaction| {
        let receipts = vec![receipt(batch_id, transaction)];
        let response = plugin.report(&ReportRequest { receipts }).await.unwrap();
        response.outcomes[0].status.clone()
    };
    assert_eq!(statuses(1).await, ReportStatus::Recorded);
    assert_eq!(ids(&plugin.poll(&ALL).await.unwrap().commitments), [batch_id]);
    assert_eq!(statuses(1).await, ReportStatus::AlreadyRecorded);
    // The route that would tell the hash is behind the same cache.
    let unexplained = statuses(2).await;
    assert!(matches!(unexplained, ReportStatus::Retry { .. }), "{unexplained:?}");
    sequencer.heal();
    let conflict = statuses(2).await;
    let recorded = Some(B256::repeat_byte(1));
    assert!(
        matches!(&conflict, ReportStatus::Conflict { recorded: shown, .. } if *shown == recorded),
        "{conflict:?}"
    );
    let reports = sequencer.reports();
    assert_eq!(reports.iter().filter(|report| report.recorded).count(), 1);
}

#[rstest]
#[case::a_web_page(|faults: &mut Faults| faults.web_pages = 1, "no list of commitments: expected value")]
#[case::half_a_list(|faults: &mut Faults| faults.truncated = 1, "no list of commitments: EOF while parsing")]
#[case::a_broken_connection(|faults: &mut Faults| faults.cut_off = 1, "no answer: the connection broke")]
#[case::a_hang_up(|faults: &mut Faults| faults.hang_ups = 1, "no answer: the connection broke")]
#[case::a_full_pool(|faults: &mut Faults| faults.pool_exhausted = 1, "503 Service Unavailable: pool_exhausted: ")]
#[case::a_failure(|faults: &mut Faults| faults.internal_errors = 1, "500 Internal Server Error: internal server error")]
#[tokio::test]
async fn a_list_that_is_none_is_an_error_for_now(#[case] fault: fn(&mut Faults), #[case] expected: &str) {
    let (sequencer, plugin) = simple().await;
    sequencer.commit(sequencer.streams()[0], 1);
    sequencer.set_faults(fault);
    let error = plugin.poll(&ALL).await.unwrap_err();
    assert!(error.retryable && error.message.contains(expected), "{error}");
    assert!(error.message.starts_with("GET /v1/commitments/pending: "), "{error}");
    assert_eq!(plugin.health().await.unwrap_err(), error);
    assert_eq!(plugin.poll(&ALL).await.unwrap().commitments.len(), 1);
    plugin.health().await.unwrap();
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let (sequencer, plugin) = simple().await;
    sequencer.commit(sequencer.streams()[0], 1);
    sequencer.set_faults(|faults| faults.content_type = Some("text/plain".into()));
    assert_eq!(plugin.poll(&ALL).await.unwrap().commitments.len(), 1);
}

#[tokio::test]
async fn a_list_that_is_too_long_is_not_read() {
    let (sequencer, plugin) = start(Sequencer::builder(), json!({ "max_response_bytes": 2000 })).await;
    for _ in 0..3 {
        sequencer.commit(sequencer.streams()[0], 1);
    }
    assert_eq!(
        plugin.poll(&PollRequest { limit: 3 }).await.unwrap().commitments.len(),
        3
    );
    sequencer.commit(sequencer.streams()[0], 1);
    let error = plugin.poll(&ALL).await.unwrap_err();
    assert!(
        error.message.contains("longer than `max_response_bytes`, 2000"),
        "{error}"
    );
}
