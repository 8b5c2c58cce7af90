//! Everything that a devnet runs, started in order and stopped together.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use eyre::{Result, WrapErr, ensure};
use serde_json::json;
use set_testkit::{Anvil, Contracts, Process, Program, Sequencer, deploy, sequencer::Load};
use url::Url;

use crate::arguments::{Arguments, Plugins};

/// Seconds between blocks, as on Set Chain.
const BLOCK_TIME: u64 = 2;
/// The development account that commits; account 0 owns the contracts.
const SEQUENCER_ACCOUNT: usize = 1;
/// A debug build on a busy machine may take its time to open its ports.
const START: Duration = Duration::from_secs(60);
/// Longer than the sidecar's own `sidecar.shutdown_timeout`.
const STOP: Duration = Duration::from_secs(25);

/// A running devnet. Whatever still runs is killed when it is dropped.
pub(crate) struct Network {
    pub(crate) chain: Anvil,
    pub(crate) contracts: Contracts,
    pub(crate) sequencer: Sequencer,
    pub(crate) sidecar: Process,
    pub(crate) rpc: Url,
    pub(crate) health: Url,
}

impl Network {
    pub(crate) async fn start(arguments: &Arguments) -> Result<Self> {
        let chain = Anvil::builder()
            .block_time(BLOCK_TIME)
            .port(arguments.chain_port)
            .spawn()
            .await?;
        let account = Anvil::account(SEQUENCER_ACCOUNT);
        let contracts = deploy(&chain, account.address()).await?;
        let load = Load {
            interval: arguments.interval(),
            events: 1..=8,
            batches: None,
        };
        let sequencer = Sequencer::builder()
            .port(arguments.sequencer_port)
            .seed(rand::random())
            .streams(arguments.streams)
            .load(load)
            .start()
            .await
            .wrap_err("the development sequencer does not start")?;

        let addresses = prepare(&arguments.dir, &contracts)?;
        let mut program = Program::new(sidecar_binary()?)
            .args([
                "run",
                "--config",
                "config/chain-config.toml",
                "--overlay",
                "config/devnet.toml",
            ])
            .args(["--set", &format!("chain.rpc_url={}", chain.url())])
            .args(["--set", &format!("chain.addresses={}", addresses.display())])
            .args([
                "--set",
                &format!("sidecar.data_dir={}", absolute(&arguments.dir.join("data"))?.display()),
            ])
            .args(["--set", &format!("sequencer.url={}", sequencer.url())])
            .args(["--set", &format!("rpc.listen=127.0.0.1:{}", arguments.rpc_port)])
            .args([
                "--set",
                &format!("rpc.health_listen=127.0.0.1:{}", arguments.health_port),
            ])
            .env("SET_SEQUENCER_API_KEY", sequencer.admin_key())
            .env("SET_COMMITMENTS_KEY", account.to_bytes().to_string());
        if arguments.plugins == Plugins::Files {
            program = program.args(["--overlay", "config/plugin-files.toml"]);
        }
        let sidecar = program.spawn()?;
        let health: Url = format!("http://127.0.0.1:{}", arguments.health_port).parse()?;
        sidecar.ready(&health.join("readyz")?, START).await?;
        Ok(Self {
            chain,
            contracts,
            sequencer,
            sidecar,
            rpc: format!("http://127.0.0.1:{}", arguments.rpc_port).parse()?,
            health,
        })
    }

    /// Asks the sidecar to finish, and ends the rest.
    pub(crate) async fn stop(self) -> Result<()> {
        self.sidecar.terminate();
        let status = self.sidecar.wait(STOP).await?;
        ensure!(status.success(), "the sidecar ended with {status} when asked to stop");
        Ok(())
    }
}

/// Starts from nothing: the chain does too. Returns the file with the contracts' addresses.
fn prepare(dir: &Path, contracts: &Contracts) -> Result<PathBuf> {
    let data = dir.join("data");
    if data.exists() {
        fs::remove_dir_all(&data).wrap_err_with(|| format!("cannot empty {}", data.display()))?;
    }
    fs::create_dir_all(&data).wrap_err_with(|| format!("cannot create {}", data.display()))?;
    let addresses = dir.join("addresses.json");
    let content = json!({
        "registry": contracts.registry,
        "paymaster": contracts.paymaster,
        "startBlock": contracts.block,
    });
    fs::write(&addresses, format!("{content:#}\n"))
        .wrap_err_with(|| format!("cannot write {}", addresses.display()))?;
    absolute(&addresses)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).wrap_err_with(|| format!("{} has no absolute path", path.display()))
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
