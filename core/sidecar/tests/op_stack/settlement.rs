//! A commitment's way down to L1, as callers see it.

use std::sync::Arc;

use serde_json::{Value, json};
use set_testkit::{OpStack, RpcProxy, Sequencer, Sidecar, Stack, connections, op_stack::Parts};

use crate::asking::{LEVELS, alarmed, asked, level, until};

fn quantity(value: &Value) -> u64 {
    let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}

async fn text(sidecar: &Sidecar, path: &str) -> String {
    let url = sidecar.health.join(path).unwrap();
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// What `check --online` says of op-node and of L1: whether all is well, and all words.
async fn checked(chain: &OpStack, set: &[(&str, String)]) -> (bool, String) {
    let own = [
        ("chain.rpc_urls", format!("[\"{}\"]", chain.rpc_url())),
        ("chain.op_node_url", chain.node_url().to_string()),
        ("chain.registry", format!("0x{}", "11".repeat(20))),
        ("chain.paymaster", format!("0x{}", "22".repeat(20))),
        ("l1.rpc_url", chain.l1.url().to_string()),
        ("l1.portal", chain.contracts.portal.to_string()),
        ("sidecar.data_dir", String::new()),
        // A busy machine is no finding here.
        ("chain.rpc_timeout", "1m".to_owned()),
        ("l1.rpc_timeout", "1m".to_owned()),
    ];
    let set = own.iter().chain(set).map(|(key, value)| format!("--set={key}={value}"));
    let check = tokio::process::Command::new(env!("CARGO_BIN_EXE_set-sidecar"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .env("SET_SEQUENCER_API_KEY", "ss_secret")
        .env("SET_COMMITMENTS_KEY", "11".repeat(32))
        .args(["check", "--online", "--json", "--overlay", "config/devnet-op.toml"])
        .args(set)
        .output();
    let output = check.await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let checks = report["checks"].as_array().unwrap().iter();
    let about: Vec<_> = checks
        .filter(|check| check["check"] == "op-node" || check["check"] == "l1")
        .collect();
    assert!(!about.is_empty(), "{report:#}");
    let well = about.iter().all(|check| check["status"] == "ok");
    (well, about.iter().map(|check| format!("{check}\n")).collect())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_check_asks_op_node_and_l1() {
    let dir = tempfile::tempdir().unwrap();
    let chain = OpStack::builder(dir.path()).parts(Parts::BATCHED);
    let chain = chain.start().await.unwrap();
    let (well, words) = checked(&chain, &[]).await;
    assert!(well, "{words}");
    for words_of in [
        "it tells which L1 block",
        "dispute games",
        "L1 is chain 900",
        "and the node has it",
    ] {
        assert!(words.contains(words_of), "{words_of}: {words}");
    }
    let away = "http://127.0.0.1:9/".to_owned();
    for (key, value, complaint) in [
        ("chain.op_node_url", away.clone(), "is op-node running"),
        ("chain.op_node_url", chain.rpc_url().to_string(), "is this its RPC"),
        ("l1.rpc_url", away, "Correct `l1.rpc_url`"),
        (
            "l1.rpc_url",
            chain.rpc_url().to_string(),
            "the node serves chain 84532001",
        ),
        ("l1.portal", chain.contracts.batcher.to_string(), "OptimismPortal"),
    ] {
        let (well, words) = checked(&chain, &[(key, value)]).await;
        assert!(!well && words.contains(complaint), "{complaint}: {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn each_stage_is_told_and_what_is_known_outlives_l1() {
    let dir = tempfile::tempdir().unwrap();
    let chain = OpStack::builder(dir.path().join("chain")).parts(Parts::ALL);
    let chain = Arc::new(chain.start().await.unwrap());
    let stack = Stack::beside(&chain, Sequencer::builder(), dir.path()).await.unwrap();
    let mut l1 = RpcProxy::start(chain.l1.url().clone()).await.unwrap();
    let builder = stack
        .sidecar(env!("CARGO_BIN_EXE_set-sidecar"))
        .set("l1.rpc_url", l1.url())
        .set("sidecar.data_dir", dir.path().join("data").display());
    let sidecar = builder.start().await.unwrap();
    let stream = stack.sequencer.open_stream(1);
    let batch = stack.sequencer.commit(stream, 4).batch_id;
    let get = ("set_getCommitment", json!([batch]));

    // The engine API is op-node's alone.
    let engine = chain.auth_url().port().unwrap();
    let uses_engine = |pid| connections(pid).unwrap().iter().any(|far| far.port() == engine);
    let look = async || uses_engine(chain.node().process().id()).into();
    until("op-node's connection to the engine API", look, |uses| *uses == true).await;
    let mut seen = vec![];
    let resolved = |answer: &Value| {
        assert!(!uses_engine(sidecar.process.id()));
        let Some(level) = level(answer) else { return false };
        if seen.last() != Some(&level) {
            seen.push(level);
        }
        // A report cannot be undone: it comes once the data is on L1, and not before.
        assert!(answer["reported"] == false || level >= 1, "{answer:#}");
        assert!(level >= 1 || answer["safeL1Block"].is_null(), "{answer:#}");
        level == LEVELS.len() - 1 && answer["reported"] == true && answer["safeL1Block"].is_object()
    };
    asked(
        &sidecar,
        "a reported and resolved commitment",
        get.0,
        get.1.clone(),
        resolved,
    )
    .await;
    assert!(seen.is_sorted(), "{seen:?}");

    let settles = |status: &Value| {
        status["settlement"]["lags"]["resolved"].is_object()
            && status["settlement"]["safeHeads"]["kept"] == true
            && status["chain"]["opNode"]["error"].is_null()
            && status["settlement"]["alarms"] == json!([])
    };
    asked(&sidecar, "settlement without trouble", "set_status", json!([]), settles).await;
    let metrics = text(&sidecar, "metrics").await;
    for stage in ["safe", "finalized", "claimed", "resolved"] {
        assert!(
            metrics.contains(&format!("set_settlement_lag_seconds{{stage=\"{stage}\"}}")),
            "{metrics}"
        );
    }

    // No L1: what was known stays as it was.
    l1.go_down().await;
    let away = |status: &Value| status["settlement"]["l1"]["error"].is_string();
    asked(&sidecar, "word that L1 is away", "set_status", json!([]), away).await;
    let answer = sidecar.call(get.0, get.1.clone()).await.unwrap();
    assert_eq!(
        (level(&answer), &answer["reported"]),
        (Some(LEVELS.len() - 1), &json!(true))
    );
    let (claim, carrier) = (&answer["claim"], &answer["safeL1Block"]);
    assert!(
        quantity(&claim["l2Block"]) >= quantity(&answer["blockNumber"]),
        "{answer:#}"
    );
    assert!(
        ["won", "final"].contains(&claim["status"].as_str().unwrap()),
        "{answer:#}"
    );
    // The L1 block that made it safe is one of L1.
    let block: Value = chain
        .l1
        .call("eth_getBlockByNumber", (&carrier["number"], false))
        .await
        .unwrap();
    assert_eq!(block["hash"], carrier["hash"]);
    let list = sidecar.call("set_listCommitments", json!([])).await.unwrap();
    assert_eq!(list["items"][0]["claim"]["game"], claim["game"]);
    assert_eq!(list["items"][0]["safeL1Block"], *carrier);

    // A new process knows it too, and whoever looks is told.
    assert!(sidecar.stop().await.unwrap().success());
    let sidecar = builder.set("settlement.head_alarm", "4s").start().await.unwrap();
    let known = |answer: &Value| level(answer) == Some(LEVELS.len() - 1) && answer["safeL1Block"].is_object();
    let again = asked(&sidecar, "what was known before", get.0, get.1, known).await;
    assert_eq!(
        (&again["claim"]["game"], &again["safeL1Block"]),
        (&claim["game"], carrier)
    );
    let away = |status: &Value| alarmed(status, "l1") == Some(true);
    asked(&sidecar, "the alarm l1", "set_status", json!([]), away).await;
    let health = text(&sidecar, "healthz").await;
    assert!(health.contains("the L1 node cannot be asked"), "{health}");
}
