//! The command line: what it says, and that it says everything at once.

use std::fs;

use assert_cmd::Command;
use serde_json::Value;

use crate::stage::{binary, plugin_file};

const ADDRESSES: [&str; 4] = [
    "--set",
    "chain.registry=0x1111111111111111111111111111111111111111",
    "--set",
    "chain.paymaster=0x2222222222222222222222222222222222222222",
];

/// A key of anvil's, known to everybody.
const KEY: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

fn sidecar() -> Command {
    let mut command = Command::new(binary());
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    command
        .env_clear()
        .env("SET_SEQUENCER_API_KEY", "ss_secret")
        .env("SET_COMMITMENTS_KEY", KEY);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_configuration_of_ours_passes() {
    sidecar().arg("check").args(ADDRESSES).assert().success();
    for overlay in ["config/devnet.toml", "config/plugin-files.toml"] {
        let dir = format!(
            "sidecar.plugin_dirs=[{:?}]",
            plugin_file("sequencer_http").parent().unwrap()
        );
        let assert = sidecar()
            .args(["check", "--overlay", overlay])
            .args(ADDRESSES)
            .args(["--set", &dir])
            .assert();
        let output = text(&assert.success().get_output().stdout);
        assert!(output.contains("no problems"), "{output}");
    }
}

#[test]
fn every_problem_is_listed_with_its_file_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let overlay = dir.path().join("broken.toml");
    let broken = r#"
        [chain]
        id = "one"
        rpc_ur = "http://127.0.0.1:1"
        [block]
        time = "2 fortnights"
        [txmgr]
        max_in_flight = 0
        max_gas = 20000000
        [commitment]
        report_at = "soon"
        [sequencer]
        api_key = "ss_in_clear"
        [sidecar]
        signers = ["nobody"]
        lease = "file"
        [sidecars]
        [rpc]
        admin_listen = "0.0.0.0:8647"
        max_page = "many"
        [rpc.proofs]
        concurrency = 60
    "#;
    fs::write(&overlay, broken).unwrap();
    let assert = sidecar()
        .args(["check", "--overlay"])
        .arg(&overlay)
        .env("SET__RPC__MAX_BATCH", "x")
        .assert();
    let output = text(&assert.failure().get_output().stderr);
    for key in [
        "chain.id",
        "chain.rpc_ur",
        "block.time",
        "txmgr.max_in_flight",
        "txmgr.max_gas",
        "commitment.report_at",
        "sequencer.api_key",
        "sidecar.signers",
        "lease.file",
        "sidecars",
        "rpc.max_page",
        "rpc.admin_listen",
        "rpc.max_batch",
        "chain.registry",
        "plugins.0.concurrency",
    ] {
        let line = output.lines().find(|line| line.contains(&format!("`{key}`")));
        let line = line.unwrap_or_else(|| panic!("`{key}` is missing in:\n{output}"));
        let origin = match key {
            "rpc.max_batch" => "environment",
            "chain.registry" | "lease.file" => "defaults",
            "plugins.0.concurrency" => "chain-config.toml",
            _ => "broken.toml",
        };
        assert!(line.contains(origin), "{line} does not name {origin}");
    }
    assert!(!output.contains("ss_in_clear"), "a secret is shown:\n{output}");
}

#[test]
fn keys_plugins_and_sections_are_all_looked_at() {
    let mut command = sidecar();
    command
        .env_remove("SET_SEQUENCER_API_KEY")
        .env("SET_COMMITMENTS_KEY", &KEY[..50]);
    let assert = command
        .args(["check", "--set", "txmgr.max_in_flight=0"])
        .args(ADDRESSES)
        .assert();
    let output = text(&assert.failure().get_output().stderr);
    for expected in [
        "3 problems",
        "command line: `txmgr.max_in_flight`",
        "config/chain-config.toml: `signers.commitments.variable`",
        "SET_COMMITMENTS_KEY",
        "config/chain-config.toml: `plugins.0` (sequencer)",
        "SET_SEQUENCER_API_KEY",
    ] {
        assert!(output.contains(expected), "{expected} is missing in:\n{output}");
    }
    assert!(!output.contains(&KEY[2..20]), "a part of the key is shown:\n{output}");
}

