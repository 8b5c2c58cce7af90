//! The command line.

use std::{net::TcpListener, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use eyre::{Result, bail};

/// Starts a local Set Chain, its contracts, a development sequencer and the sidecar, and shows each
/// commitment as it goes from pending to anchored. Ctrl-C stops all of it.
///
/// A demonstration and a test, never for production: keys are public, data is made up.
#[derive(Debug, Parser)]
#[command(name = "devnet", bin_name = "./scripts/devnet", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Run the OP Stack: op-geth, op-node, op-batcher, op-proposer and op-challenger on an L1 with the real contracts,
    /// and follow each commitment down to L1. Without it the chain is anvil's, which settles nowhere.
    #[arg(long)]
    pub(crate) op_stack: bool,

    /// End with 0 once so many commitments are anchored, all their inclusion proofs verified on chain,
    /// and each is reported to the sequencer; end with 1, and say why, if that fails. With --op-stack, once they
    /// are finalized, and each was reported when it was safe and not before.
    #[arg(long, value_name = "N")]
    pub(crate) until: Option<usize>,

    /// Where the sidecar takes its plugins from.
    #[arg(long, value_enum, default_value_t = Plugins::Linked)]
    pub(crate) plugins: Plugins,

    /// Milliseconds between two commitments of the sequencer.
    #[arg(long, value_name = "MS", default_value_t = 400)]
    pub(crate) interval: u64,

    /// Streams of the sequencer (a tenant's store each).
    #[arg(long, default_value_t = 3)]
    pub(crate) streams: usize,

    /// Port of the chain's JSON-RPC.
    #[arg(long, value_name = "PORT", default_value_t = 8545)]
    pub(crate) chain_port: u16,

    /// Port of the development sequencer.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) sequencer_port: u16,

    /// Port of the sidecar's JSON-RPC.
    #[arg(long, value_name = "PORT", default_value_t = 8645)]
    pub(crate) rpc_port: u16,

    /// Port of the sidecar's health and metrics.
    #[arg(long, value_name = "PORT", default_value_t = 8646)]
    pub(crate) health_port: u16,

    /// Where the contracts' addresses, the sidecar's data and, at the end, its log go.
    #[arg(long, value_name = "DIR", default_value = ".devnet")]
    pub(crate) dir: PathBuf,
}

/// Where plugins come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plugins {
    /// Linked into the sidecar (`builtin = …`).
    Linked,
    /// Loaded from library files (`path = …`).
    Files,
}

impl Arguments {
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval.max(1))
    }

    /// Finds every port that another program has taken, before anything is started.
    pub(crate) fn check_ports(&self) -> Result<()> {
        let ports = [
            ("--chain-port", self.chain_port),
            ("--sequencer-port", self.sequencer_port),
            ("--rpc-port", self.rpc_port),
            ("--health-port", self.health_port),
        ];
        let taken: Vec<_> = ports
            .into_iter()
            .filter(|(_, port)| TcpListener::bind(("127.0.0.1", *port)).is_err())
            .map(|(flag, port)| format!("  {port} (choose another with {flag})"))
            .collect();
        if !taken.is_empty() {
            bail!("these ports are in use on this machine:\n{}", taken.join("\n"));
        }
        Ok(())
    }
}
