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
    config::{Config, Problems},
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

/// Reads everything, loads keys and plugins without starting them, and says all that is wrong.
fn check(args: &ConfigArgs, out: &mut impl Write) -> Result<()> {
    let layers = args.layers();
    let mut survey = Config::survey(&layers);
    if let Some(config) = &survey.config {
        for (key, message) in runtime()?.block_on(problems_beyond_the_files(config)) {
            survey.complain(&key, message);
        }
    }
    let config = match survey.config {
        Some(config) if survey.problems.is_empty() => config,
        _ => return Err(Problems(survey.problems).into()),
    };
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

/// What no file says by itself, with the key that it hangs on: whether the key is where it should be, and
/// plugins fit their settings.
async fn problems_beyond_the_files(config: &Config) -> Vec<(String, String)> {
    let mut problems = vec![];
    let name = &config.sidecar.signer;
    if let Some(signer) = config.signers.get(name)
        && let Err(error) = signer.load(name).await
    {
        problems.push((format!("signers.{name}.{}", error.key), error.problem));
    }
    // Without a data directory, copies of plugin files are temporary: checking leaves nothing behind.
    let host = HostConfig {
        data_dir: None,
        ..run::host_config(config)
    };
    for error in Host::check(&host, &run::builtins()).await {
        let position = config.plugins.iter().position(|plugin| plugin.id == error.plugin);
        let key = position.map_or_else(|| "plugins".to_owned(), |position| format!("plugins.{position}"));
        problems.push((key, format!("({}): {}", error.plugin, error.problem)));
    }
    problems
}

fn inspect(file: &Path, out: &mut impl Write) -> Result<()> {
    let inspection = set_host::inspect(file).wrap_err_with(|| format!("{}", file.display()))?;
    writeln!(out, "{}", serde_json::to_string_pretty(&inspection)?)?;
    Ok(())
}
