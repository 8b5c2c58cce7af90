//! The plugin's configuration.

use alloy_primitives::Address;
use schemars::JsonSchema;
use serde::Deserialize;

/// `[plugins.config]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address of the registry: its proxy's. Required.
    #[schemars(with = "String", regex(pattern = "^0x[0-9a-fA-F]{40}$"))]
    pub registry: Address,
    /// First block that can hold a commitment, usually the one that created the registry; saves following
    /// logs from the chain's beginning. Default: 0.
    #[serde(default)]
    pub start_block: Option<u64>,
    /// Which calls to make. Default: "auto".
    #[serde(default)]
    pub mode: Mode,
    /// Spare gas in a call's limit, in percent of what it is expected to use; 0 to 100. What is not used
    /// is not paid, but no builder puts a call into a block whose limit does not fit, so a wide margin leaves
    /// blocks half empty. A call that runs out of gas raises it, first by 15, until the plugin starts anew.
    /// Default: 1, because what the registry's calls use is known to a hundredth; but write 20 where streams are
    /// bound to sequencers.
    #[serde(default = "default_margin")]
    #[schemars(range(max = 100))]
    pub gas_margin_percent: u32,
}

const fn default_margin() -> u32 {
    1
}

/// Which calls to make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What is cheapest: `commitBatches`, or `commitBatch` where there is one commitment to send or the
    /// registry is a public one, which has nothing else. The allow-list needs both.
    #[default]
    Auto,
    /// Only `commitBatches`.
    Bulk,
    /// Only `commitBatch`, one commitment a call.
    Single,
}

impl Config {
    /// Checks what the types leave open.
    ///
    /// # Errors
    /// The first problem, with its key.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.registry.is_zero() {
            return Err("`registry` is the zero address: give the registry's".into());
        }
        if self.gas_margin_percent > 100 {
            return Err(format!(
                "`gas_margin_percent` is {}: give at most 100",
                self.gas_margin_percent
            ));
        }
        Ok(())
    }
}
