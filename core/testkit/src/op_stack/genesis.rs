//! The chain's first block and the nodes' configurations, made by the program `genesis`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::Address;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{
    OpStackError,
    programs::{Programs, project},
};
use crate::{Anvil, Process, Program};

/// Longer than a program that only writes files takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many of the development accounts have ether on L2.
const FUNDED_ACCOUNTS: usize = 5;

/// What the chain is made from.
#[derive(Debug, Clone)]
pub(super) struct ChainConfig {
    pub(super) overlays: Vec<PathBuf>,
    pub(super) karst: bool,
}

/// What SystemConfig on L1 has to hold.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SystemConfigValues {
    pub(super) gas_limit: u64,
    pub(super) base_fee_scalar: u32,
    pub(super) blob_base_fee_scalar: u32,
    pub(super) owner: Address,
    pub(super) batch_inbox: Address,
}

/// The files that the nodes start from.
#[derive(Debug, Clone)]
pub(super) struct Genesis {
    /// For `op-geth init`.
    pub(super) genesis: PathBuf,
    /// op-node's `--rollup.config`.
    pub(super) rollup: PathBuf,
    /// op-node's `--rollup.l1-chain-config`.
    pub(super) l1: PathBuf,
}

impl ChainConfig {
    /// What SystemConfig has to hold; needs no L1.
    pub(super) async fn system_config(&self, programs: &Programs) -> Result<SystemConfigValues, OpStackError> {
        let process = self.program(programs)?.arg("--print-system-config").spawn()?;
        parse("genesis --print-system-config", &finished("genesis", &process).await?)
    }

    /// Writes the files for a chain on that L1 to `dir`.
    pub(super) async fn make(
        &self,
        programs: &Programs,
        l1: &Url,
        contracts: &Path,
        dir: &Path,
    ) -> Result<Genesis, OpStackError> {
        let mut program = self
            .program(programs)?
            .args(["--fork", if self.karst { "karst" } else { "jovian" }])
            .args(["--l1-rpc", l1.as_str()])
            .arg("--l1-contracts")
            .arg(contracts)
            .arg("--out")
            .arg(dir);
        for account in 0..FUNDED_ACCOUNTS {
            program = program.args(["--fund", &Anvil::account(account).address().to_string()]);
        }
        finished("genesis", &program.spawn()?).await?;
        Ok(Genesis {
            genesis: dir.join("genesis.json"),
            rollup: dir.join("rollup.json"),
            l1: dir.join("l1.json"),
        })
    }

    fn program(&self, programs: &Programs) -> Result<Program, OpStackError> {
        let config = project().join("config");
        let program = programs
            .get("genesis")?
            .arg("--config")
            .arg(config.join("chain-config.toml"))
            .arg("--overlay")
            .arg(config.join("devnet-op.toml"));
        let overlay = |program: Program, file| program.arg("--overlay").arg(file);
        Ok(self.overlays.iter().fold(program, overlay))
    }
}

/// Waits for a program's success and gives its output.
pub(super) async fn finished(program: &'static str, process: &Process) -> Result<String, OpStackError> {
    let status = process.wait(PATIENCE).await?;
    let output = process.lines().join("\n");
    match status.success() {
        true => Ok(output),
        false => Err(OpStackError::Failed {
            program,
            status: status.to_string(),
            output,
        }),
    }
}

fn parse<T: DeserializeOwned>(method: &'static str, answer: &str) -> Result<T, OpStackError> {
    serde_json::from_str(answer).map_err(|_| OpStackError::Answer {
        method,
        answer: answer.to_owned(),
    })
}
