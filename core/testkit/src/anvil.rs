//! A chain on this machine: anvil, started, mined and ended by the test.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::{
    providers::Provider,
    rpc::json_rpc::{RpcRecv, RpcSend},
    signers::local::PrivateKeySigner,
    transports::TransportError,
};
use alloy_primitives::{Address, B256, U256, b256};
use serde_json::Value;
use set_chain::{ChainError, EndpointConfig, L2Provider};
use url::Url;

use crate::process::{Process, ProcessError, Program};

/// Chain id of a devnet's L2.
pub const DEVNET_CHAIN_ID: u64 = 84_532_001;

/// Anvil's well-known development keys (from its default mnemonic); each holds 10,000 ether.
/// Anybody has them: never send anything of value to their addresses.
const DEVELOPMENT_KEYS: [B256; 5] = [
    b256!("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
];

/// How long the program may take to listen; only one that is stuck takes so long.
const START: Duration = Duration::from_secs(120);

/// Why there is no chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnvilError {
    /// The program is not installed.
    #[error(
        "anvil is not at `{}`: run `cd contracts && npm ci`, or set SET_ANVIL to the file of an anvil 1.7", .0.display()
    )]
    Missing(PathBuf),
    /// The program did not start or ended at once.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It says where it listens in another way than expected.
    #[error("anvil printed `{0}` instead of the address that it listens on")]
    Address(String),
    /// Its RPC cannot be opened.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Its RPC answers with an error.
    #[error("anvil answers with an error: {0}")]
    Rpc(#[from] TransportError),
}

/// How a chain makes blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mining {
    Interval(u64),
    OnDemand,
    EachTransaction,
}

/// Settings of a chain to start; see [`Anvil::builder`].
#[derive(Debug, Clone)]
pub struct AnvilBuilder {
    mining: Mining,
    chain_id: u64,
    network: Option<&'static str>,
    port: u16,
    arguments: Vec<String>,
}

impl AnvilBuilder {
    /// A chain as Ethereum is one, without what an L2 adds to fees, blocks and precompiles.
    #[must_use]
    pub const fn ethereum(mut self) -> Self {
        self.network = None;
        self
    }

    /// A block every so many seconds, as a real L2 has.
    #[must_use]
    pub const fn block_time(mut self, seconds: u64) -> Self {
        self.mining = Mining::Interval(seconds);
        self
    }

    /// Blocks only when the test calls [`Anvil::mine`]: the most control.
    #[must_use]
    pub const fn no_mining(mut self) -> Self {
        self.mining = Mining::OnDemand;
        self
    }

    /// A block for each transaction. Convenient, and no model of a real L2.
    #[must_use]
    pub const fn automine(mut self) -> Self {
        self.mining = Mining::EachTransaction;
        self
    }

    /// The chain id; a devnet's by default.
    #[must_use]
    pub const fn chain_id(mut self, id: u64) -> Self {
        self.chain_id = id;
        self
    }

    /// A fixed port, to start again where another chain was. Any free one by default.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Blocks that an epoch has: `safe` follows the head by one epoch and `finalized` by two.
    #[must_use]
    pub fn slots_in_an_epoch(self, slots: u64) -> Self {
        self.arg("--slots-in-an-epoch").arg(slots.to_string())
    }

    /// Keeps the chain's state in a file from one run to the next.
    #[must_use]
    pub fn state(self, file: &Path) -> Self {
        self.arg("--state").arg(file.display().to_string())
    }

    /// Gas limit of a block.
    #[must_use]
    pub fn gas_limit(self, gas: u64) -> Self {
        self.arg("--gas-limit").arg(gas.to_string())
    }

    /// Any other argument of anvil.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Starts the chain and returns once it answers.
    ///
    /// # Errors
    /// See [`AnvilError`].
    pub async fn spawn(self) -> Result<Anvil, AnvilError> {
        crate::init();
        let mut program = Program::new(executable()?)
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--chain-id", &self.chain_id.to_string()])
            .args(["--color", "never"])
            .args(self.arguments);
        if let Some(network) = self.network {
            program = program.args(["--network", network]);
        }
        match self.mining {
            Mining::Interval(seconds) => program = program.args(["--block-time", &seconds.to_string()]),
            Mining::OnDemand => program = program.arg("--no-mining"),
            Mining::EachTransaction => {}
        }
        let process = program.spawn()?;
        let line = process.line_with("Listening on ", START).await?;
        let url = line
            .split_once("Listening on ")
            .and_then(|(_, address)| Url::parse(&format!("http://{}/", address.trim())).ok())
            .ok_or(AnvilError::Address(line))?;
        let provider = set_chain::connect(&EndpointConfig {
            rpc_urls: vec![url.clone()],
            chain_id: None,
            timeout: Duration::from_secs(30),
            poll_interval: Duration::from_millis(50),
        })?;
        Ok(Anvil {
            process,
            url,
            provider,
            chain_id: self.chain_id,
        })
    }
}

