//! The command line.

use std::{path::PathBuf, time::Duration};

use alloy_primitives::Address;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    config::{Layers, LogFormat},
    verify::VerifyArgs,
};

/// Anchors a stateset-sequencer's commitments on Set Chain and serves them as JSON-RPC.
///
/// Runs beside the chain's execution node (op-geth or op-reth) and talks to nothing of it but its
/// public RPC. Commitments come from a source plugin, pass policy plugins, become SetRegistry calls by
/// a submitter plugin, and are signed, sent, followed through reorgs and reported back by the core.
#[derive(Debug, Parser)]
#[command(
    name = "set-sidecar",
    version,
    max_term_width = 100,
    after_help = "\
First steps:
  set-sidecar check                          read the configuration and list every problem in it
  set-sidecar check --online                 try every connection, and say what to do about each problem
  set-sidecar run                            anchor commitments and serve set_* until SIGTERM
  set-sidecar verify proof.json --commitment commitment.json
                                             check a proof offline; with --l1, down to Ethereum

Configuration, each over the one before: defaults, --config, --overlay files in order,
environment (SET__SECTION__KEY=value), flags. config/chain-config.toml documents every key."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Anchor commitments and serve set_* until SIGTERM or Ctrl-C.
    Run {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Read the configuration and list every problem in it, with its file and key. Changes nothing.
    #[command(after_help = "\
Exit code 0: no problem. 1: at least one.

Where rollup.config names op-node's rollup.json, the two are compared, too.

With --online, one line a check: ok, problem (with what to do about it), or skipped (another line says why).
  nodes      each of chain.rpc_urls: reachable, chain id, caught up, head's age, clock, tags, block gas limit
  rollup     chain-config.toml, rollup.config, op-node and the newest block say the same of the chain and its fees
  contracts  registry and paymaster are there and answer; the registry is not paused
  accounts   each signer serves; its account is authorised, can pay, and carries no code
  others     the sequencer through its plugin, the lease, free ports, the data directory")]
    Check(CheckArgs),
    /// Ask the sidecar that runs with this configuration whether it is ready (/readyz).
    #[command(after_help = "\
Exit code 0: it is. 1: it is not, and why, or nobody answers on rpc.health_listen.")]
    Ready(ReadyArgs),
    /// Change the accounts that send commitments, without a gap.
    #[command(after_help = "\
Before: name the new signers in [signers] and in sidecar.signers, take the old ones out of sidecar.signers (leave
their tables), and let the sidecar run as it is. Do not reload it yourself.

Steps, each repeatable: run the same command again if it ends before the last one.
  1. authorise   the accounts that are new, on the registry, with the owner's key
  2. reload      the running sidecar, through its admin listener: it sends from the new accounts now
  3. drain       the old accounts: wait until nothing of them is on its way to a block
  4. revoke      the old accounts' authorisation, with the owner's key

The owner's signer is one of [signers]; it is used for steps 1 and 4 only. Where a multisig owns the registry,
--print-calls prints what it must send for the step that is due, and ends there.

Examples:
  set-sidecar rotate --owner-signer owner
  set-sidecar rotate --print-calls
  set-sidecar rotate --owner-signer owner --revoke 0x…   an account besides, such as one that leaked")]
    Rotate(RotateArgs),
    /// Look at plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Check a proof from files: of an event in a batch, or of both down to Ethereum.
    #[command(after_help = "\
Exit codes:
  0  every link that was given holds; with --l1: proven
  1  a link is broken, or a file cannot be read; the message names the link
  2  the command line is wrong
  3  claimed, not proven: no link is broken, but at L1's finalized block the game does not bear
     the claim out, or not yet; the last line says why
  4  undecided: no link is broken, but L1 cannot be asked

Without --registry the file is an inclusion proof, and no network is used. With it, the file is a
settlement proof: event, leaf, inclusion, record, code, storage, account, header, output root,
claim. All but the last of these links are checked without network. The last is asked of the L1
node alone, at its finalized block, and holds where the portal's factory lists the game, its type
was the respected one when it was created, it is neither blacklisted nor retired, its defender
won, and the finality delay has passed.

Examples:
  set-sidecar verify proof.json --commitment commitment.json
  set-sidecar verify proof.json --events-root 0x… --event-count 8 --event event.json --agent-key 0x…
  set-sidecar verify proof.json --registry 0x… --event event.json --l1 https://… --portal 0x…")]
    Verify(VerifyArgs),
    /// Print a completion script for a shell: set-sidecar completions bash > /etc/bash_completion.d/set-sidecar
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Load a plugin file, print what it says of itself as JSON, and its SHA-256 for pinning.
    ///
    /// The file's code runs in this process: inspect only what you would also run.
    Inspect {
        /// The library.
        file: PathBuf,
    },
}

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,

    /// Ask everybody: nodes, contracts, signers, sequencer, lease. Sends no transaction.
    #[arg(long)]
    pub(crate) online: bool,

    /// Print the findings as JSON.
    #[arg(long, requires = "online")]
    pub(crate) json: bool,
}

/// How to ask.
#[derive(Debug, Args)]
pub(crate) struct ReadyArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,

    /// Ask again for so long, until it is.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime_serde::re::humantime::parse_duration)]
    pub(crate) wait: Duration,
}

/// How to change accounts.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,

    /// The registry owner's signer, by its name in the configuration.
    #[arg(long, value_name = "NAME", required_unless_present = "print_calls")]
    pub(crate) owner_signer: Option<String>,

    /// Print the owner's calls instead of sending them.
    #[arg(long, conflicts_with = "owner_signer")]
    pub(crate) print_calls: bool,

    /// Another account whose authorisation ends too; may be given several times.
    #[arg(long, value_name = "0x…")]
    pub(crate) revoke: Vec<Address>,
}

/// Where configuration comes from.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The chain's configuration.
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "config/chain-config.toml",
        env = "SET_CONFIG"
    )]
    config: PathBuf,

    /// A file over it; may be given several times, the last wins.
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,

    /// Any key, over files and environment: --set txmgr.max_in_flight=4. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    flags: Vec<(String, String)>,

    /// How to log, over `sidecar.log_format`.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl ConfigArgs {
    pub(crate) fn layers(&self) -> Layers {
        let mut flags = self.flags.clone();
        if let Some(format) = self.log_format {
            let name = clap::ValueEnum::to_possible_value(&format).map(|value| value.get_name().to_owned());
            flags.extend(name.map(|name| ("sidecar.log_format".to_owned(), name)));
        }
        Layers {
            base: self.config.clone(),
            overlays: self.overlay.clone(),
            flags,
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write section.key=value, such as txmgr.max_in_flight=4".to_owned()),
    }
}
