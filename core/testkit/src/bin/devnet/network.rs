//! Everything that a devnet runs, started in order and stopped together.

use std::{fs, path::PathBuf};

use eyre::{Result, WrapErr, ensure};
use set_testkit::{Anvil, Sequencer, Sidecar, Stack, sequencer::Load};

use crate::arguments::{Arguments, Plugins};

/// Seconds between blocks, as on Set Chain.
const BLOCK_TIME: u64 = 2;

/// A running devnet. Whatever still runs is killed when it is dropped.
pub(crate) struct Network {
    pub(crate) stack: Stack,
    pub(crate) sidecar: Sidecar,
}

impl Network {
    pub(crate) async fn start(arguments: &Arguments) -> Result<Self> {
        let load = Load {
            interval: arguments.interval(),
            events: 1..=8,
            batches: None,
        };
        let chain = Anvil::builder().block_time(BLOCK_TIME).port(arguments.chain_port);
        let sequencer = Sequencer::builder()
            .port(arguments.sequencer_port)
            .seed(rand::random())
            .streams(arguments.streams)
            .load(load);
        let stack = Stack::start(chain, sequencer, &arguments.dir).await?;

        let mut sidecar = stack
            .sidecar(sidecar_binary()?)
            .set("sidecar.data_dir", fresh_data_dir(arguments)?.display())
            .set("rpc.listen", format_args!("127.0.0.1:{}", arguments.rpc_port))
            .set("rpc.health_listen", format_args!("127.0.0.1:{}", arguments.health_port));
        if arguments.plugins == Plugins::Files {
            sidecar = sidecar.overlay("config/plugin-files.toml");
        }
        let sidecar = sidecar.start().await?;
        Ok(Self { stack, sidecar })
    }

    /// Asks the sidecar to finish.
    pub(crate) async fn stop(&self) -> Result<()> {
        let status = self.sidecar.stop().await?;
        ensure!(status.success(), "the sidecar ended with {status} when asked to stop");
        Ok(())
    }
}

/// Keeps what the sidecar logged, and says where.
pub(crate) fn keep_log(arguments: &Arguments, network: &Network) -> Result<PathBuf> {
    let file = arguments.dir.join("sidecar.log");
    let lines = network.sidecar.process.lines().join("\n");
    fs::write(&file, lines).wrap_err_with(|| format!("cannot write {}", file.display()))?;
    Ok(file)
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