/// A running chain. Ends when dropped.
#[derive(Debug)]
pub struct Anvil {
    process: Process,
    url: Url,
    provider: L2Provider,
    chain_id: u64,
}

impl Anvil {
    /// A chain with a devnet's id, on any free port, with a block every 2 seconds.
    pub const fn builder() -> AnvilBuilder {
        AnvilBuilder {
            mining: Mining::Interval(2),
            chain_id: DEVNET_CHAIN_ID,
            network: Some("optimism"),
            port: 0,
            arguments: vec![],
        }
    }

    /// Its JSON-RPC over HTTP. The same port takes WebSocket connections.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Its chain id.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// A provider without fillers; cheap to clone.
    pub const fn provider(&self) -> &L2Provider {
        &self.provider
    }

    /// The program, to kill or to freeze it.
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// One of five development accounts with 10,000 ether each. Account 0 owns what
    /// [`deploy`](crate::deploy()) puts on the chain.
    ///
    /// # Panics
    /// From index 5 on.
    pub fn account(index: usize) -> PrivateKeySigner {
        PrivateKeySigner::from_bytes(&DEVELOPMENT_KEYS[index]).expect("anvil's keys are valid")
    }

    /// Any call; the ones below cover what tests need most.
    ///
    /// # Errors
    /// What the RPC says.
    pub async fn call<P: RpcSend, R: RpcRecv>(&self, method: &'static str, params: P) -> Result<R, TransportError> {
        self.provider.raw_request(method.into(), params).await
    }

    /// Makes so many blocks now.
    ///
    /// # Errors
    /// What the RPC says.
    pub async fn mine(&self, blocks: u64) -> Result<(), TransportError> {
        self.call::<_, Value>("anvil_mine", (blocks,)).await.map(drop)
    }

    /// Number of the newest block.
    ///
    /// # Errors
    /// What the RPC says.
    pub async fn block_number(&self) -> Result<u64, TransportError> {
        self.provider.get_block_number().await
    }

    /// Remembers the state of now, to [`revert`](Self::revert) to.
    ///
    /// # Errors
    /// What the RPC says.
    pub async fn snapshot(&self) -> Result<U256, TransportError> {
        self.call("evm_snapshot", ()).await
    }

    /// Goes back to a snapshot, which is used up. False for an unknown one.
    ///
    /// # Errors
    /// What the RPC says.
    pub async fn revert(&self, snapshot: U256) -> Result<bool, TransportError> {
        self.call("evm_revert", (snapshot,)).await
    }

    /// Replaces the newest `depth` blocks by empty ones: their transactions are gone from the chain
    /// and from the pool, as after a reorg that the node did not put back.
    ///
    /// # Errors
    /// What the RPC says; a depth that reaches the genesis is refused.
    pub async fn reorg(&self, depth: u64) -> Result<(), TransportError> {
        let replayed: [Value; 0] = [];
        self.call::<_, Value>("anvil_reorg", (depth, replayed)).await.map(drop)
    }

    /// Sets an account's balance, in wei.
    ///
    /// # Errors
    /// What the RPC says.
    pub async fn set_balance(&self, account: Address, wei: U256) -> Result<(), TransportError> {
        self.call::<_, Value>("anvil_setBalance", (account, wei))
            .await
            .map(drop)
    }

    /// Starts to make a block every so many seconds; 0 stops that.
    ///
    /// # Errors
    /// What the RPC says.
    pub async fn set_block_time(&self, seconds: u64) -> Result<(), TransportError> {
        self.call::<_, Value>("evm_setIntervalMining", (seconds,))
            .await
            .map(drop)
    }

    /// Sets the base fee of the next block, in wei a unit of gas.
    ///
    /// # Errors
    /// What the RPC says.
    pub async fn set_next_base_fee(&self, wei: u128) -> Result<(), TransportError> {
        let wei = U256::from(wei);
        self.call::<_, Value>("anvil_setNextBlockBaseFeePerGas", (wei,))
            .await
            .map(drop)
    }
}

/// The program: `SET_ANVIL`, or what `npm ci` put under `contracts/`. Always the executable itself,
/// never npm's script around it: killing the script would leave the chain running.
fn executable() -> Result<PathBuf, AnvilError> {
    if let Some(path) = std::env::var_os("SET_ANVIL") {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(AnvilError::Missing(path))
        };
    }
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/node_modules");
    let candidates = [
        modules.join(".bin/anvil"),
        modules.join("@foundry-rs/anvil-linux-amd64/bin/anvil"),
        modules.join("@foundry-rs/anvil-linux-arm64/bin/anvil"),
        modules.join("@foundry-rs/anvil-darwin-arm64/bin/anvil"),
    ];
    let found = candidates.iter().find(|path| path.is_file());
    found
        .cloned()
        .ok_or_else(|| AnvilError::Missing(modules.join(".bin/anvil")))
}
