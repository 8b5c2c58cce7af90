//! Every switch does what it says, over real HTTP.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use reqwest::Method;
use serde_json::{Value, json};
use set_testkit::{
    Sequencer,
    sequencer::{Defect, Faults, Preload, RateLimit},
};
use set_types::Timestamp;
use set_types::{Commitment, StreamHead};
use set_ves::verify_inclusion;

use crate::client::{Wire, text, word};

const PENDING: &str = "v1/commitments/pending";

async fn sick(faults: Faults) -> (Sequencer, Wire) {
    let sequencer = Sequencer::builder().faults(faults).start().await.unwrap();
    let wire = Wire::of(&sequencer);
    (sequencer, wire)
}

async fn status(wire: &Wire) -> u16 {
    wire.get(PENDING).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_delay_holds_every_answer_back() {
    let (_sequencer, wire) = sick(Faults {
        delay_ms: 120,
        ..Faults::default()
    })
    .await;
    let asked = Instant::now();
    assert_eq!(status(&wire).await, 200);
    assert!(asked.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_dead_database_is_silence_and_then_an_empty_504() {
    let (sequencer, wire) = sick(Faults {
        silence_ms: Some(100),
        ..Faults::default()
    })
    .await;
    let commitment = sequencer.commit(sequencer.streams()[0], 1);
    let asked = Instant::now();
    let answer = wire.report(&commitment, B256::repeat_byte(1)).await;
    assert!(asked.elapsed() >= Duration::from_millis(100));
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.text().await.unwrap(), "");
    assert!(sequencer.reports().is_empty());
    for (path, status) in [("health", 200), ("ready", 503)] {
        assert_eq!(wire.bare(Method::GET, path).send().await.unwrap().status(), status);
    }
    sequencer.heal();
    assert_eq!(wire.bare(Method::GET, "ready").send().await.unwrap().status(), 200);
    assert_eq!(status(&wire).await, 200);
}

#[tokio::test]
async fn a_hang_up_is_no_answer() {
    let (_sequencer, wire) = sick(Faults {
        hang_ups: 1,
        ..Faults::default()
    })
    .await;
    let broken = wire.get(PENDING).send().await.unwrap_err();
    assert!(broken.is_request(), "{broken:?}");
    assert_eq!(status(&wire).await, 200);
}

#[tokio::test]
async fn a_burst_of_429_strikes_reads_and_reports_alike() {
    let (sequencer, wire) = sick(Faults {
        rate_limited: 3,
        ..Faults::default()
    })
    .await;
    let commitment = sequencer.commit(sequencer.streams()[0], 1);
    let refused = wire.get(PENDING).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "60");
    let body: Value = refused.json().await.unwrap();
    assert!(body["code"].is_string() && body["error"].is_string(), "{body}");
    sequencer.set_faults(|faults| faults.retry_after_s = Some(2));
    let refused = wire.report(&commitment, B256::repeat_byte(1)).await;
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()),
        (429, &b"2"[..])
    );
    assert_eq!(status(&wire).await, 429);
    assert_eq!(status(&wire).await, 200);
    assert!(sequencer.reports().is_empty());
}

#[tokio::test]
async fn a_rate_limit_is_shared_by_reads_and_reports() {
    let limit = RateLimit {
        requests: 2,
        window_ms: 60_000,
    };
    let (sequencer, wire) = sick(Faults {
        rate_limit: Some(limit),
        ..Faults::default()
    })
    .await;
    let commitment = sequencer.commit(sequencer.streams()[0], 1);
    assert_eq!(status(&wire).await, 200);
    assert_eq!(wire.report(&commitment, B256::repeat_byte(1)).await.status(), 200);
    assert_eq!(status(&wire).await, 429);
    // A window that is over gives room again.
    sequencer.set_faults(|faults| faults.rate_limit = Some(RateLimit { window_ms: 0, ..limit }));
    assert_eq!(status(&wire).await, 200);
}

