//! What callers and auditors get: set_*, health, metrics, and proofs that verify without the sidecar.

use std::fs;

use serde_json::json;
use set_testkit::Sequencer;

use crate::{
    stage::{PATIENCE, Stage, binary},
    watch,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_proven_from_its_signature_to_the_chain() {
    let stage = Stage::with(Sequencer::builder().seed(12)).await;
    let stream = stage.sequencer().streams()[0];
    let commitment = stage.sequencer().commit(stream, 5);
    let sidecar = stage.sidecar().start().await.unwrap();
    stage.reported(1).await;

    let (batch, sequence) = (commitment.batch_id, commitment.sequence_start + 3);
    let proof = sidecar
        .call("set_getInclusionProof", json!([batch, sequence]))
        .await
        .unwrap();
    let (leaf, index, path) = (&proof["leaf"], &proof["leafIndex"], &proof["path"]);
    let verified = sidecar
        .call("set_verifyInclusion", json!([batch, leaf, index, path]))
        .await
        .unwrap();
    assert_eq!(verified["valid"], true, "{verified}");
    assert_eq!(
        (&verified["recomputed"]["valid"], &verified["onChain"]["valid"]),
        (&json!(true), &json!(true))
    );
    let wrong = sidecar
        .call("set_verifyInclusion", json!([batch, leaf, 0, path]))
        .await
        .unwrap();
    assert_eq!(wrong["valid"], false, "{wrong}");

    // The same, by files alone.
    let file = |name: &str, value: &serde_json::Value| {
        let path = stage.dir.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    };
    let (event, key) = stage.sequencer().event(batch, sequence).unwrap();
    let anchored = sidecar.call("set_getCommitment", json!([batch])).await.unwrap();
    let verify = |proof: &serde_json::Value| {
        assert_cmd::Command::new(binary())
            .arg("verify")
            .arg(file("proof.json", proof))
            .arg("--commitment")
            .arg(file("commitment.json", &anchored))
            .arg("--event")
            .arg(file("event.json", &serde_json::to_value(&event).unwrap()))
            .args(["--agent-key", &key.to_string()])
            .assert()
    };
    let output = verify(&proof).success().get_output().stdout.clone();
    assert!(String::from_utf8(output).unwrap().ends_with("verified\n"));
    let mut forged = proof.clone();
    forged["leafIndex"] = json!(2);
    verify(&forged).failure();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_in_a_url_is_in_no_log() {
    let stage = Stage::with(Sequencer::builder().seed(17)).await;
    // Nothing listens there; the sidecar says so and goes on.
    let urls = r#"["http://127.0.0.1:1/v2/an-access-key"]"#;
    let sidecar = stage.sidecar().set("chain.rpc_urls", urls).set("sidecar.log", "trace");
    let process = sidecar.spawn().unwrap();
    process.line_with("node unreachable", PATIENCE).await.unwrap();
    let shown: Vec<_> = process
        .lines()
        .into_iter()
        .filter(|line| line.contains("an-access-key"))
        .collect();
    assert_eq!(shown, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_everything_is_on_show() {
    let stage = Stage::with(Sequencer::builder().seed(13)).await;
    let stream = stage.sequencer().streams()[0];
    let made: Vec<_> = (1..=3).map(|events| stage.sequencer().commit(stream, events)).collect();
    let sidecar = stage.sidecar().start().await.unwrap();
    stage.reported(made.len()).await;
    // Reports do not wait for the index, and lists come from it.
    watch::status(&sidecar, "the index at the head", |status| {
        status["index"]["commitments"] == made.len()
    })
    .await;

    let by_stream = json!({"stream": {"tenantId": stream.tenant_id, "storeId": stream.store_id}, "limit": 2});
    let page = sidecar.call("set_listCommitments", by_stream.clone()).await.unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let mut next = by_stream.clone();
    next["cursor"] = page["nextCursor"].clone();
    let rest = sidecar.call("set_listCommitments", next).await.unwrap();
    let listed = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .chain(rest["items"].as_array().unwrap());
    let listed: Vec<_> = listed.map(|item| item["batchId"].clone()).collect();
    assert_eq!(
        json!(listed),
        json!(made.iter().map(|commitment| commitment.batch_id).collect::<Vec<_>>())
    );

    let head = sidecar
        .call("set_getStreamHead", json!([by_stream["stream"]]))
        .await
        .unwrap();
    assert_eq!(head["sequence"], json!(made[2].sequence_end), "{head}");
    let status = sidecar.call("set_status", json!([])).await.unwrap();
    assert_eq!(status["chain"]["chainId"], "0x509db21", "{status}");
    for part in ["network", "pipeline", "txmgr", "index"] {
        assert!(status[part].is_object(), "{part} is missing in {status}");
    }
    assert!(!status.to_string().contains(stage.sequencer().admin_key()));

    for path in ["livez", "readyz", "healthz"] {
        watch::health_is(&sidecar, path, 200, "").await;
    }
    let (_, metrics) = watch::health(&sidecar, "metrics").await;
    assert!(metrics.lines().any(|line| line.starts_with("set_")), "{metrics}");
}
