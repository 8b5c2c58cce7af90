//! Set Chain as an OP Stack chain on this machine: an L1 with the real contracts, op-geth, op-node, and what posts
//! batches, proposes outputs and plays disputes.
//!
//! The programs are those of `op-stack/build`; the chain is made from `config/chain-config.toml` and
//! `config/devnet-op.toml`, as `scripts/devnet --op-stack` makes it. L1 is anvil with a slot of two seconds, so that
//! blocks become safe and final within half a minute: never derive a time-out from that.

mod artifacts;
mod batcher;
mod bindings;
mod builder;
mod challenger;
mod disputes;
mod genesis;
mod geth;
mod l1;
mod lone_geth;
mod node;
mod part;
mod programs;
mod proposer;
mod shared;
mod system_config;

use std::{io, path::PathBuf};

use set_chain::L2Provider;
use url::Url;

pub use self::{
    builder::{OpStackBuilder, Parts},
    disputes::Disputes,
    l1::{ALPHABET_GAME, FINALITY_DELAY, GAME_CLOCK, L1_CHAIN_ID, L1Contracts, start_l1},
    lone_geth::LoneGeth,
    part::Part,
    shared::{Receipt, SharedStack, Turn, signed, transaction},
    system_config::SystemConfigChange,
};
use crate::{Anvil, AnvilError, ProcessError, RpcFailure};

/// Why there is no chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpStackError {
    /// A program was not built.
    #[error("{} is not there: run op-stack/build, or set SET_OP_STACK_BIN to the directory of the programs", .0.display())]
    Missing(PathBuf),
    /// The contracts of L1 are not installed, or are others than expected.
    #[error("{file}: {reason}; run: npm --prefix op-stack/l1-contracts ci")]
    Artifact {
        /// The compiled contract.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// L1 did not start, or answers with an error.
    #[error(transparent)]
    L1(#[from] AnvilError),
    /// A transaction on L1 failed.
    #[error("L1: {what} failed (transaction {hash})")]
    Transaction {
        /// What it was to do.
        what: &'static str,
        /// Its hash.
        hash: String,
    },
    /// A program did not start or ended.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A program answers with an error, or with something else than expected.
    #[error(transparent)]
    Rpc(#[from] RpcFailure),
    /// A program answers something else than expected.
    #[error("{method} answers {answer}, which is not what was expected")]
    Answer {
        /// The call.
        method: &'static str,
        /// The answer.
        answer: String,
    },
    /// `genesis` or `op-geth init` failed.
    #[error("`{program}` ended with {status}:\n{output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// A file or directory.
    #[error("{path}: {source}")]
    File {
        /// The file or directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The node's RPC cannot be opened.
    #[error(transparent)]
    Node(#[from] set_chain::ChainError),
}

/// A running chain, with its L1. Every process of it ends when this is dropped, and when this process ends.
#[derive(Debug)]
pub struct OpStack {
    // In the order in which they end: whoever asks before whoever answers.
    challenger: Option<Part>,
    proposer: Option<Part>,
    batcher: Option<Part>,
    node: Part,
    geth: Part,
    /// The L1: chain 900, a block every two seconds, its development accounts funded. Accounts 2, 3 and 4 are
    /// the batcher's, the proposer's and the challenger's; account 0 owns the contracts; account 1 is free.
    pub l1: Anvil,
    /// The contracts on L1.
    pub contracts: L1Contracts,
    provider: L2Provider,
    ws_url: Url,
    auth_url: Url,
}

impl OpStack {
    /// A chain to start. What it writes (databases, genesis, the JWT secret) goes to `dir`, which is made; what
    /// another chain left there is removed.
    pub fn builder(dir: impl Into<PathBuf>) -> OpStackBuilder {
        OpStackBuilder::new(dir.into())
    }

    /// The execution node. Its URL is that of its JSON-RPC over HTTP, with the namespaces `eth`, `net`, `web3`,
    /// `debug`, `txpool`, `miner` and `admin`.
    pub const fn geth(&self) -> &Part {
        &self.geth
    }

    /// The rollup node, which is also the chain's sequencer. Its RPC takes `admin_*` too.
    pub const fn node(&self) -> &Part {
        &self.node
    }

    /// Posts the chain's blocks to L1.
    ///
    /// # Panics
    /// If the builder left it out.
    pub fn batcher(&self) -> &Part {
        running(self.batcher.as_ref(), "op-batcher")
    }

    /// Claims outputs on L1.
    ///
    /// # Panics
    /// If the builder left it out.
    pub fn proposer(&self) -> &Part {
        running(self.proposer.as_ref(), "op-proposer")
    }

    /// Plays and resolves the dispute games.
    ///
    /// # Panics
    /// If the builder left it out.
    pub fn challenger(&self) -> &Part {
        running(self.challenger.as_ref(), "op-challenger")
    }

    /// Every program that the builder started, the execution node first.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        let optional = [&self.batcher, &self.proposer, &self.challenger];
        [&self.geth, &self.node]
            .into_iter()
            .chain(optional.into_iter().flatten())
    }

    /// Kills a program and starts it again, with what requires it by the units in `op-stack/systemd` (and op-challenger, of
    /// which there is none): what asks op-geth or op-node ends before that starts again, and starts when that is ready.
    /// An op-node that goes on may wait for good for blocks that op-geth lost with its life.
    ///
    /// # Errors
    /// [`ProcessError`] with its last lines, of a program that ends or takes too long.
    pub async fn restart(&self, part: &Part) -> Result<(), ProcessError> {
        let mut parts: Vec<_> = self.parts().skip_while(|other| other.name() != part.name()).collect();
        if ![self.geth.name(), self.node.name()].contains(&part.name()) {
            parts.truncate(1);
        }
        part.kill().await?;
        for dependent in parts.iter().skip(1).rev() {
            dependent.stop().await?;
        }
        for part in parts {
            part.restart().await?;
        }
        Ok(())
    }

    /// The execution node's JSON-RPC over HTTP.
    pub const fn rpc_url(&self) -> &Url {
        self.geth.url()
    }

    /// The execution node's JSON-RPC over WebSocket.
    pub const fn ws_url(&self) -> &Url {
        &self.ws_url
    }

    /// The execution node's engine API, which is op-node's alone.
    pub const fn auth_url(&self) -> &Url {
        &self.auth_url
    }

    /// op-node's RPC.
    pub const fn node_url(&self) -> &Url {
        self.node.url()
    }

    /// A provider of the execution node, without fillers; cheap to clone.
    pub const fn provider(&self) -> &L2Provider {
        &self.provider
    }
}

fn running<'a>(part: Option<&'a Part>, name: &str) -> &'a Part {
    assert!(part.is_some(), "the builder started no {name}; ask for it with `parts`");
    part.expect("was just checked")
}
