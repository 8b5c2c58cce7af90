//! `check --online` compares the configuration with op-node's and with what blocks say of fees.

use std::{
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use serde_json::{Value, json};
use set_testkit::{
    OpStack,
    op_stack::{Parts, SystemConfigChange},
};

use crate::asking::until;

/// A chain, and the configuration that it was made from.
struct Desk {
    stack: OpStack,
    dir: PathBuf,
}

impl Desk {
    /// The findings about the rollup: status and text each.
    async fn rollup(&self, set: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_set-sidecar"));
        command
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .env("SET_SEQUENCER_API_KEY", "ss_secret")
            .env("SET_COMMITMENTS_KEY", "11".repeat(32))
            .args(["check", "--online", "--json", "--overlay", "config/devnet-op.toml"]);
        let url = |url: &dyn std::fmt::Display| url.to_string();
        let own = [
            ("chain.rpc_urls", format!("[\"{}\"]", self.stack.rpc_url())),
            ("chain.op_node_url", url(self.stack.node_url())),
            ("chain.registry", format!("0x{}", "11".repeat(20))),
            ("chain.paymaster", format!("0x{}", "22".repeat(20))),
            ("l1.rpc_url", url(self.stack.l1.url())),
            ("l1.portal", url(&self.stack.contracts.portal)),
            ("rollup.config", self.dir.join("rollup.json").display().to_string()),
            ("rollup.system_config", url(&self.stack.contracts.system_config)),
            ("sidecar.data_dir", String::new()),
            // A busy machine is no finding here.
            ("chain.rpc_timeout", "1m".to_owned()),
        ];
        let own = own.iter().map(|(key, value)| (*key, value.as_str()));
        for (key, value) in own.chain(set.iter().copied()) {
            command.args(["--set", &format!("{key}={value}")]);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let checks = report["checks"].as_array().unwrap();
        let about = checks.iter().filter(|check| {
            let origin = check["found"].as_str().unwrap_or_default();
            check["check"] == "rollup" || check["check"] == "configuration" && origin.contains("rollup")
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        about
            .map(|check| (text(&check["status"]), text(&check["found"])))
            .collect()
    }
}

fn problems(findings: &[(String, String)]) -> Vec<&str> {
    let problems = findings.iter().filter(|(status, _)| status == "problem");
    problems.map(|(_, found)| found.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn each_difference_between_configuration_op_node_and_blocks_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let stack = OpStack::builder(dir.path()).parts(Parts::NODE).start().await.unwrap();
    let desk = Desk {
        stack,
        dir: dir.path().to_owned(),
    };

    // File, op-node and blocks agree.
    let found = desk.rollup(&[]).await;
    assert!(found.iter().all(|(status, _)| status == "ok"), "{found:#?}");
    let agree = ["14 facts agree", "5 facts agree", "9 facts agree"];
    let told = found
        .iter()
        .zip(agree)
        .filter(|((_, found), agree)| found.starts_with(agree));
    assert_eq!((found.len(), told.count()), (3, 3), "{found:#?}");

    // Each fact that is told otherwise is named by what tells it, with both values.
    let template = fs::read_to_string(desk.dir.join("rollup.json")).unwrap();
    let without_file = ("rollup.config", "");
    let found = desk
        .rollup(&[
            ("block.time", "1s"),
            ("rollup.operator_fee_scalar", "1"),
            ("rollup.operator_fee_constant", "2"),
            ("rollup.min_base_fee", "3"),
            ("rollup.da_footprint_gas_scalar", "4"),
            ("rollup.eip1559_denominator", "5"),
            ("rollup.eip1559_elasticity", "7"),
            ("rollup.base_fee_scalar", "8"),
            ("rollup.blob_base_fee_scalar", "9"),
            ("l1.portal", "0x1313131313131313131313131313131313131313"),
            without_file,
        ])
        .await;
    for expected in [
        "`block.time` is 1 s, but `block_time` is 2 s at op-node",
        "`l1.portal` is 0x1313131313131313131313131313131313131313, but `deposit_contract_address` is 0x",
        "`block.time` is 1 s, but the chain's blocks have 2 s",
        "`rollup.operator_fee_scalar` is 1, but the chain's blocks have 1000",
        "`rollup.operator_fee_constant` is 2, but the chain's blocks have 1000000000",
        "`rollup.min_base_fee` is 3, but the chain's blocks have 1000000",
        "`rollup.da_footprint_gas_scalar` is 4, but the chain's blocks have 400",
        "`rollup.eip1559_denominator` is 5, but the chain's blocks have 250",
        "`rollup.eip1559_elasticity` is 7, but the chain's blocks have 6",
        "`rollup.base_fee_scalar` is 8, but the chain's blocks have 1368",
        "`rollup.blob_base_fee_scalar` is 9, but the chain's blocks have 801949",
    ] {
        let named = problems(&found).iter().any(|found| found.starts_with(expected));
        assert!(named, "{expected}: {found:#?}");
    }
    assert_eq!(problems(&found).len(), 11, "{found:#?}");

    // op-node was started with another file than the one that is named.
    let other = desk.dir.join("other.json");
    let mut rollup: Value = serde_json::from_str(&template).unwrap();
    rollup["seq_window_size"] = 77.into();
    fs::write(&other, rollup.to_string()).unwrap();
    let found = desk.rollup(&[("rollup.config", &shown(&other))]).await;
    let expected = format!("`seq_window_size` is 77 in {}, but", shown(&other));
    assert!(
        problems(&found).len() == 1 && problems(&found)[0].starts_with(&expected),
        "{found:#?}"
    );

    // What SystemConfig changes is the chain's word from then on, not the file's.
    let change = SystemConfigChange::OperatorFee {
        scalar: 2000,
        constant: 1_000_000_000,
    };
    desk.stack.change_system_config(change).await.unwrap();
    let expected = "`rollup.operator_fee_scalar` is 1000, but the chain's blocks have 2000";
    let look = async || json!(problems(&desk.rollup(&[]).await));
    until("only the changed fee", look, |found| *found == json!([expected])).await;
    let found = desk.rollup(&[("rollup.operator_fee_scalar", "2000")]).await;
    assert_eq!(problems(&found), Vec::<&str>::new(), "{found:#?}");
    let changed = "`rollup.operator_fee_scalar` was 1000 at genesis";
    assert!(found.iter().any(|(_, found)| found == changed), "{found:#?}");
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
