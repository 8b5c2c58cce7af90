//! The whole of it: chain, contracts, sequencer, and the real sidecar as a program beside them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use url::Url;

use crate::{
    Anvil, AnvilError, Contracts, DeployError, OpStack, Process, ProcessError, Program, Rpc, RpcFailure, Sequencer,
    anvil::AnvilBuilder, deploy, deploy_on, sequencer::SequencerBuilder,
};

/// The development account that commits; account 0 owns the contracts.
const COMMITTING_ACCOUNT: usize = 1;
/// A debug build on a busy machine may take its time to open its ports.
const START: Duration = Duration::from_secs(120);
/// Longer than the sidecar's own `sidecar.shutdown_timeout`.
const STOP: Duration = Duration::from_secs(90);

/// Why there is no stack, or no sidecar on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// The chain.
    #[error(transparent)]
    Chain(#[from] AnvilError),
    /// The contracts.
    #[error(transparent)]
    Contracts(#[from] DeployError),
    /// The sequencer's port.
    #[error("the development sequencer does not start: {0}")]
    Sequencer(io::Error),
    /// A file or directory.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The sidecar.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The sidecar says where it listens in another way than expected.
    #[error("the sidecar printed `{0}` instead of the address that it listens on")]
    Address(String),
}

/// A chain with the contracts, and a development sequencer. Ends when dropped.
///
/// The chain is anvil, or an [`OpStack`] that several stacks may share, each with contracts of its own.
#[derive(Debug)]
pub struct Stack<C = Anvil> {
    /// The chain.
    pub chain: C,
    /// Where the contracts are.
    pub contracts: Contracts,
    /// The sequencer.
    pub sequencer: Sequencer,
    /// Keys of the sidecar's configuration that name the chain's nodes and the contracts.
    settings: Vec<(&'static str, String)>,
    /// What goes over `config/chain-config.toml` on this chain.
    overlay: &'static str,
}

impl Stack {
    /// Starts both and writes the contracts' addresses, as `scripts/deploy` does, to a file in `dir`.
    ///
    /// # Errors
    /// See [`StackError`].
    pub async fn start(chain: AnvilBuilder, sequencer: SequencerBuilder, dir: &Path) -> Result<Self, StackError> {
        let chain = chain.spawn().await?;
        let contracts = deploy(&chain, Anvil::account(COMMITTING_ACCOUNT).address()).await?;
        let settings = vec![
            ("chain.rpc_urls", format!("{:?}", [chain.url().as_str()])),
            ("chain.addresses", write_addresses(&contracts, dir)?),
        ];
        Ok(Self {
            sequencer: sequencer.start().await.map_err(StackError::Sequencer)?,
            overlay: "config/devnet.toml",
            chain,
            contracts,
            settings,
        })
    }
}

impl Stack<Arc<OpStack>> {
    /// Puts contracts on a chain that runs, starts a sequencer beside it and writes the contracts' addresses, as
    /// `scripts/deploy` does, to a file in `dir`. The sidecar follows the chain to L1.
    ///
    /// # Errors
    /// See [`StackError`].
    pub async fn beside(chain: &Arc<OpStack>, sequencer: SequencerBuilder, dir: &Path) -> Result<Self, StackError> {
        let committing = Anvil::account(COMMITTING_ACCOUNT).address();
        let contracts = deploy_on(chain.provider(), committing).await?;
        let settings = vec![
            ("chain.rpc_urls", format!("{:?}", [chain.rpc_url().as_str()])),
            ("chain.op_node_url", chain.node_url().to_string()),
            ("chain.addresses", write_addresses(&contracts, dir)?),
            ("l1.rpc_url", chain.l1.url().to_string()),
            ("l1.portal", chain.contracts.portal.to_string()),
        ];
        Ok(Self {
            sequencer: sequencer.start().await.map_err(StackError::Sequencer)?,
            chain: Arc::clone(chain),
            overlay: "config/devnet-op.toml",
            contracts,
            settings,
        })
    }
}

impl<C> Stack<C> {
    /// A sidecar to start on this stack: the program in the file `binary`, with the devnet's
    /// configuration, in memory and on free ports unless told otherwise.
    pub fn sidecar(&self, binary: impl Into<PathBuf>) -> SidecarBuilder {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program = Program::new(binary)
            .current_dir(project)
            .args(["run", "--config", "config/chain-config.toml", "--overlay", self.overlay])
            .args(["--log-format", "text"])
            .env("NO_COLOR", "1")
            .env("SET_SEQUENCER_API_KEY", self.sequencer.admin_key())
            .env(
                "SET_COMMITMENTS_KEY",
                Anvil::account(COMMITTING_ACCOUNT).to_bytes().to_string(),
            );
        let set = |sidecar: SidecarBuilder, (key, value): &(&str, String)| sidecar.set(key, value);
        self.settings
            .iter()
            .fold(SidecarBuilder { program }, set)
            .set("sequencer.url", self.sequencer.url())
            .set("sidecar.data_dir", "")
            .set("rpc.listen", "127.0.0.1:0")
            .set("rpc.health_listen", "127.0.0.1:0")
            .set("rpc.admin_listen", "127.0.0.1:0")
    }
}

/// Writes where the contracts are to a file in `dir`, and gives its path.
fn write_addresses(contracts: &Contracts, dir: &Path) -> Result<String, StackError> {
    let addresses = dir.join("addresses.json");
    let content = json!({
        "registry": contracts.registry,
        "paymaster": contracts.paymaster,
        "startBlock": contracts.block,
    });
    let file = |path: &Path| {
        let path = path.display().to_string();
        |source| StackError::File { path, source }
    };
    fs::create_dir_all(dir).map_err(file(dir))?;
    fs::write(&addresses, format!("{content:#}\n")).map_err(file(&addresses))?;
    let addresses = std::path::absolute(&addresses).map_err(file(&addresses))?;
    Ok(addresses.display().to_string())
}

/// A sidecar to start; see [`Stack::sidecar`].
#[derive(Debug, Clone)]
pub struct SidecarBuilder {
    program: Program,
}

impl SidecarBuilder {
    /// Sets a key of the configuration; the last wins.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.program = self.program.arg("--set").arg(format!("{key}={value}"));
        self
    }

    /// Sets the nodes that it asks, the preferred one first.
    #[must_use]
    pub fn rpc_urls<'a>(self, urls: impl IntoIterator<Item = &'a Url>) -> Self {
        let urls: Vec<_> = urls.into_iter().map(Url::as_str).collect();
        self.set("chain.rpc_urls", format_args!("{urls:?}"))
    }

    /// Adds a file over the configuration.
    #[must_use]
    pub fn overlay(mut self, file: impl AsRef<Path>) -> Self {
        self.program = self.program.arg("--overlay").arg(file.as_ref());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.program = self.program.env(name, value);
        self
    }

    /// Prints its log as it comes; see [`Program::echo`].
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.program = self.program.echo();
        self
    }

    /// Starts it and does not wait: for one that is not to become ready.
    ///
    /// # Errors
    /// [`ProcessError::Start`] if the file cannot be run.
    pub fn spawn(&self) -> Result<Process, ProcessError> {
        self.program.spawn()
    }

    /// Starts it and returns once it is ready.
    ///
    /// # Errors
    /// [`StackError::Process`] with its last lines, if it ends or takes too long.
    pub async fn start(&self) -> Result<Sidecar, StackError> {
        let sidecar = self.launch().await?;
        sidecar.ready().await?;
        Ok(sidecar)
    }

    /// Starts it and returns once it can be asked, ready or not.
    ///
    /// # Errors
    /// [`StackError::Process`] with its last lines, if it ends or takes too long.
    pub async fn launch(&self) -> Result<Sidecar, StackError> {
        let process = self.program.spawn()?;
        let rpc = listening(&process, "json-rpc is served").await?;
        let health = listening(&process, "health and metrics are served").await?;
        Ok(Sidecar {
            process,
            rpc: Rpc::new(rpc),
            health,
        })
    }
}

