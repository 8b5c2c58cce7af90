//! `bench`: what the sidecar does in which time and at which cost; what `scripts/bench` runs.

// What this program is for is to print.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod baseline;
mod blocks;
mod builder;
mod figures;
mod head_watch;
mod history;
mod machine;
mod rig;
mod scenarios;
mod usage;

use std::{fs, process::ExitCode};

use clap::Parser;
use eyre::{Result, WrapErr, eyre};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::{arguments::Arguments, figures::Figures, machine::Machine, rig::Bench};

#[tokio::main]
async fn main() -> ExitCode {
    set_testkit::init();
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("\nbench: {missed} targets were missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("\nbench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Gives how many targets were missed.
async fn run(arguments: &Arguments) -> Result<usize> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (bench, machine) = (Bench::new(arguments)?, Machine::read());
    println!("{machine}\n\n{}", figures::heading());
    let mut figures = Figures::default();
    for scenario in arguments.selected() {
        let name = scenario.name();
        let measured = tokio::select! {
            measured = scenarios::run(scenario, &bench) => measured,
            _ = interrupt.recv() => Err(eyre!("interrupted")),
            _ = terminate.recv() => Err(eyre!("interrupted")),
        };
        let measured =
            measured.wrap_err_with(|| format!("scenario {name} (logs are in {})", arguments.dir.display()))?;
        figures.add(&name, measured, !arguments.quick);
    }
    write(arguments, &machine, &figures)?;
    Ok(figures.missed())
}

fn write(arguments: &Arguments, machine: &Machine, figures: &Figures) -> Result<()> {
    let file = &arguments.json;
    let content = json!({ "machine": machine, "quick": arguments.quick, "figures": figures.rows() });
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, format!("{content:#}\n")).wrap_err_with(|| format!("cannot write {}", file.display()))?;
    println!("\nThe figures are in {}", file.display());
    Ok(())
}
