//! `[rollup]`: what the L2 charges and how its base fee moves.

use std::path::PathBuf;

use alloy_primitives::Address;
use figment::Figment;
use serde::{Deserialize, Serialize};

use super::{layers::beside_its_file, problem::Complaint};

/// What SystemConfig on L1 holds of the L2's fees, and where op-node's configuration is. The sidecar itself
/// reads fees from the chain; `check` compares.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RollupSection {
    /// Operator fee of a transaction from Jovian on: gas × this × 100 + `operator_fee_constant`, in wei.
    pub(crate) operator_fee_scalar: u32,
    /// In wei.
    pub(crate) operator_fee_constant: u64,
    /// The base fee never falls below this, in wei per gas.
    pub(crate) min_base_fee: u64,
    /// Gas that a byte of estimated compressed size counts of a block's gas limit.
    pub(crate) da_footprint_gas_scalar: u16,
    /// How far the base fee moves from block to block.
    pub(crate) eip1559_denominator: u32,
    /// The gas limit's ratio to the gas target.
    pub(crate) eip1559_elasticity: u32,
    /// Weight of L1's base fee in the L1 data fee.
    pub(crate) base_fee_scalar: u32,
    /// Weight of L1's blob base fee in the L1 data fee.
    pub(crate) blob_base_fee_scalar: u32,
    /// What op-node is started with (`--rollup.config`). Relative to the file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<PathBuf>,
    /// SystemConfig's proxy on L1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_config: Option<Address>,
    /// Owns SystemConfig on L1, and the L2's ProxyAdmin: for whoever makes the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<Address>,
    /// Where the fee vaults pay out: for whoever makes the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fee_recipient: Option<Address>,
}

impl Default for RollupSection {
    fn default() -> Self {
        Self {
            operator_fee_scalar: 1000,
            operator_fee_constant: 1_000_000_000,
            min_base_fee: 1_000_000,
            da_footprint_gas_scalar: 400,
            eip1559_denominator: 250,
            eip1559_elasticity: 6,
            base_fee_scalar: 1368,
            blob_base_fee_scalar: 801_949,
            config: None,
            system_config: None,
            owner: None,
            fee_recipient: None,
        }
    }
}

impl RollupSection {
    /// Makes paths relative to the file that they are in; an empty one is none.
    pub(crate) fn resolve_paths(&mut self, figment: &Figment) {
        let config = self.config.take().filter(|path| !path.as_os_str().is_empty());
        self.config = config.map(|path| beside_its_file(figment, "rollup.config", &path));
    }

    pub(crate) fn validate(&self) -> Vec<Complaint> {
        let divisors = [
            ("rollup.eip1559_denominator", self.eip1559_denominator),
            ("rollup.eip1559_elasticity", self.eip1559_elasticity),
        ];
        let zero = divisors.into_iter().filter(|(_, value)| *value == 0);
        zero.map(|(key, _)| Complaint::new(key, "is 0; write what SystemConfig on L1 says (OP Stack: 250 and 6)"))
            .collect()
    }
}
