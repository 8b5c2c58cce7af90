//! `set-sidecar check --online`, against a real chain and sequencer with one fault at a time.

use std::collections::BTreeSet;

use alloy::providers::Provider;
use alloy_primitives::{U256, hex};
use serde_json::{Value, json};
use set_chain::bindings::SetRegistry;
use set_testkit::{Action, Anvil, RpcProxy, Rule, Sequencer};

use crate::desk::{Desk, FIRST, PATIENCE, Settings};

/// The checks that found a problem, and the whole report.
async fn problems(desk: &Desk, settings: Settings, env: Option<(&str, &str)>) -> (BTreeSet<String>, Value) {
    desk.write(&settings);
    let program = desk.program(&["check", "--online", "--json"]);
    let program = env
        .into_iter()
        .fold(program, |program, (name, value)| program.env(name, value));
    let process = program.spawn().unwrap();
    let status = process.wait(PATIENCE).await.unwrap();
    let lines = process.lines();
    // Standard error has one line, standard output the report.
    let report = lines.iter().filter(|line| !line.starts_with("set-sidecar:"));
    let report: Vec<_> = report.map(String::as_str).collect();
    let report: Value = serde_json::from_str(&report.join("\n")).unwrap_or_else(|error| panic!("{error}: {lines:#?}"));
    let found: BTreeSet<_> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["status"] == "problem")
        .inspect(|check| {
            assert!(
                check["advice"].as_str().is_some_and(|advice| !advice.is_empty()),
                "{check}"
            )
        })
        .map(|check| check["check"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(report["ok"], json!(found.is_empty()));
    assert_eq!(status.success(), found.is_empty(), "{lines:#?}");
    (found, report)
}

async fn expect(desk: &Desk, fault: &str, settings: Settings, env: Option<(&str, &str)>, expected: &[&str]) {
    let (found, report) = problems(desk, settings, env).await;
    let expected: BTreeSet<_> = expected.iter().map(|check| (*check).to_owned()).collect();
    assert_eq!(found, expected, "{fault}: {report:#}");
}

fn chain(text: impl Into<String>) -> Settings {
    Settings {
        chain: text.into(),
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_and_said_line_by_line() {
    let desk = Desk::with(Sequencer::builder().seed(31)).await;
    expect(&desk, "nothing", Settings::default(), None, &[]).await;
    let process = desk.program(&["check", "--online"]).spawn().unwrap();
    assert!(process.wait(PATIENCE).await.unwrap().success());
    let lines = process.lines();
    for check in [
        "node",
        "chain id",
        "syncing",
        "head",
        "tag",
        "block",
        "registry",
        "paused",
        "paymaster",
        "signer",
        "authorised",
        "balance",
        "code",
        "sequencer",
        "port",
        "data",
    ] {
        let fine = |line: &String| line.starts_with("ok ") && line[9..].starts_with(check);
        assert!(lines.iter().any(fine), "{check} is missing in {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_the_configuration_is_named() {
    let desk = Desk::with(Sequencer::builder().seed(32)).await;
    let node = desk.stack.chain.url().clone();
    let nowhere = chain("registry = \"0x1111111111111111111111111111111111111111\"");
    expect(&desk, "no code", nowhere, None, &["registry"]).await;
    let other = Settings {
        sidecar: "signers = [\"second\"]".to_owned(),
        ..Settings::default()
    };
    expect(&desk, "unauthorised", other, None, &["authorised"]).await;
    // Nothing but the nodes can be judged on another chain.
    expect(&desk, "another chain", chain("id = 5"), None, &["chain id"]).await;
    let dead = chain(format!("rpc_urls = [\"{node}\", \"http://127.0.0.1:1/an-access-key\"]"));
    let (found, report) = problems(&desk, dead, None).await;
    assert_eq!(found, BTreeSet::from(["node".to_owned()]), "{report:#}");
    assert!(!report.to_string().contains("an-access-key"), "{report:#}");
    let key = Some(("SET_SEQUENCER_API_KEY", "ss_wrong"));
    expect(&desk, "the sequencer's key", Settings::default(), key, &["sequencer"]).await;
    let small = Settings {
        more: "[txmgr]\nmax_gas = 9000000\n".to_owned(),
        chain: String::new(),
        sidecar: "signers = [\"first\"]\nlease = \"file\"".to_owned(),
    };
    let (found, report) = problems(&desk, small, None).await;
    assert_eq!(found, BTreeSet::from(["configuration".to_owned()]), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_the_chain_is_named() {
    let desk = Desk::with(Sequencer::builder().seed(33)).await;
    let chain_ = &desk.stack.chain;
    let first = Anvil::account(FIRST).address();
    let default = Settings::default;

    let before = chain_.provider().get_balance(first).await.unwrap();
    chain_.set_balance(first, U256::ZERO).await.unwrap();
    expect(&desk, "an empty balance", default(), None, &["balance"]).await;
    chain_.set_balance(first, before).await.unwrap();

    let delegation = hex::encode_prefixed([&[0xef, 0x01, 0x00][..], &[7; 20]].concat());
    chain_
        .call::<_, Value>("anvil_setCode", (first, delegation))
        .await
        .unwrap();
    expect(&desk, "delegated code", default(), None, &["code"]).await;
    chain_.call::<_, Value>("anvil_setCode", (first, "0x")).await.unwrap();

    let proxy = RpcProxy::start(chain_.url().clone()).await.unwrap();
    let behind = || chain(format!("rpc_urls = [\"{}\"]", proxy.url()));
    proxy.inject(Rule::on(
        ["eth_syncing"],
        Action::Answer(json!({"currentBlock": "0x1", "highestBlock": "0x9"})),
    ));
    expect(&desk, "a node that catches up", behind(), None, &["syncing"]).await;
    proxy.heal();
    proxy.inject(Rule::on_tag("safe", Action::Answer(Value::Null)));
    let safe = Settings {
        more: "[txmgr]\nwatch_until = \"safe\"\n".to_owned(),
        ..behind()
    };
    expect(&desk, "no safe block", safe, None, &["tag"]).await;

    desk.own(SetRegistry::pauseCall {}).await;
    expect(&desk, "a pause", default(), None, &["paused"]).await;
    desk.own(SetRegistry::unpauseCall {}).await;

    chain_.call::<_, Value>("evm_increaseTime", (3600,)).await.unwrap();
    chain_.mine(1).await.unwrap();
    expect(&desk, "a clock that is an hour ahead", default(), None, &["head"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_proofs_cannot_be_made_the_nodes_setting_is_named() {
    let desk = Desk::with(Sequencer::builder().seed(34)).await;
    let node = desk.stack.chain.url().clone();
    let proxy = RpcProxy::start(node.clone()).await.unwrap();
    let gone = "missing trie node 59030c2a (path ) state 0x59030c2a is not available";
    proxy.inject(Rule::on(["eth_getProof"], Action::error(gone)));
    let proofs = async |proof_url: &str| {
        let settings = Settings {
            chain: format!("rpc_urls = [\"{}\"]\n{proof_url}", proxy.url()),
            more: format!("[l1]\nrpc_url = \"{node}\"\nportal = \"0x1111111111111111111111111111111111111111\"\n"),
            ..Settings::default()
        };
        let (found, report) = problems(&desk, settings, None).await;
        let checks = report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["check"] == "proofs").cloned().unwrap();
        (found.contains("proofs"), check)
    };
    let (failed, check) = proofs("").await;
    assert!(failed, "{check}");
    let advice = check["advice"].as_str().unwrap();
    assert!(
        advice.contains("--gcmode archive") && advice.contains("`chain.proof_url`"),
        "{advice}"
    );
    let (failed, check) = proofs(&format!("proof_url = \"{node}\"")).await;
    assert!(!failed && check["status"] == "ok", "{check}");
}
