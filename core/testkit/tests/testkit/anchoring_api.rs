//! The routes when all is well, against what was recorded from the real sequencer.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use set_testkit::{Sequencer, sequencer::Preload};
use set_types::Commitment;
use set_ves::verify_inclusion;

use crate::client::{Wire, text, word};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The same keys with values of the same JSON type and the same form.
fn assert_same_shape(recorded: &Value, ours: &Value) {
    assert_eq!(keys(recorded), keys(ours));
    for (key, value) in recorded.as_object().unwrap() {
        let own = &ours[key];
        assert_eq!(std::mem::discriminant(value), std::mem::discriminant(own), "{key}");
        if let (Value::String(recorded), Value::String(own)) = (value, own)
            && key != "committed_at"
        {
            assert_eq!(
                (recorded.len(), &recorded[..2] == "0x"),
                (own.len(), &own[..2] == "0x"),
                "{key}"
            );
        }
    }
}

#[tokio::test]
async fn pending_has_the_recorded_shape_and_is_anchorable() {
    let recorded: Value = serde_json::from_str(include_str!("../../vectors/pending.json")).unwrap();
    let sequencer = Sequencer::builder().streams(2).start().await.unwrap();
    let [first, second] = sequencer.streams()[..] else {
        panic!("two streams")
    };
    let made: Vec<Commitment> = [(first, 1), (second, 4), (first, 7)]
        .map(|(stream, events)| sequencer.commit(stream, events))
        .into();
    let listed = Wire::of(&sequencer).pending().await;
    assert_eq!(keys(&recorded), keys(&listed));
    assert_eq!(listed["total"], 3);
    for entry in listed["commitments"].as_array().unwrap() {
        assert_same_shape(&recorded["commitments"][0], entry);
    }
    let read: Vec<Commitment> = serde_json::from_value(listed["commitments"].clone()).unwrap();
    assert_eq!(read, made);
    let recorded: Vec<Commitment> = serde_json::from_value(recorded["commitments"].clone()).unwrap();
    for commitment in recorded.iter().chain(&read) {
        commitment.check_shape().unwrap();
        assert_eq!(set_ves::state_root(commitment), Some(commitment.new_state_root));
    }
    assert!(read[2].continues(&read[0].head()));
}

#[tokio::test]
async fn limits_default_are_capped_and_total_counts_the_answer() {
    let preload = Preload {
        streams: 500,
        batches: 11,
        ..Preload::default()
    };
    let sequencer = Sequencer::builder().preload(preload).start().await.unwrap();
    let wire = Wire::of(&sequencer);
    for (query, count) in [("", 1000), ("?limit=7", 7), ("?limit=5500", 5000), ("?limit=0", 0)] {
        let listed = wire.json(&format!("v1/commitments/pending{query}")).await;
        assert_eq!(listed["total"], count);
        assert_eq!(listed["commitments"].as_array().unwrap().len(), count);
    }
    let listed = wire.pending().await;
    let entries: Vec<Commitment> = serde_json::from_value(listed["commitments"].clone()).unwrap();
    assert!(entries.is_sorted_by_key(|entry| entry.committed_at));
    assert!(entries[5000 - 1].committed_at < jiff::Timestamp::now());
    let digits: BTreeSet<usize> = listed["commitments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| text(&entry["committed_at"]).len())
        .collect();
    assert_eq!(digits.into_iter().collect::<Vec<_>>(), [20, 24, 27]);
    assert_eq!(
        wire.get("v1/commitments/pending?limit=x")
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
}

#[tokio::test]
async fn only_the_admin_gets_in() {
    let sequencer = Sequencer::builder().start().await.unwrap();
    let wire = Wire::of(&sequencer);
    let admin = sequencer.admin_key();
    let path = "v1/commitments/pending";
    let authorization = |value: String| wire.bare(Method::GET, path).header("Authorization", value);
    for request in [
        authorization(format!("ApiKey {admin}")),
        authorization(admin.into()),
        wire.bare(Method::GET, path).header("X-Api-Key", admin),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    for request in [
        authorization(format!("Bearer {admin}")),
        authorization("ApiKey ss_other".into()),
        wire.bare(Method::GET, path),
    ] {
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), 401);
        assert_eq!(keys(&refused.json().await.unwrap()), BTreeSet::from(["code", "error"]));
    }
    let refused = authorization(format!("ApiKey {}", sequencer.tenant_key()))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.headers()["content-type"], "text/plain; charset=utf-8");
    for (method, path, status) in [
        (Method::GET, "health", 200),
        (Method::GET, "ready", 200),
        (Method::GET, "v2/unknown", 404),
        (Method::POST, "health", 405),
    ] {
        let answer = wire.bare(method, path).send().await.unwrap();
        assert_eq!(answer.status(), status);
        if status >= 400 {
            assert_eq!(answer.text().await.unwrap(), "");
        }
    }
}

