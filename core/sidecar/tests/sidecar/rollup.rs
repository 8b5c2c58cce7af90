//! `check` against op-node's rollup configuration, as op-deployer's own code writes it for the committed intent.

use std::{fs, path::PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::binary;

/// The one that is committed, and what a deployment fills in.
fn deployed() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../op-stack/networks/sepolia/rollup.json"
    );
    let mut rollup: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let address = json!(format!("0x{}", "ab".repeat(20)));
    rollup["genesis"]["l1"]["hash"] = json!(format!("0x{}", "11".repeat(32)));
    rollup["genesis"]["l2"]["hash"] = json!(format!("0x{}", "22".repeat(32)));
    rollup["genesis"]["system_config"]["batcherAddr"] = address.clone();
    rollup["deposit_contract_address"] = address.clone();
    rollup["l1_system_config_address"] = address;
    rollup
}

struct Folder(TempDir);

impl Folder {
    fn with(rollup: &Value) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.file(), rollup.to_string()).unwrap();
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("rollup.json")
    }

    /// Whether `check` finds nothing, and all that it says.
    fn check(&self, set: &[&str]) -> (bool, String) {
        let mut command = Command::new(binary());
        command
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .env_clear()
            .env("SET_SEQUENCER_API_KEY", "ss_secret")
            .env("SET_COMMITMENTS_KEY", "11".repeat(32))
            .env("SET__CHAIN__REGISTRY", format!("0x{}", "11".repeat(20)))
            .env("SET__CHAIN__PAYMASTER", format!("0x{}", "22".repeat(20)))
            .env("SET__ROLLUP__CONFIG", self.file())
            .arg("check");
        for pair in set {
            command.args(["--set", pair]);
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }
}

#[test]
fn what_op_deployer_makes_of_our_configuration_agrees_with_it() {
    let (fine, said) = Folder::with(&deployed()).check(&[
        "rollup.system_config=0xabABABABABABABABABABABABABABABABABABABAB",
        "l1.portal=0xabababababababababababababababababababab",
    ]);
    assert!(fine, "{said}");
}

#[test]
fn each_difference_is_named_with_file_key_and_both_values() {
    let folder = Folder::with(&deployed());
    let differences = [
        ("chain.id=5", "chain.id", "5", "84532001"),
        ("l1.chain_id=1", "l1.chain_id", "1", "11155111"),
        ("block.time=1s", "block.time", "1 s", "2 s"),
        ("block.gas_limit=60000000", "block.gas_limit", "60000000", "30000000"),
        (
            "rollup.operator_fee_scalar=0",
            "rollup.operator_fee_scalar",
            "0",
            "1000",
        ),
        (
            "rollup.operator_fee_constant=7",
            "rollup.operator_fee_constant",
            "7",
            "1000000000",
        ),
        ("rollup.min_base_fee=8", "rollup.min_base_fee", "8", "1000000"),
        (
            "rollup.da_footprint_gas_scalar=9",
            "rollup.da_footprint_gas_scalar",
            "9",
            "400",
        ),
        (
            "rollup.eip1559_denominator=50",
            "rollup.eip1559_denominator",
            "50",
            "250",
        ),
        ("rollup.eip1559_elasticity=2", "rollup.eip1559_elasticity", "2", "6"),
        ("rollup.base_fee_scalar=10", "rollup.base_fee_scalar", "10", "1368"),
        (
            "rollup.blob_base_fee_scalar=11",
            "rollup.blob_base_fee_scalar",
            "11",
            "801949",
        ),
        (
            "rollup.system_config=0x1212121212121212121212121212121212121212",
            "rollup.system_config",
            "0x1212121212121212121212121212121212121212",
            "0xabababababababababababababababababababab",
        ),
        (
            "l1.portal=0x1313131313131313131313131313131313131313",
            "l1.portal",
            "0x1313131313131313131313131313131313131313",
            "0xabababababababababababababababababababab",
        ),
    ];
    let all: Vec<_> = differences.iter().map(|(set, ..)| *set).collect();
    let (fine, said) = folder.check(&all);
    assert!(!fine && said.contains(&format!("{} problems", all.len())), "{said}");
    let file = folder.file().display().to_string();
    for (_, key, ours, theirs) in differences {
        let line = said
            .lines()
            .find(|line| line.contains(&format!("command line: `{key}`")));
        let line = line.unwrap_or_else(|| panic!("`{key}` is missing in:\n{said}"));
        assert!(line.contains(&format!("is {ours}, but")), "{line}");
        assert!(line.contains(&format!("is {theirs} in {file}")), "{line}");
    }
}

#[test]
fn a_template_and_what_is_no_rollup_configuration_are_refused() {
    let mut template = deployed();
    template["genesis"]["l2"]["hash"] = json!(format!("0x{}", "00".repeat(32)));
    template["deposit_contract_address"] = json!(format!("0x{}", "00".repeat(20)));
    let (fine, said) = Folder::with(&template).check(&[]);
    assert!(
        !fine && said.contains("genesis.l2.hash, deposit_contract_address"),
        "{said}"
    );
    let (fine, said) = Folder::with(&json!({"config": {"chainId": 84_532_001}})).check(&[]);
    assert!(!fine && said.contains("is no rollup configuration"), "{said}");
    let mut older = deployed();
    older["genesis"]["system_config"]
        .as_object_mut()
        .unwrap()
        .remove("minBaseFee");
    let (fine, said) = Folder::with(&older).check(&[]);
    assert!(
        !fine && said.contains("`genesis.system_config.minBaseFee` is missing"),
        "{said}"
    );
}