/// The address in a log line such as `json-rpc is served address=127.0.0.1:8645`.
async fn listening(process: &Process, line: &str) -> Result<Url, StackError> {
    let line = process.line_with(line, START).await?;
    let address = line.split_once("address=").map(|(_, address)| address.trim());
    let url = address.and_then(|address| Url::parse(&format!("http://{address}/")).ok());
    url.ok_or(StackError::Address(line))
}

/// A running sidecar. Killed when dropped.
#[derive(Debug)]
pub struct Sidecar {
    /// The program, to kill, to freeze, or to read its log.
    pub process: Process,
    /// Its JSON-RPC.
    pub rpc: Rpc,
    /// Where its health and metrics are.
    pub health: Url,
}

impl Sidecar {
    /// Calls a method; see [`Rpc::call`].
    ///
    /// # Errors
    /// See [`RpcFailure`].
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, RpcFailure> {
        self.rpc.call(method, params).await
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// [`ProcessError`] with its last lines, if it ends or takes too long.
    pub async fn ready(&self) -> Result<(), ProcessError> {
        let mut ready = self.health.clone();
        ready.set_path("readyz");
        self.process.ready(&ready, START).await
    }

    /// Asks it to stop, as a service manager does, and waits for its end.
    ///
    /// # Errors
    /// [`ProcessError`] if it does not end in time.
    pub async fn stop(&self) -> Result<std::process::ExitStatus, ProcessError> {
        self.process.terminate();
        self.process.wait(STOP).await
    }
}
