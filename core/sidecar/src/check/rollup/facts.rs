//! The facts that the sidecar's configuration and op-node's rollup configuration both state.

use std::fmt;

use super::document::RollupConfig;
use crate::config::Config;

/// Whether a fact may differ from what it was at genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    /// Never: another value is another chain.
    Always,
    /// SystemConfig on L1 may have changed it since; the chain's blocks say what holds.
    UntilChanged,
}

/// One fact, as both state it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    /// The key in the sidecar's configuration.
    pub(super) key: &'static str,
    /// What that key says.
    pub(super) ours: String,
    /// The member of the rollup configuration.
    pub(super) member: &'static str,
    /// What that member says; `None` where it is missing.
    pub(super) theirs: Option<String>,
    pub(super) lasting: Lasting,
}

impl Fact {
    pub(super) fn differs(&self) -> bool {
        self.theirs.as_ref() != Some(&self.ours)
    }
}

/// Follows the key in a sentence.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ours, member, theirs, ..
        } = self;
        match theirs {
            Some(theirs) => write!(f, "is {ours}, but `{member}` is {theirs}"),
            None => write!(f, "is {ours}, but `{member}` is missing"),
        }
    }
}

/// A duration as rollup configurations write it where it can be written so.
pub(super) fn seconds(time: std::time::Duration) -> String {
    if time.subsec_nanos() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{time:?}")
    }
}

/// All of them.
pub(super) fn facts(config: &Config, rollup: &RollupConfig) -> Vec<Fact> {
    use Lasting::{Always, UntilChanged};
    let ours = &config.rollup;
    let number = |lasting, key, ours: u64, member, theirs: Option<u64>| Fact {
        key,
        ours: ours.to_string(),
        member,
        theirs: theirs.map(|number| number.to_string()),
        lasting,
    };
    let mut facts = vec![
        number(Always, "chain.id", config.chain.id, "l2_chain_id", rollup.l2_chain_id()),
        number(
            Always,
            "l1.chain_id",
            config.l1.chain_id,
            "l1_chain_id",
            rollup.l1_chain_id(),
        ),
        Fact {
            key: "block.time",
            ours: seconds(config.block.time),
            member: "block_time",
            theirs: rollup.block_time().map(|time| format!("{time} s")),
            lasting: Always,
        },
        number(
            UntilChanged,
            "block.gas_limit",
            config.block.gas_limit,
            "genesis.system_config.gasLimit",
            rollup.gas_limit(),
        ),
        number(
            UntilChanged,
            "rollup.operator_fee_scalar",
            ours.operator_fee_scalar.into(),
            "genesis.system_config.operatorFeeParams",
            rollup.operator_fee_scalar(),
        ),
        number(
            UntilChanged,
            "rollup.operator_fee_constant",
            ours.operator_fee_constant,
            "genesis.system_config.operatorFeeParams",
            rollup.operator_fee_constant(),
        ),
        number(
            UntilChanged,
            "rollup.min_base_fee",
            ours.min_base_fee,
            "genesis.system_config.minBaseFee",
            rollup.min_base_fee(),
        ),
        number(
            UntilChanged,
            "rollup.da_footprint_gas_scalar",
            ours.da_footprint_gas_scalar.into(),
            "genesis.system_config.daFootprintGasScalar",
            rollup.da_footprint_gas_scalar(),
        ),
        number(
            UntilChanged,
            "rollup.eip1559_denominator",
            ours.eip1559_denominator.into(),
            "chain_op_config.eip1559DenominatorCanyon",
            rollup.eip1559_denominator(),
        ),
        number(
            UntilChanged,
            "rollup.eip1559_elasticity",
            ours.eip1559_elasticity.into(),
            "chain_op_config.eip1559Elasticity",
            rollup.eip1559_elasticity(),
        ),
        number(
            UntilChanged,
            "rollup.base_fee_scalar",
            ours.base_fee_scalar.into(),
            "genesis.system_config.scalar",
            rollup.base_fee_scalar(),
        ),
        number(
            UntilChanged,
            "rollup.blob_base_fee_scalar",
            ours.blob_base_fee_scalar.into(),
            "genesis.system_config.scalar",
            rollup.blob_base_fee_scalar(),
        ),
    ];
    for (key, address, member, theirs) in [
        (
            "rollup.system_config",
            ours.system_config,
            "l1_system_config_address",
            rollup.system_config(),
        ),
        (
            "l1.portal",
            config.l1.portal,
            "deposit_contract_address",
            rollup.portal(),
        ),
    ] {
        facts.extend(address.map(|address| Fact {
            key,
            ours: lower(&address.to_string()),
            member,
            theirs: theirs.map(lower),
            lasting: Always,
        }));
    }
    facts
}

/// Whoever writes an address may or may not write its checksum.
fn lower(address: &str) -> String {
    address.to_ascii_lowercase()
}
