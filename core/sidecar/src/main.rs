//! `set-sidecar`: the program. Reads the configuration, wires the parts together, and offers the
//! command line; everything else is in the crates below.

mod cli;
mod config;
mod logging;
mod ports;
mod run;
mod services;
mod verify;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use eyre::{Result, WrapErr};
use set_host::{Host, HostConfig};

use crate::{
    cli::{Cli, Command, ConfigArgs, PluginCommand},
    config::Config,
};

fn main() -> ExitCode {
    set_chain::install_tls();
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do if standard error is closed.
            let _ = writeln!(io::stderr(), "set-sidecar: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &eyre::Report) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn dispatch(command: Command) -> Result<()> {
    let mut out = io::stdout().lock();
    match command {
        Command::Run { config } => {
            let config = Config::load(&config.layers())?;
            logging::install(&config.sidecar.log, config.sidecar.log_format)?;
            runtime()?.block_on(run::run(config))
        }
        Command::Check { config } => check(&config, &mut out),
        Command::Plugin(PluginCommand::Inspect { file }) => inspect(&file, &mut out),
        Command::Verify(args) => verify::verify(&args, &mut out),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "set-sidecar", &mut out);
            Ok(())
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .wrap_err("no runtime")
}

/// Reads everything, loads keys and plugins without starting them, and says what is wrong.
fn check(args: &ConfigArgs, out: &mut impl Write) -> Result<()> {
    let layers = args.layers();
    let config = Config::load(&layers)?;
    let problems = runtime()?.block_on(problems_beyond_the_files(&config));
    if !problems.is_empty() {
        let count = problems.len();
        eyre::bail!(
            "{count} problem{}:\n  {}",
            if count == 1 { "" } else { "s" },
            problems.join("\n  ")
        );
    }
    writeln!(out, "{}: no problems", layers.base.display())?;
    let chain = &config.chain;
    writeln!(
        out,
        "  chain      {} ({}), registry {}",
        chain.id, chain.name, chain.registry
    )?;
    writeln!(out, "  signer     {}", config.sidecar.signer)?;
    writeln!(out, "  report at  {}", config.commitment.report_at)?;
    for plugin in &config.plugins {
        writeln!(
            out,
            "  {:<10} {} ({})",
            plugin.kind.to_string(),
            plugin.id,
            plugin.origin
        )?;
    }
    Ok(())
}

/// What no file says by itself: whether keys are where they should be, and plugins fit their settings.
async fn problems_beyond_the_files(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    let name = &config.sidecar.signer;
    if let Some(signer) = config.signers.get(name) {
        problems.extend(signer.load(name).await.err().map(|error| error.to_string()));
    }
    // Without a data directory, copies of plugin files are temporary: checking leaves nothing behind.
    let host = HostConfig {
        data_dir: None,
        ..run::host_config(config)
    };
    let plugins = Host::check(&host, &run::builtins()).await;
    problems.extend(plugins.iter().map(ToString::to_string));
    problems
}

fn inspect(file: &Path, out: &mut impl Write) -> Result<()> {
    let inspection = set_host::inspect(file).wrap_err_with(|| format!("{}", file.display()))?;
    writeln!(out, "{}", serde_json::to_string_pretty(&inspection)?)?;
    Ok(())
}
