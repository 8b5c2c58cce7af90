//! `set-sidecar`: the program. Reads the configuration, wires the parts together, and offers the
//! command line; everything else is in the crates below.

mod accounts;
mod admin_client;
mod assembly;
mod check;
mod cli;
mod config;
mod kept_proofs;
mod live;
mod logging;
mod ports;
mod ready;
mod rotate;
mod run;
mod services;
mod settling;
mod signers;
mod status;
mod verify;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use eyre::{Result, WrapErr};

use crate::{
    cli::{Cli, Command, PluginCommand},
    verify::VerifyArgs,
};

fn main() -> ExitCode {
    set_chain::install_tls();
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
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

fn dispatch(command: Command) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    match command {
        Command::Verify(args) => return verify(&args, &mut out),
        Command::Run { config } => runtime()?.block_on(run::run(config.layers())),
        Command::Check(args) => runtime()?.block_on(check::check(&args, &mut out)),
        Command::Ready(args) => runtime()?.block_on(ready::ready(&args, &mut out)),
        Command::Rotate(args) => runtime()?.block_on(rotate::rotate(&args, &mut out)),
        Command::Plugin(PluginCommand::Inspect { file }) => inspect(&file, &mut out),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "set-sidecar", &mut out);
            Ok(())
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .wrap_err("no runtime")
}

/// Says what was found once all of it was: whoever stops reading changes no verdict.
fn verify(args: &VerifyArgs, out: &mut impl Write) -> Result<ExitCode> {
    let mut said = vec![];
    let verdict = runtime()?.block_on(verify::verify(args, &mut said));
    match out.write_all(&said) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => verdict.map(ExitCode::from),
    }
}

fn inspect(file: &Path, out: &mut impl Write) -> Result<()> {
    let inspection = set_host::inspect(file).wrap_err_with(|| format!("{}", file.display()))?;
    writeln!(out, "{}", serde_json::to_string_pretty(&inspection)?)?;
    Ok(())
}