#[tokio::test]
async fn an_exhausted_pool_says_so_and_an_internal_error_does_not() {
    let (_sequencer, wire) = sick(Faults {
        pool_exhausted: 1,
        internal_errors: 1,
        ..Faults::default()
    })
    .await;
    let exhausted = wire.get(PENDING).send().await.unwrap();
    assert_eq!(exhausted.status(), 503);
    assert_eq!(exhausted.json::<Value>().await.unwrap()["code"], "pool_exhausted");
    let internal = wire.get(PENDING).send().await.unwrap();
    assert_eq!(internal.status(), 500);
    assert_eq!(internal.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(status(&wire).await, 200);
}

#[tokio::test]
async fn a_stale_reader_sees_what_was_reported() {
    let (sequencer, wire) = sick(Faults {
        stale_ms: 600_000,
        ..Faults::default()
    })
    .await;
    let commitment = sequencer.commit(sequencer.streams()[0], 1);
    let (hash, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
    assert_eq!(wire.report(&commitment, hash).await.status(), 200);
    assert_eq!(wire.pending_ids().await, [commitment.batch_id.to_string()]);
    let shown = wire
        .json(&format!("api/v1/ves/commitments/{}", commitment.batch_id))
        .await;
    assert_eq!(shown["is_anchored"], false);
    assert!(sequencer.unreported().is_empty());
    // Writes see the truth.
    let again: Value = wire.report(&commitment, hash).await.json().await.unwrap();
    assert_eq!(again["status"], "already_anchored");
    assert_eq!(wire.report(&commitment, other).await.status(), 409);
    sequencer.set_faults(|faults| faults.stale_ms = 0);
    assert!(wire.pending_ids().await.is_empty());
}

#[tokio::test]
async fn holes_hide_every_second_commitment_of_a_stream() {
    let (sequencer, wire) = sick(Faults {
        holes: true,
        ..Faults::default()
    })
    .await;
    let made: Vec<_> = (0..5).map(|_| sequencer.commit(sequencer.streams()[0], 1)).collect();
    let ids = |indexes: &[usize]| {
        indexes
            .iter()
            .map(|index| made[*index].batch_id.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(wire.pending_ids().await, ids(&[0, 2, 4]));
    wire.report(&made[0], B256::repeat_byte(1)).await;
    assert_eq!(wire.pending_ids().await, ids(&[1, 3]));
    sequencer.heal();
    assert_eq!(wire.pending_ids().await, ids(&[1, 2, 3, 4]));
}

#[tokio::test]
async fn malformed_entries_stand_among_good_ones() {
    let (sequencer, wire) = sick(Faults {
        malformed: 10,
        ..Faults::default()
    })
    .await;
    let made: Vec<_> = (0..3).map(|_| sequencer.commit(sequencer.streams()[0], 1)).collect();
    let listed = wire.pending().await;
    assert_eq!(listed["total"], 13);
    let entries = listed["commitments"].as_array().unwrap().iter();
    let good: Vec<Commitment> = entries
        .filter_map(|entry| serde_json::from_value(entry.clone()).ok())
        .collect();
    assert_eq!(good, made);
    assert!(listed["commitments"][1]["batch_id"] == "not-a-uuid");
}

#[tokio::test]
async fn bodies_end_early_or_are_something_else() {
    let (sequencer, wire) = sick(Faults {
        truncated: 1,
        cut_off: 1,
        web_pages: 1,
        content_type: Some("application/octet-stream".into()),
        ..Faults::default()
    })
    .await;
    sequencer.preload(Preload {
        batches: 50,
        ..Preload::default()
    });
    let page = wire.get(PENDING).send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), page.headers()["content-type"].as_bytes()),
        (200, &b"text/html"[..])
    );
    let truncated = wire.get(PENDING).send().await.unwrap().bytes().await.unwrap();
    assert!(serde_json::from_slice::<Value>(&truncated).is_err());
    let whole = wire.get(PENDING).header("accept-encoding", "identity");
    let broken = async { whole.send().await?.bytes().await }.await;
    assert!(broken.is_err());
    let other = wire.get(PENDING).send().await.unwrap();
    assert_eq!(other.headers()["content-type"], "application/octet-stream");
    assert_eq!(other.json::<Value>().await.unwrap()["total"], 50);
}

#[tokio::test]
async fn a_504_on_a_report_may_hide_a_write() {
    let (sequencer, wire) = sick(Faults {
        timeouts_before_write: 1,
        timeouts_after_write: 1,
        ..Faults::default()
    })
    .await;
    let commitment = sequencer.commit(sequencer.streams()[0], 1);
    let hash = B256::repeat_byte(1);
    for (unreported, recorded) in [(1, false), (0, true)] {
        let answer = wire.report(&commitment, hash).await;
        assert_eq!(answer.status(), 504);
        assert_eq!(answer.text().await.unwrap(), "");
        assert_eq!(sequencer.unreported().len(), unreported);
        assert_eq!(sequencer.reports().last().unwrap().recorded, recorded);
    }
    let repeated: Value = wire.report(&commitment, hash).await.json().await.unwrap();
    assert_eq!(repeated["status"], "already_anchored");
    assert!(sequencer.contradictions().is_empty());
}

#[tokio::test]
async fn another_hash_may_be_accepted() {
    let (sequencer, wire) = sick(Faults {
        accepted_conflicts: 1,
        ..Faults::default()
    })
    .await;
    let commitment = sequencer.commit(sequencer.streams()[0], 1);
    let hashes = [1, 2, 3].map(B256::repeat_byte);
    let mut statuses = vec![];
    for hash in hashes {
        statuses.push(wire.report(&commitment, hash).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 409]);
    assert_eq!(sequencer.contradictions()[&commitment.batch_id], BTreeSet::from(hashes));
}

#[tokio::test]
async fn a_false_proof_leads_elsewhere() {
    let (sequencer, wire) = sick(Faults {
        false_proofs: true,
        ..Faults::default()
    })
    .await;
    let commitment = sequencer.commit(sequencer.streams()[0], 5);
    assert!(!proves(&wire, &commitment, 3).await);
    sequencer.heal();
    assert!(proves(&wire, &commitment, 3).await);
}

/// Whether the sequencer's proof of an event leads to the commitment's root.
async fn proves(wire: &Wire, commitment: &Commitment, sequence: u64) -> bool {
    let proof = wire.json(&Wire::proof_path(commitment, sequence)).await;
    let path: Vec<B256> = proof["proof_path"].as_array().unwrap().iter().map(word).collect();
    let index = proof["leaf_index"].as_u64().unwrap();
    verify_inclusion(
        word(&proof["leaf_hash"]),
        index,
        &path,
        commitment.event_count,
        commitment.events_root,
    )
    .is_ok()
}

#[tokio::test]
async fn flawed_batches_are_flawed_in_one_way() {
    let (sequencer, wire) = sick(Faults::default()).await;
    let shape = |commitment: &Commitment| commitment.check_shape().is_ok();
    let state = |commitment: &Commitment| set_ves::state_root(commitment) == Some(commitment.new_state_root);
    // Whether it chains, its shape, its state root and its proofs are sound.
    let cases = [
        (None, [true, true, true, true]),
        (Some(Defect::EventsRoot), [true, true, true, false]),
        (Some(Defect::StateRoot), [true, true, false, true]),
        (Some(Defect::PrevStateRoot), [false, true, true, true]),
        (Some(Defect::Gap), [false, true, true, true]),
        (Some(Defect::EventCount), [true, false, true, true]),
        (Some(Defect::ZeroEventsRoot), [true, false, true, false]),
        (Some(Defect::EndlessRange), [false, false, true, false]),
        (Some(Defect::Backdated), [true, true, true, true]),
    ];
    for (defect, sound) in cases {
        let stream = sequencer.open_stream(1);
        let first = sequencer.commit(stream, 3);
        let second = match defect {
            Some(defect) => sequencer.commit_flawed(stream, 3, defect),
            None => sequencer.commit(stream, 3),
        };
        let sequence = if defect == Some(Defect::Gap) { 8 } else { 5 };
        let found = [
            second.continues(&first.head()),
            shape(&second),
            state(&second),
            proves(&wire, &second, sequence).await,
        ];
        assert_eq!(found, sound, "{defect:?}");
        assert_eq!(
            second.committed_at < first.committed_at,
            defect == Some(Defect::Backdated)
        );
        if defect != Some(Defect::EndlessRange) {
            let third = sequencer.commit(stream, 1);
            assert!(
                third.continues(&second.head()) || defect == Some(Defect::EventCount),
                "{defect:?}"
            );
        }
    }
}

#[tokio::test]
async fn ids_repeat_and_streams_start_anywhere() {
    let sequencer = Sequencer::builder().first_sequence(1000).start().await.unwrap();
    let wire = Wire::of(&sequencer);
    let late = sequencer.streams()[0];
    let first = sequencer.commit(late, 2);
    assert_eq!((first.sequence_start, first.sequence_end), (1000, 1001));
    assert!(first.continues(&StreamHead::unopened(late)));
    sequencer.set_faults(|faults| faults.next_batches.push_back(Defect::DuplicateId));
    let double = sequencer.commit(sequencer.open_stream(1), 1);
    assert_eq!(double.batch_id, first.batch_id);
    assert_eq!(
        wire.pending_ids().await,
        [first.batch_id.to_string(), first.batch_id.to_string()]
    );
    assert!(sequencer.faults().next_batches.is_empty());
}

#[tokio::test]
async fn what_nobody_can_anchor_hides_what_is_younger() {
    let unanchorable = Preload {
        streams: 10,
        batches: 500,
        defect: Some(Defect::EventCount),
        newest: Some(Timestamp::now() - Duration::from_secs(3600)),
        ..Preload::default()
    };
    let sequencer = Sequencer::builder().preload(unanchorable).start().await.unwrap();
    let young = sequencer.commit(sequencer.streams()[0], 1);
    let wire = Wire::of(&sequencer);
    let ids = wire.pending_ids().await;
    assert_eq!(ids.len(), 5000);
    assert!(!ids.contains(&young.batch_id.to_string()));
    let path = format!(
        "api/v1/ves/commitments?tenant_id={}&store_id={}",
        young.tenant_id, young.store_id
    );
    assert_eq!(
        wire.json(&path).await["commitments"][0]["batch_id"],
        young.batch_id.to_string()
    );
}

#[tokio::test]
async fn switches_and_batches_are_there_over_http() {
    let (sequencer, wire) = sick(Faults::default()).await;
    let set = async |changes: Value| {
        wire.bare(Method::POST, "dev/faults")
            .json(&changes)
            .send()
            .await
            .unwrap()
    };
    let all: Value = set(json!({ "rate_limited": 2, "next_batches": ["state_root"] }))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!((&all["rate_limited"], &all["holes"]), (&json!(2), &json!(false)));
    assert_eq!(status(&wire).await, 429);
    let refused = set(json!({ "wholes": true })).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("wholes"));

    let order = json!({ "batches": 2, "events": 3 });
    let made: Vec<Commitment> = wire
        .bare(Method::POST, "dev/commit")
        .json(&order)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let sound = made
        .iter()
        .map(|batch| set_ves::state_root(batch) == Some(batch.new_state_root));
    assert_eq!(sound.collect::<Vec<_>>(), [false, true]);
    wire.bare(Method::DELETE, "dev/faults").send().await.unwrap();
    assert_eq!(sequencer.faults(), Faults::default());

    let opened: Value = wire
        .bare(Method::POST, "dev/streams")
        .json(&json!({ "first_sequence": 9 }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let order = json!({ "stream": opened["stream"], "defect": "gap" });
    let made: Vec<Commitment> = wire
        .bare(Method::POST, "dev/commit")
        .json(&order)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(made[0].sequence_start, 12);

    wire.report(&made[0], B256::repeat_byte(3)).await;
    let state: Value = wire
        .bare(Method::GET, "dev/state")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!((&state["batches"], &state["anchored"]), (&json!(3), &json!(1)));
    assert_eq!(word(&state["reports"][0]["chain_tx_hash"]), B256::repeat_byte(3));
    assert_eq!(text(&state["reports"][0]["batch_id"]), made[0].batch_id.to_string());
    assert_eq!(state["requests"]["reports"], 1);
    let event = wire
        .bare(Method::GET, &format!("dev/events/{}/12", made[0].batch_id))
        .send()
        .await
        .unwrap();
    let event: Value = event.json().await.unwrap();
    let signed: set_ves::SignedEvent = serde_json::from_value(event["event"].clone()).unwrap();
    signed.verify_signature(&word(&event["agent_public_key"])).unwrap();
}
