//! `devnet`: a local Set Chain with everything beside it; what `scripts/devnet` runs.

// What this program is for is to print.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod arguments;
mod chain;
mod network;
mod proofs;
mod reports;
mod show;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use eyre::{Result, eyre};
use tokio::signal::unix::{SignalKind, signal};

use self::{arguments::Arguments, chain::Chain, network::Network, show::tail, watch::Watch};

/// Lines of each program that are shown of a run that failed.
const LAST_LINES: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    set_testkit::init();
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndevnet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    arguments.check_ports()?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    println!(
        "Starting {}, its contracts, the sequencer and the sidecar …",
        match arguments.op_stack {
            true =>
                "L1 with the OP Stack's contracts, op-geth, op-node, op-batcher, op-proposer, op-challenger: the chain",
            false => "the chain",
        }
    );
    let network = tokio::select! {
        network = Network::start(arguments) => network?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    print_endpoints(&network);
    let interrupted = || match arguments.until {
        Some(count) => Err(eyre!("interrupted before {count} commitments were anchored")),
        None => Ok(()),
    };
    let outcome = tokio::select! {
        outcome = watch(&network, arguments.until) => outcome,
        _ = interrupt.recv() => interrupted(),
        _ = terminate.recv() => interrupted(),
    };
    if outcome.is_err() {
        // Whoever reads that it failed may not have the files.
        for (name, lines) in network.logs() {
            eprintln!("\n{name} said at last:\n{}", tail(&lines, LAST_LINES));
        }
    }
    println!("\nStopping …");
    // A second Ctrl-C does not wait for the sidecar to finish.
    let stopped = tokio::select! {
        stopped = network.stop() => stopped,
        _ = interrupt.recv() => Ok(()),
    };
    println!(
        "The sidecar's log is in {}",
        network::keep_logs(arguments, &network)?.display()
    );
    outcome.and(stopped)
}

fn print_endpoints(network: &Network) {
    let mut rows = vec![("chain (eth_*)", network.chain.url().to_string())];
    rows.extend(network.chain.endpoints());
    rows.extend([
        (
            "sidecar (set_*)",
            format!("{}  HTTP and WebSocket", network.sidecar.rpc.url()),
        ),
        (
            "health, metrics",
            format!("{}healthz  {}metrics", network.sidecar.health, network.sidecar.health),
        ),
        ("sequencer", network.sequencer.url().to_string()),
        ("SetRegistry", network.contracts.registry.to_string()),
        ("SetPaymaster", network.contracts.paymaster.to_string()),
    ]);
    println!();
    for (name, place) in rows {
        println!("  {name:<18} {place}");
    }
    println!("\nCtrl-C stops all of it.\n");
}

async fn watch(network: &Network, until: Option<usize>) -> Result<()> {
    let done = Watch::new(network).until(until).await?;
    let verified = proofs::verify(network, &done).await?;
    reports::check(network, &done)?;
    let state = match network.chain {
        Chain::Anvil(_) => "anchored and reported",
        Chain::OpStack(_) => "finalized, each reported when it was safe",
    };
    println!(
        "\n{} commitments {state}; {verified} inclusion proofs verified on chain",
        done.len()
    );
    Ok(())
}
