//! Everything that a devnet runs, started in order and stopped together.

use std::{fs, path::PathBuf, sync::Arc};

use eyre::{Result, WrapErr, ensure};
use set_testkit::{
    Anvil, Contracts, OpStack, Sequencer, Sidecar, SidecarBuilder, Stack,
    sequencer::{Load, SequencerBuilder},
};

use crate::{
    arguments::{Arguments, Plugins},
    chain::Chain,
};

/// Seconds between blocks, as on Set Chain.
const BLOCK_TIME: u64 = 2;

/// The sidecar's name.
const SIDECAR: &str = "sidecar";

/// A running devnet. Whatever still runs is killed when it is dropped.
pub(crate) struct Network {
    pub(crate) sidecar: Sidecar,
    pub(crate) sequencer: Sequencer,
    pub(crate) contracts: Contracts,
    pub(crate) chain: Chain,
}

impl Network {
    pub(crate) async fn start(arguments: &Arguments) -> Result<Self> {
        if arguments.op_stack {
            let chain = OpStack::builder(arguments.dir.join("op-stack"))
                .port(arguments.chain_port)
                .start();
            let stack = Stack::beside(&Arc::new(chain.await?), sequencer(arguments), &arguments.dir).await?;
            let sidecar = start_sidecar(arguments, stack.sidecar(sidecar_binary()?)).await?;
            return Ok(Self {
                sidecar,
                sequencer: stack.sequencer,
                contracts: stack.contracts,
                chain: Chain::OpStack(stack.chain),
            });
        }
        let chain = Anvil::builder().block_time(BLOCK_TIME).port(arguments.chain_port);
        let stack = Stack::start(chain, sequencer(arguments), &arguments.dir).await?;
        let sidecar = start_sidecar(arguments, stack.sidecar(sidecar_binary()?)).await?;
        Ok(Self {
            sidecar,
            sequencer: stack.sequencer,
            contracts: stack.contracts,
            chain: Chain::Anvil(stack.chain),
        })
    }

    /// What its programs logged, by their names.
    pub(crate) fn logs(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut logs = self.chain.logs();
        logs.push((SIDECAR, self.sidecar.process.lines()));
        logs
    }

    /// Asks the sidecar to finish.
    pub(crate) async fn stop(&self) -> Result<()> {
        let status = self.sidecar.stop().await?;
        ensure!(status.success(), "the sidecar ended with {status} when asked to stop");
        Ok(())
    }
}

/// Keeps what was logged, a file for each program, and says where the sidecar's is.
pub(crate) fn keep_logs(arguments: &Arguments, network: &Network) -> Result<PathBuf> {
    let file = |name: &str| arguments.dir.join(format!("{name}.log"));
    for (name, lines) in network.logs() {
        let file = file(name);
        fs::write(&file, lines.join("\n")).wrap_err_with(|| format!("cannot write {}", file.display()))?;
    }
    Ok(file(SIDECAR))
}

fn sequencer(arguments: &Arguments) -> SequencerBuilder {
    let load = Load {
        interval: arguments.interval(),
        events: 1..=8,
        batches: None,
    };
    Sequencer::builder()
        .port(arguments.sequencer_port)
        .seed(rand::random())
        .streams(arguments.streams)
        .load(load)
}

async fn start_sidecar(arguments: &Arguments, sidecar: SidecarBuilder) -> Result<Sidecar> {
    let mut sidecar = sidecar
        .set("sidecar.data_dir", fresh_data_dir(arguments)?.display())
        .set("rpc.listen", format_args!("127.0.0.1:{}", arguments.rpc_port))
        .set("rpc.health_listen", format_args!("127.0.0.1:{}", arguments.health_port));
    if arguments.plugins == Plugins::Files {
        sidecar = sidecar.overlay("config/plugin-files.toml");
    }
    Ok(sidecar.start().await?)
}

/// The chain starts from nothing, so what was kept of another one goes.
fn fresh_data_dir(arguments: &Arguments) -> Result<PathBuf> {
    let dir = std::path::absolute(arguments.dir.join("data"))?;
    if dir.exists() {
        fs::remove_dir_all(&dir).wrap_err_with(|| format!("cannot empty {}", dir.display()))?;
    }
    Ok(dir)
}

/// The sidecar that was built beside this program.
fn sidecar_binary() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("set-sidecar");
    ensure!(
        path.is_file(),
        "{} is not there; run: cargo build -p set-sidecar",
        path.display()
    );
    Ok(path)
}