#[test]
fn a_key_at_the_wrong_place_is_not_shown() {
    for setting in [
        format!("signers.commitments={KEY}"),
        format!("signers.commitments.kind={KEY}"),
        "sequencer.api_key=123456789".to_owned(),
    ] {
        let assert = sidecar()
            .args(["check", "--set", &setting])
            .args(ADDRESSES)
            .assert()
            .failure();
        let output = text(&assert.get_output().stderr);
        assert!(output.contains("may be a secret"), "{setting}:\n{output}");
        assert!(
            !output.contains(&KEY[2..20]) && !output.contains("123456789"),
            "{output}"
        );
    }
}

#[test]
fn what_plugins_think_of_their_settings_is_asked() {
    let settings = [
        "--set",
        "fees.max_gas_price=cheap",
        "--set",
        "sequencer.url=ftp://127.0.0.1",
    ];
    let assert = sidecar().arg("check").args(settings).args(ADDRESSES).assert();
    let output = text(&assert.failure().get_output().stderr);
    for expected in [
        "2 problems",
        "`plugins.0` (sequencer)",
        "base_url",
        "`plugins.1` (policy)",
        "cheap",
    ] {
        assert!(output.contains(expected), "{expected} is missing in:\n{output}");
    }
}

#[test]
fn a_path_is_relative_to_the_file_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("mine.toml");
    let base = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/chain-config.toml")).unwrap();
    let by_file = "kind = \"file\"\npath = \"key\"";
    let mine = base.replace("kind = \"env\"\nvariable = \"SET_COMMITMENTS_KEY\"", by_file);
    assert_ne!(mine, base);
    fs::write(&config, mine).unwrap();
    fs::write(dir.path().join("key"), KEY).unwrap();
    sidecar()
        .args(["check", "--config"])
        .arg(&config)
        .args(ADDRESSES)
        .assert()
        .success();
}

#[test]
fn the_later_layer_wins() {
    let dir = tempfile::tempdir().unwrap();
    let overlay = dir.path().join("name.toml");
    fs::write(
        &overlay,
        "[chain]\nname = \"from overlay\"\nid = 5\n[commitment]\nreport_at = \"finalized\"\n",
    )
    .unwrap();
    let check = || {
        let mut command = sidecar();
        command.args(["check", "--overlay"]).arg(&overlay).args(ADDRESSES);
        command
    };
    let output = text(&check().assert().success().get_output().stdout);
    assert!(
        output.contains("5 (from overlay)") && output.contains("finalized"),
        "{output}"
    );
    let output = text(
        &check()
            .env("SET__CHAIN__ID", "6")
            .assert()
            .success()
            .get_output()
            .stdout,
    );
    assert!(output.contains("6 (from overlay)"), "{output}");
    let mut flagged = check();
    let output = text(
        &flagged
            .env("SET__CHAIN__ID", "6")
            .args(["--set", "chain.id=7"])
            .assert()
            .success()
            .get_output()
            .stdout,
    );
    assert!(output.contains("7 (from overlay)"), "{output}");
}

#[test]
fn a_plugin_file_says_what_it_is() {
    let assert = sidecar()
        .args(["plugin", "inspect"])
        .arg(plugin_file("registry_submitter"))
        .assert();
    let inspection: Value = serde_json::from_slice(&assert.success().get_output().stdout).unwrap();
    assert_eq!(inspection["descriptor"]["name"], "registry-submitter");
    assert_eq!(inspection["descriptor"]["kind"], "submitter");
    assert_eq!(inspection["sha256"].as_str().unwrap().len(), 64);

    let assert = sidecar().args(["plugin", "inspect", "Cargo.toml"]).assert();
    let output = text(&assert.failure().get_output().stderr);
    assert!(output.contains("Cargo.toml"), "{output}");
}

#[test]
fn help_teaches_and_completions_complete() {
    let output = text(&sidecar().arg("--help").assert().success().get_output().stdout);
    for expected in ["run", "check", "plugin", "verify", "completions", "SET__SECTION__KEY"] {
        assert!(output.contains(expected), "{expected} is missing in:\n{output}");
    }
    let output = text(
        &sidecar()
            .args(["completions", "bash"])
            .assert()
            .success()
            .get_output()
            .stdout,
    );
    assert!(output.contains("set-sidecar"));
}
