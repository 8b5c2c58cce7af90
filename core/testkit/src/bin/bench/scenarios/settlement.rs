//! A backlog that is reported only once its blocks are safe, minutes behind the head.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use eyre::{Result, ensure};
use set_testkit::{Action, RpcProxy, Rule, Sequencer};

use crate::{
    blocks::Blocks,
    figures::Figure,
    head_watch::HeadWatch,
    rig::{Bench, backlog, fast_chain, node, stop, until_reported},
};

const STREAMS: usize = 500;
/// Seconds between blocks that stand for 2 s: an eighth.
const BLOCK_TIME: f64 = 0.25;
/// Blocks of 2 s in a minute.
const BLOCKS_PER_MINUTE: u64 = 30;
/// What the sequencer lists at most.
const WINDOW: f64 = 5_000.0;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let runs: &[(u64, usize)] = if bench.quick {
        &[(5, 8_000)]
    } else {
        &[(5, 20_000), (15, 30_000)]
    };
    let mut figures = vec![];
    for (minutes, commitments) in runs {
        figures.extend(behind(bench, *minutes, *commitments).await?);
    }
    Ok(figures)
}

async fn behind(bench: &Bench, minutes: u64, commitments: usize) -> Result<Vec<Figure>> {
    let name = format!("settlement-{minutes}");
    let lag = minutes * BLOCKS_PER_MINUTE;
    let backlog = backlog(STREAMS, commitments);
    let stack = bench
        .stack(&name, fast_chain(BLOCK_TIME), Sequencer::builder().preload(backlog))
        .await?;
    let proxy = RpcProxy::start(stack.chain.url().clone()).await?;
    let heads = HeadWatch::start(stack.chain.provider());
    follow(&proxy, &heads, lag);
    let sidecar = bench
        .sidecar(&name, &stack)
        .set("chain.rpc_urls", format_args!("[\"{}\"]", proxy.url()))
        .set("block.time", format_args!("{BLOCK_TIME}s"))
        .set("commitment.poll_interval", "125ms")
        .set("commitment.report_at", "safe")
        .set("txmgr.watch_until", "safe")
        .set("txmgr.max_block_share", "off")
        .start()
        .await?;
    let count = backlog.streams * backlog.batches;
    let usage = until_reported(&stack.sequencer, count, &sidecar).await?;
    stop(sidecar, &bench.dir(&name)).await?;
    let blocks = Blocks::read(&node(&stack.chain), &stack.contracts).await?;
    ensure!(
        blocks.committed.len() == count,
        "{} of {count} are on the chain",
        blocks.committed.len()
    );
    let rate = count as f64 / blocks.blocks.len() as f64;
    let told = |what: &str| format!("safe {minutes} min behind: {what}");
    Ok(vec![
        Figure::timed(told("commitments a block"), rate, ""),
        Figure::timed(told("times what the window allows"), rate / (WINDOW / lag as f64), "x").at_least(1.5),
        Figure::timed(told("peak memory"), usage.peak, "MB"),
    ])
}

/// Keeps both tags so many blocks behind the head.
fn follow(proxy: &RpcProxy, heads: &HeadWatch, lag: u64) {
    let settled = Arc::new(AtomicU64::new(0));
    for tag in ["safe", "finalized"] {
        let settled = Arc::clone(&settled);
        let pin = move |params: &mut serde_json::Value| {
            params[0] = format!("{:#x}", settled.load(Ordering::Relaxed)).into();
        };
        proxy.inject(Rule::on_tag(tag, Action::Ask(Arc::new(pin))));
    }
    let mut newest = heads.newest();
    tokio::spawn(async move {
        while newest.changed().await.is_ok() {
            settled.store(newest.borrow_and_update().saturating_sub(lag), Ordering::Relaxed);
        }
    });
}
