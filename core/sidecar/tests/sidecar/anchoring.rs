//! From the sequencer's list to the chain and back.

use std::time::Duration;

use serde_json::{Value, json};
use set_testkit::{
    Sequencer,
    sequencer::{Defect, Faults, Load, Preload, RateLimit},
};

use crate::{
    stage::{Stage, plugin_file},
    watch,
};

const STREAMS: usize = 3;
const BATCHES: usize = 5;

/// The same commitments every time.
async fn preloaded() -> Stage {
    let preload = Preload {
        streams: STREAMS,
        batches: BATCHES,
        events: 3,
        newest: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        ..Preload::default()
    };
    Stage::with(Sequencer::builder().seed(7).streams(0).preload(preload)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_linked_in_or_loaded_give_the_same_chain() {
    let linked = preloaded().await;
    let sidecar = linked.sidecar().start().await.unwrap();
    linked.reported(STREAMS * BATCHES).await;
    linked.assert_all_anchored().await;
    assert!(sidecar.stop().await.unwrap().success());

    let files = preloaded().await;
    let dir = plugin_file("sequencer_http").parent().unwrap().display().to_string();
    let sidecar = files
        .sidecar()
        .overlay("config/plugin-files.toml")
        .set("sidecar.plugin_dirs", format_args!("[{dir:?}]"))
        .start()
        .await
        .unwrap();
    files.reported(STREAMS * BATCHES).await;
    files.assert_all_anchored().await;
    let from_files = |plugins: &Value| {
        let mut plugins = plugins.as_array().unwrap().iter();
        plugins.all(|plugin| plugin["builtin"] == false && plugin["state"] == "started")
    };
    let list = ("set_listPlugins", json!([]));
    watch::answer(&sidecar, "every plugin from a file", list, from_files).await;
    assert!(sidecar.stop().await.unwrap().success());

    let commitments = linked.sequencer().commitments();
    assert_eq!(commitments, files.sequencer().commitments());
    assert_eq!(linked.records(&commitments).await, files.records(&commitments).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_commitment_stops_its_own_stream_alone() {
    let stage = Stage::with(Sequencer::builder().seed(8).streams(2)).await;
    let streams = stage.sequencer().streams();
    let good = [
        stage.sequencer().commit(streams[0], 2),
        stage.sequencer().commit(streams[1], 2),
    ];
    let bad = stage.sequencer().commit_flawed(streams[0], 3, Defect::StateRoot);
    let behind = stage.sequencer().commit(streams[0], 1);
    let beside = stage.sequencer().commit(streams[1], 4);
    let sidecar = stage.sidecar().start().await.unwrap();
    stage.reported(good.len() + 1).await;

    // The bad one may be found out after the good ones are through.
    let stays = async |batch, stage: &str| {
        let asked = ("set_getCommitment", json!([batch]));
        watch::answer(&sidecar, stage, asked, |answer| answer["stage"] == stage).await
    };
    let stuck = stays(bad.batch_id, "quarantined").await;
    assert!(stuck["reason"].as_str().unwrap().contains("new_state_root"), "{stuck}");
    let waiting = stays(behind.batch_id, "blocked").await;
    assert!(waiting["reason"].is_string(), "{waiting}");
    let records = stage
        .records(&[good[0].clone(), good[1].clone(), bad, behind, beside])
        .await;
    assert_eq!(
        records.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, true, false, false, true]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_policy_holds_waits_with_its_reason() {
    let stage = Stage::with(Sequencer::builder().seed(9)).await;
    let stream = stage.sequencer().streams()[0];
    let overlay = stage.dir.path().join("policy.toml");
    let base = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/chain-config.toml")).unwrap();
    let plugins = &base[base.find("\n[[plugins]]").unwrap()..];
    std::fs::write(&overlay, plugins.replace("min_events = 0", "min_events = 5")).unwrap();
    let first = stage.sequencer().commit(stream, 2);
    let sidecar = stage.sidecar().overlay(&overlay).start().await.unwrap();

    let list = ("set_pendingCommitments", json!({"stage": "held"}));
    let found = |answer: &Value| answer["items"][0]["reason"].to_string().contains("min_events");
    let answer = watch::answer(&sidecar, "the first one held", list, found).await;
    assert_eq!(answer["items"][0]["batchId"], json!(first.batch_id));

    // Two and three make the five that the policy asks for, summed over the stream.
    stage.sequencer().commit(stream, 3);
    stage.reported(2).await;
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_flood_it_with_proofs_do_not_stop_anchoring() {
    const COUNT: usize = 40;
    // Every request counts against one limit, and the sidecar's own checks ask for proofs as well.
    let faults = Faults {
        rate_limit: Some(RateLimit {
            requests: 60,
            window_ms: 2_000,
        }),
        retry_after_s: Some(1),
        ..Faults::default()
    };
    let load = Load {
        interval: Duration::from_millis(50),
        events: 1..=8,
        batches: Some(COUNT as u64),
    };
    let stage = Stage::with(Sequencer::builder().seed(16).streams(3).load(load).faults(faults)).await;
    let sidecar = stage.sidecar().start().await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let rpc = sidecar.rpc.clone();
        callers.spawn(async move {
            loop {
                let anchored = rpc.call("set_listCommitments", json!([])).await.unwrap();
                for item in anchored["items"].as_array().unwrap() {
                    let (first, last) = (item["sequenceStart"].as_u64(), item["sequenceEnd"].as_u64());
                    for sequence in first.unwrap()..=last.unwrap() {
                        // Many are refused as busy, or because the sequencer refuses; that is the point.
                        let _ = rpc
                            .call("set_getInclusionProof", json!([item["batchId"], sequence]))
                            .await;
                    }
                }
                tokio::task::yield_now().await;
            }
        });
    }
    stage.reported(COUNT).await;
    callers.shutdown().await;
    stage.assert_all_anchored().await;
}
