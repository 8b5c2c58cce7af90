//! Starting all of it, in order.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::providers::Provider;
use rand::Rng;
use set_chain::{EndpointConfig, L2Provider};
use url::Url;

use super::{
    OpStack, OpStackError,
    batcher::Batcher,
    challenger::Challenger,
    genesis::ChainConfig,
    geth::Geth,
    l1, node,
    node::Node,
    part::{Part, START},
    programs::Programs,
    proposer,
};
use crate::{ProcessError, anvil::DEVNET_CHAIN_ID};

/// Which programs run beside op-geth and op-node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Without it nothing becomes safe.
    pub batcher: bool,
    /// Without it no block is claimed on L1.
    pub proposer: bool,
    /// Without it no game is resolved.
    pub challenger: bool,
}

impl Parts {
    /// op-geth and op-node only.
    pub const NODE: Self = Self {
        batcher: false,
        proposer: false,
        challenger: false,
    };
    /// With the batcher, so that blocks become safe and finalized.
    pub const BATCHED: Self = Self {
        batcher: true,
        ..Self::NODE
    };
    /// All of it.
    pub const ALL: Self = Self {
        batcher: true,
        proposer: true,
        challenger: true,
    };
}

/// A chain to start; see [`OpStack::builder`].
#[derive(Debug, Clone)]
pub struct OpStackBuilder {
    dir: PathBuf,
    config: ChainConfig,
    archive: bool,
    safe_db: bool,
    throttling: bool,
    port: Option<u16>,
    parts: Parts,
}

impl OpStackBuilder {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            config: ChainConfig {
                overlays: vec![],
                karst: false,
            },
            archive: true,
            safe_db: true,
            throttling: false,
            port: None,
            parts: Parts::ALL,
        }
    }

    /// Whether op-geth keeps every state, as it does by default; else it forgets them after 128 blocks, as
    /// operators' nodes do.
    #[must_use]
    pub const fn archive(mut self, archive: bool) -> Self {
        self.archive = archive;
        self
    }

    /// With the Karst fork soon after the first block, by programs that know it.
    #[must_use]
    pub const fn karst(mut self) -> Self {
        self.config.karst = true;
        self
    }

    /// Whether op-node remembers which L1 block made which L2 block safe, as it does by default.
    #[must_use]
    pub const fn safe_db(mut self, safe_db: bool) -> Self {
        self.safe_db = safe_db;
        self
    }

    /// Whether op-batcher makes op-geth leave large transactions out while its backlog is long; off by default.
    #[must_use]
    pub const fn throttling(mut self, throttling: bool) -> Self {
        self.throttling = throttling;
        self
    }

    /// A fixed port for op-geth's HTTP RPC; any free one by default.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Which programs run beside op-geth and op-node; all by default.
    #[must_use]
    pub const fn parts(mut self, parts: Parts) -> Self {
        self.parts = parts;
        self
    }

    /// Another file whose keys go over the configuration that the chain is made from, such as other fees.
    #[must_use]
    pub fn overlay(mut self, file: impl Into<PathBuf>) -> Self {
        self.config.overlays.push(file.into());
        self
    }

    /// Starts all of it, and returns once op-geth has the first block that op-node made.
    ///
    /// # Errors
    /// See [`OpStackError`].
    pub async fn start(self) -> Result<OpStack, OpStackError> {
        crate::init();
        let programs = Programs::find(self.config.karst);
        let dir = fresh(&self.dir)?;
        let jwt = write(&dir, "jwt.txt", &secret())?;
        let values = self.config.system_config(&programs).await?;
        let (l1, contracts) = l1::start(&values).await?;
        l1.set_block_time(l1::BLOCK_TIME)
            .await
            .map_err(crate::AnvilError::from)?;
        let addresses = serde_json::to_string_pretty(&contracts).unwrap_or_default();
        let addresses = write(&dir, "l1-contracts.json", &addresses)?;
        let genesis = self.config.make(&programs, l1.url(), &addresses, &dir).await?;

        let geth = Geth {
            dir: &dir.join("op-geth"),
            jwt: &jwt,
            archive: self.archive,
            port: self.port,
        };
        let geth = geth.start(&programs, &genesis).await?;
        let safe_db = dir.join("safe-heads");
        let node = Node {
            l1: l1.url(),
            engine: &geth.auth,
            jwt: &jwt,
            safe_db: self.safe_db.then_some(&safe_db),
        };
        let node = node.start(&programs, &genesis).await?;
        let provider = connect(geth.part.url())?;
        first_block(&provider, &node).await?;
        l1::set_anchor(&l1, &contracts, node::genesis_output(&node).await?).await?;

        let mut stack = OpStack {
            challenger: None,
            proposer: None,
            batcher: None,
            node,
            geth: geth.part,
            l1,
            contracts,
            provider,
            ws_url: geth.ws,
            auth_url: geth.auth,
        };
        if self.parts.batcher {
            let batcher = Batcher {
                l1: stack.l1.url(),
                geth: stack.rpc_url(),
                node: stack.node_url(),
                throttles: self.throttling,
            };
            stack.batcher = Some(batcher.start(&programs).await?);
        }
        let factory = stack.contracts.dispute_game_factory;
        if self.parts.proposer {
            let started = proposer::start(&programs, stack.l1.url(), stack.node_url(), factory).await?;
            stack.proposer = Some(started);
        }
        if self.parts.challenger {
            let games = dir.join("op-challenger");
            fs::create_dir_all(&games).map_err(file_error(&games))?;
            let challenger = Challenger {
                dir: &games,
                l1: stack.l1.url(),
                geth: stack.rpc_url(),
                node: stack.node_url(),
                factory,
            };
            stack.challenger = Some(challenger.start(&programs).await?);
        }
        Ok(stack)
    }
}

/// The directory, empty. Only what a chain left there goes.
fn fresh(dir: &Path) -> Result<PathBuf, OpStackError> {
    let failed = file_error(dir);
    for part in ["op-geth", "op-challenger", "safe-heads"] {
        let part = dir.join(part);
        if part.exists() {
            fs::remove_dir_all(&part).map_err(&failed)?;
        }
    }
    fs::create_dir_all(dir).map_err(&failed)?;
    std::path::absolute(dir).map_err(failed)
}

fn write(dir: &Path, name: &str, content: &str) -> Result<PathBuf, OpStackError> {
    let path = dir.join(name);
    fs::write(&path, content).map_err(file_error(&path))?;
    Ok(path)
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> OpStackError {
    let path = path.display().to_string();
    move |source| OpStackError::File {
        path: path.clone(),
        source,
    }
}

/// What op-geth and op-node know each other by: 32 bytes in hex.
fn secret() -> String {
    alloy_primitives::hex::encode(rand::rng().random::<[u8; 32]>())
}

pub(super) fn connect(url: &Url) -> Result<L2Provider, OpStackError> {
    Ok(set_chain::connect(&EndpointConfig {
        rpc_urls: vec![url.clone()],
        chain_id: Some(DEVNET_CHAIN_ID),
        timeout: Duration::from_secs(30),
        poll_interval: Duration::from_millis(100),
    })?)
}

/// Waits for the first block after the genesis, which op-node has op-geth make.
async fn first_block(provider: &L2Provider, node: &Part) -> Result<(), ProcessError> {
    let is_there = async || provider.get_block_number().await.is_ok_and(|number| number > 0);
    node.process().until("the first block", START, is_there).await
}
