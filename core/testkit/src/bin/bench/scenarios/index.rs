//! What a long past costs: start, memory, and the same backlog with more and more in the index.

use std::time::{Duration, Instant};

use eyre::Result;
use set_testkit::Sequencer;

use crate::{
    figures::Figure,
    history,
    rig::{Bench, backlog, chain, stop, until_reported},
    usage::Usage,
};

const STREAMS: usize = 500;
/// How long the sidecar is watched while it has nothing to do.
const IDLE: Duration = Duration::from_secs(20);
/// For a million logs on a slow machine.
const CATCHING_UP: Duration = Duration::from_secs(1_200);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let sizes: &[u64] = if bench.quick {
        &[10_000]
    } else {
        &[10_000, 100_000, 1_000_000]
    };
    let mut figures = vec![];
    for size in sizes {
        figures.extend(with(bench, *size).await?);
    }
    Ok(figures)
}

async fn with(bench: &Bench, indexed: u64) -> Result<Vec<Figure>> {
    let name = format!("index-{indexed}");
    let dir = bench.dir(&name);
    let stack = bench.stack(&name, chain(), Sequencer::builder()).await?;
    let proxy = history::told_by_proxy(&stack, indexed).await?;
    let builder = bench
        .sidecar(&name, &stack)
        .set("chain.rpc_urls", format_args!("[\"{}\"]", proxy.url()))
        .set("txmgr.max_block_share", "off");

    let begun = Instant::now();
    let first = builder.start().await?;
    first.process.line_with("the index has caught up", CATCHING_UP).await?;
    let (followed, following) = (begun.elapsed().as_secs_f64(), Usage::of(first.process.id())?);
    stop(first, &dir).await?;

    let begun = Instant::now();
    let sidecar = builder.start().await?;
    let ready = begun.elapsed();
    let before = Usage::of(sidecar.process.id())?;
    tokio::time::sleep(IDLE).await;
    let idle = Usage::of(sidecar.process.id())?.cpu - before.cpu;

    let backlog = backlog(STREAMS, bench.commitments);
    stack.sequencer.preload(backlog);
    let count = backlog.streams * backlog.batches;
    let usage = until_reported(&stack.sequencer, count, &sidecar).await?;
    stop(sidecar, &dir).await?;

    let told = |what: &str| format!("{indexed} indexed: {what}");
    let largest = indexed == 1_000_000;
    let peak = Figure::timed(told(&format!("peak memory with {count} pending")), usage.peak, "MB");
    Ok(vec![
        Figure::timed(told("followed from the first block in"), followed, "s"),
        Figure::timed(told("processor time for following"), following.cpu, "s"),
        Figure::timed(told("peak memory while following"), following.peak, "MB"),
        Figure::timed(told("from start to ready"), ready.as_secs_f64() * 1e3, "ms").at_most(300.0),
        Figure::timed(
            told("processor time of an idle minute"),
            idle * 60.0 / IDLE.as_secs_f64(),
            "s",
        ),
        Figure::timed(
            told("processor time for 10,000 commitments"),
            usage.cpu / count as f64 * 1e4,
            "s",
        ),
        if largest { peak.at_most(100.0) } else { peak },
    ])
}
