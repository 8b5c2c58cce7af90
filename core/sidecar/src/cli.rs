//! The command line.

use std::path::PathBuf;

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
  set-sidecar run                            anchor commitments and serve set_* until SIGTERM
  set-sidecar verify proof.json --commitment commitment.json

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
    Check {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Look at plugins.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Check an inclusion proof from files, without any network.
    #[command(after_help = "\
Exit code 0: every link that was given holds. 1: one does not, or a file cannot be read.

Examples:
  set-sidecar verify proof.json --commitment commitment.json
  set-sidecar verify proof.json --events-root 0x… --event-count 8 --event event.json --agent-key 0x…")]
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
