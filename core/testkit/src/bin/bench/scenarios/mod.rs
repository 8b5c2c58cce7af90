//! What is measured, a file each.

mod growth;
mod index;
mod latency;
mod op_stack;
mod settlement;
mod share;
mod throughput;

use eyre::Result;

use crate::{arguments::Scenario, figures::Figure, rig::Bench};

/// Runs a scenario on a chain, a sequencer and a sidecar of its own.
pub(crate) async fn run(scenario: Scenario, bench: &Bench) -> Result<Vec<Figure>> {
    match scenario {
        Scenario::Streams => throughput::streams(bench).await,
        Scenario::Stream => throughput::stream(bench).await,
        Scenario::Footprint => throughput::footprint(bench).await,
        Scenario::Share => share::run(bench).await,
        Scenario::Settlement => settlement::run(bench).await,
        Scenario::Latency => latency::run(bench).await,
        Scenario::Index => index::run(bench).await,
        Scenario::Growth => growth::run(bench).await,
        Scenario::OpStack => op_stack::run(bench).await,
    }
}
