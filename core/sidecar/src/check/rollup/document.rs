//! op-node's rollup configuration: `rollup.json`, and the same as `optimism_rollupConfig` answers it.

use std::{collections::BTreeMap, fs, path::Path};

use alloy_primitives::hex;
use serde_json::Value;

/// What a byte of estimated size counts where the system configuration says 0 (specification, "Jovian").
const DEFAULT_DA_FOOTPRINT_GAS_SCALAR: u64 = 400;

/// A rollup configuration. Only what the sidecar's configuration also says is looked at; the rest is op-node's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RollupConfig(Value);

impl RollupConfig {
    /// # Errors
    /// What is wrong with the file, for a person.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::new(value).ok_or_else(|| {
            let path = path.display();
            format!("{path}: is no rollup configuration: it has no `l2_chain_id` and `genesis`")
        })
    }

    /// `None` where it is something else.
    pub(super) fn new(value: Value) -> Option<Self> {
        let is_one = value["l2_chain_id"].is_u64() && value["genesis"].is_object();
        is_one.then_some(Self(value))
    }

    fn number(&self, pointer: &str) -> Option<u64> {
        self.0.pointer(pointer)?.as_u64()
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str()
    }

    /// The bytes of one number within a 32-byte word, or an 8-byte one.
    fn within(&self, pointer: &str, bytes: std::ops::Range<usize>) -> Option<u64> {
        let word = hex::decode(self.text(pointer)?).ok()?;
        let number = word.get(bytes)?;
        Some(number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    pub(super) fn l2_chain_id(&self) -> Option<u64> {
        self.number("/l2_chain_id")
    }

    pub(super) fn l1_chain_id(&self) -> Option<u64> {
        self.number("/l1_chain_id")
    }

    /// In seconds.
    pub(super) fn block_time(&self) -> Option<u64> {
        self.number("/block_time")
    }

    /// Its proxy on L1.
    pub(super) fn system_config(&self) -> Option<&str> {
        self.text("/l1_system_config_address")
    }

    /// Its proxy on L1.
    pub(super) fn portal(&self) -> Option<&str> {
        self.text("/deposit_contract_address")
    }

    pub(super) fn gas_limit(&self) -> Option<u64> {
        self.number("/genesis/system_config/gasLimit")
    }

    /// `operatorFeeParams` holds the scalar in bytes 20 to 23 and the constant behind it.
    pub(super) fn operator_fee_scalar(&self) -> Option<u64> {
        self.within("/genesis/system_config/operatorFeeParams", 20..24)
    }

    /// In wei.
    pub(super) fn operator_fee_constant(&self) -> Option<u64> {
        self.within("/genesis/system_config/operatorFeeParams", 24..32)
    }

    /// In wei per gas.
    pub(super) fn min_base_fee(&self) -> Option<u64> {
        self.number("/genesis/system_config/minBaseFee")
    }

    pub(super) fn da_footprint_gas_scalar(&self) -> Option<u64> {
        let scalar = self.number("/genesis/system_config/daFootprintGasScalar")?;
        Some(if scalar == 0 {
            DEFAULT_DA_FOOTPRINT_GAS_SCALAR
        } else {
            scalar
        })
    }

    /// From Ecotone on `scalar` ends with the blob base fee's weight and the base fee's, 4 bytes each.
    pub(super) fn blob_base_fee_scalar(&self) -> Option<u64> {
        self.within("/genesis/system_config/scalar", 24..28)
    }

    pub(super) fn base_fee_scalar(&self) -> Option<u64> {
        self.within("/genesis/system_config/scalar", 28..32)
    }

    /// What the system configuration says, or where that is 0, the chain's own constant.
    pub(super) fn eip1559_denominator(&self) -> Option<u64> {
        let said = self.within("/genesis/system_config/eip1559Params", 0..4);
        said.filter(|denominator| *denominator != 0)
            .or_else(|| self.number("/chain_op_config/eip1559DenominatorCanyon"))
    }

    /// The same for the elasticity.
    pub(super) fn eip1559_elasticity(&self) -> Option<u64> {
        let said = self.within("/genesis/system_config/eip1559Params", 4..8);
        said.filter(|elasticity| *elasticity != 0)
            .or_else(|| self.number("/chain_op_config/eip1559Elasticity"))
    }

    /// Members that a deployment fills in and that are zero here: this is a template still.
    pub(super) fn unfilled(&self) -> Vec<&'static str> {
        let members = [
            ("genesis.l1.hash", "/genesis/l1/hash"),
            ("genesis.l2.hash", "/genesis/l2/hash"),
            (
                "genesis.system_config.batcherAddr",
                "/genesis/system_config/batcherAddr",
            ),
            ("batch_inbox_address", "/batch_inbox_address"),
            ("deposit_contract_address", "/deposit_contract_address"),
            ("l1_system_config_address", "/l1_system_config_address"),
        ];
        let zero = |pointer| {
            let text = self.text(pointer).unwrap_or_default();
            text.trim_start_matches("0x").bytes().all(|digit| digit == b'0')
        };
        let unfilled = members.into_iter().filter(|(_, pointer)| zero(pointer));
        unfilled.map(|(name, _)| name).collect()
    }

    /// Each member by its dotted path.
    pub(super) fn members(&self) -> BTreeMap<String, Value> {
        let mut members = BTreeMap::new();
        collect("", &self.0, &mut members);
        members
    }
}

fn collect(path: &str, value: &Value, members: &mut BTreeMap<String, Value>) {
    let Value::Object(entries) = value else {
        members.insert(path.to_owned(), value.clone());
        return;
    };
    for (key, value) in entries {
        let below = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        collect(&below, value, members);
    }
}