#[tokio::test]
async fn a_report_is_final() {
    let sequencer = Sequencer::builder().start().await.unwrap();
    let wire = Wire::of(&sequencer);
    let commitment = sequencer.commit(sequencer.streams()[0], 2);
    let (hash, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let status = async |answer: reqwest::Response| text(&answer.json::<Value>().await.unwrap()["status"]);

    assert_eq!(status(wire.report(&commitment, hash).await).await, "anchored");
    assert_eq!(status(wire.report(&commitment, hash).await).await, "already_anchored");
    let conflict = wire.report(&commitment, other).await;
    assert_eq!(conflict.status(), StatusCode::CONFLICT);
    assert_eq!(conflict.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(wire.pending_ids().await.is_empty());

    let shown = wire
        .json(&format!("api/v1/ves/commitments/{}", commitment.batch_id))
        .await;
    assert_eq!(shown["is_anchored"], true);
    assert_eq!(shown["chain_tx_hash"], "01".repeat(32));
    assert_eq!(shown["chain_block_number"], 7);

    let reports = sequencer.reports();
    assert_eq!(
        reports.iter().map(|report| report.status).collect::<Vec<_>>(),
        [200, 200, 409]
    );
    assert_eq!(
        reports.iter().map(|report| report.recorded).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert_eq!(reports[0].gas_used, Some(46_000));
    assert_eq!(sequencer.contradictions().len(), 1);
    assert!(sequencer.unreported().is_empty());
    assert!(sequencer.reported(1, Duration::from_secs(5)).await);
    assert!(!sequencer.reported(2, Duration::ZERO).await);
}

#[tokio::test]
async fn a_report_that_is_wrong_is_refused_in_plain_text() {
    let sequencer = Sequencer::builder().start().await.unwrap();
    let wire = Wire::of(&sequencer);
    let path = format!(
        "v1/commitments/{}/anchored",
        sequencer.commit(sequencer.streams()[0], 1).batch_id
    );
    let hash = B256::repeat_byte(1).to_string();
    let good = json!({ "chain_tx_hash": hash, "chain_id": 1 });
    let unknown = "v1/commitments/00000000-0000-4000-8000-000000000000/anchored";
    let cases = [
        (wire.post(unknown, &good), 404),
        (wire.post("v1/commitments/not-a-uuid/anchored", &good), 400),
        (
            wire.post(&path, &json!({ "chain_tx_hash": &hash[2..], "chain_id": 1 })),
            400,
        ),
        (wire.post(&path, &json!({ "chain_tx_hash": hash })), 422),
        (
            wire.post(&path, &json!({ "chain_tx_hash": hash, "chain_id": "1" })),
            422,
        ),
        (wire.post(&path, &good).body("{"), 400),
        (wire.get(&path).body("{}"), 405),
    ];
    for (request, status) in cases {
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), status);
    }
    let untyped = wire
        .bare(Method::POST, &path)
        .header("X-Api-Key", sequencer.admin_key())
        .body(good.to_string());
    assert_eq!(untyped.send().await.unwrap().status(), 415);
    assert!(sequencer.unreported().len() == 1 && sequencer.reports().len() == 1);
}

#[tokio::test]
async fn proofs_lead_from_signed_events_to_the_committed_root() {
    let recorded: Value = serde_json::from_str(include_str!("../../../ves/vectors/ves.json")).unwrap();
    let sequencer = Sequencer::builder().start().await.unwrap();
    let wire = Wire::of(&sequencer);
    let stream = sequencer.streams()[0];
    for events in [1, 3, 8] {
        let commitment = sequencer.commit(stream, events);
        for sequence in commitment.sequence_start..=commitment.sequence_end {
            let proof = wire.json(&Wire::proof_path(&commitment, sequence)).await;
            let batch = recorded["batches"].as_array().unwrap();
            let batch = batch
                .iter()
                .find(|batch| batch["proofs"].as_array().unwrap().len() == events as usize)
                .unwrap();
            let index = (sequence - commitment.sequence_start) as usize;
            assert_same_shape(&batch["proofs"][index], &proof);
            assert_eq!(proof["directions"], batch["proofs"][index]["directions"]);
            let path: Vec<B256> = proof["proof_path"].as_array().unwrap().iter().map(word).collect();
            let leaf = word(&proof["leaf_hash"]);
            let root = commitment.events_root;
            verify_inclusion(leaf, index as u64, &path, events, root).unwrap();

            let (event, key) = sequencer.event(commitment.batch_id, sequence).unwrap();
            event.check_payload().unwrap();
            event.verify_signature(&key).unwrap();
            assert_eq!(event.leaf(sequence), leaf);
        }
    }
    let [first, _, last] = &sequencer.commitments()[..] else {
        panic!("three batches")
    };
    assert_eq!(
        wire.get(&Wire::proof_path(first, 2)).send().await.unwrap().status(),
        400
    );
    let stranger = Commitment {
        store_id: B256::repeat_byte(9).into(),
        ..last.clone()
    };
    let path =
        Wire::proof_path(&stranger, 5).replace(&stranger.store_id.to_string(), "00000000-0000-4000-8000-000000000000");
    assert_eq!(wire.get(&path).send().await.unwrap().status(), 403);
    let unknown = Commitment {
        batch_id: uuid::Uuid::from_u128(7).into(),
        ..last.clone()
    };
    assert_eq!(
        wire.get(&Wire::proof_path(&unknown, 5)).send().await.unwrap().status(),
        404
    );

    let listed = wire
        .json(&format!(
            "api/v1/ves/commitments?tenant_id={}&store_id={}",
            stream.tenant_id, stream.store_id
        ))
        .await;
    let entries = listed["commitments"].as_array().unwrap();
    assert_eq!(entries.len(), 3);
    assert!(keys(&entries[1]).is_superset(&keys(&recorded["batches"][1]["created"])));
    assert_eq!(
        entries[1]["merkle_root"],
        format!("{:x}", sequencer.commitments()[1].events_root)
    );
    assert_eq!(entries[1]["tree_depth"], 2);
}

#[tokio::test]
async fn a_seed_repeats_itself() {
    let make = async |seed| {
        let sequencer = Sequencer::builder().seed(seed).start().await.unwrap();
        let commitment = sequencer.commit(sequencer.streams()[0], 2);
        (commitment.batch_id, commitment.stream())
    };
    assert_eq!(make(5).await, make(5).await);
    assert_ne!(make(5).await, make(6).await);
}

#[tokio::test]
async fn what_went_down_comes_back_with_its_memory() {
    let mut sequencer = Sequencer::builder().start().await.unwrap();
    let wire = Wire::of(&sequencer);
    let commitment = sequencer.commit(sequencer.streams()[0], 2);
    assert_eq!(wire.pending_ids().await.len(), 1);
    sequencer.go_down().await;
    assert!(wire.get("v1/commitments/pending").send().await.is_err());
    sequencer.come_back().await.unwrap();
    assert_eq!(wire.pending_ids().await, [commitment.batch_id.to_string()]);
}

#[tokio::test]
async fn load_is_committed_as_time_passes() {
    let load = set_testkit::sequencer::Load {
        interval: Duration::from_millis(1),
        events: 1..=4,
        batches: Some(20),
    };
    let sequencer = Sequencer::builder().streams(3).load(load).start().await.unwrap();
    let started = Instant::now();
    while sequencer.commitments().len() < 20 {
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(120), "{:?}", sequencer.commitments());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let streams: BTreeSet<_> = sequencer.commitments().iter().map(Commitment::stream).collect();
    assert_eq!(streams.len(), 3);
    let sizes: BTreeSet<_> = sequencer
        .commitments()
        .iter()
        .map(|commitment| commitment.event_count)
        .collect();
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn http2_with_prior_knowledge_and_gzip_are_spoken() {
    let sequencer = Sequencer::builder().start().await.unwrap();
    sequencer.commit(sequencer.streams()[0], 1);
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .gzip(false)
        .build()
        .unwrap();
    let request = client
        .get(sequencer.url().join("v1/commitments/pending").unwrap())
        .header("X-Api-Key", sequencer.admin_key())
        .header("Accept-Encoding", "gzip");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.headers()["content-encoding"], "gzip");
}
