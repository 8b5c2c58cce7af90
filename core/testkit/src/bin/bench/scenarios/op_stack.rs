//! A backlog on the real execution node, op-geth, with op-node making its blocks.

use std::sync::Arc;

use eyre::{Result, ensure};
use set_testkit::{OpStack, Rpc, Sequencer, op_stack::Parts};

use super::throughput::{BASELINE, STREAMS, least, mean, percent};
use crate::{
    baseline,
    blocks::{Block, Blocks},
    figures::Figure,
    rig::{BLOCK_TIME, Bench, backlog, stop, until_reported},
    usage::Usage,
};

const NAME: &str = "op-stack";
/// How full a block must be, by gas or by DA footprint, whichever is more.
const FULL: f64 = 90.0;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    // No batcher: what counts here is what blocks hold, and two cores are few.
    let chain = OpStack::builder(bench.dir("op-stack-chain")).parts(Parts::NODE);
    let chain = Arc::new(chain.start().await?);
    let node = Rpc::new(chain.rpc_url().clone());

    let backlog = backlog(STREAMS, bench.commitments);
    let count = backlog.streams * backlog.batches;
    let stack = bench
        .beside(NAME, &chain, Sequencer::builder().preload(backlog))
        .await?;
    let sidecar = bench
        .sidecar(NAME, &stack)
        .set("txmgr.max_block_share", "off")
        .set("commitment.report_at", "included")
        .start()
        .await?;
    let geth = chain.geth().process().id();
    let geth_before = Usage::of(geth)?;
    let usage = until_reported(&stack.sequencer, count, &sidecar).await?;
    let geth_after = Usage::of(geth)?;
    stop(sidecar, &bench.dir(NAME)).await?;
    let blocks = Blocks::read(&node, &stack.contracts).await?;
    let committed = blocks.committed.len();
    ensure!(committed == count, "{committed} of {count} are on the chain");
    let between = blocks.between();
    ensure!(!between.is_empty(), "no block was full: more commitments are needed");

    let plain = Sequencer::builder().preload(crate::rig::backlog(1, BASELINE));
    let plain = bench.beside("op-stack-baseline", &chain, plain).await?;
    let plain = baseline::measure(&plain, &node).await?;

    let of_each = |share: fn(&Block) -> f64| between.iter().map(share).collect::<Vec<_>>();
    let full = of_each(|block| block.available_share().max(block.footprint_share()));
    let rate = count as f64 / (blocks.blocks.len() as f64 * BLOCK_TIME);
    let per_ten_thousand = |seconds: f64| seconds / count as f64 * 1e4;
    Ok(vec![
        Figure::count("commitments, each on chain once", count as f64, ""),
        Figure::count("least full block, from the second", percent(least(&full)), "%").at_least(FULL),
        Figure::count("mean fullness, from the second", percent(mean(&full)), "%"),
        Figure::count(
            "of it by gas beside deposits, mean",
            percent(mean(&of_each(Block::available_share))),
            "%",
        ),
        Figure::count(
            "of it by DA footprint, mean",
            percent(mean(&of_each(Block::footprint_share))),
            "%",
        ),
        Figure::timed("blocks skipped", blocks.skipped() as f64, "blocks"),
        Figure::timed("commitments a second", rate, "/s"),
        Figure::timed("a plain loop: commitments a second", plain, "/s"),
        Figure::timed("times as fast as the plain loop", rate / plain, "x"),
        Figure::count("gas of a commitment", blocks.gas_per_commitment(), "gas"),
        Figure::count("gas asked for and not used", percent(blocks.unused_gas()), "%"),
        Figure::timed("base fee, last block to first", blocks.base_fee_drift(), "x"),
        Figure::timed(
            "processor time for 10,000 commitments",
            per_ten_thousand(usage.cpu),
            "s",
        ),
        Figure::timed("peak memory", usage.peak, "MB"),
        Figure::timed(
            "op-geth: processor time for 10,000 commitments",
            per_ten_thousand(geth_after.cpu - geth_before.cpu),
            "s",
        ),
        Figure::timed("op-geth: peak memory", geth_after.peak, "MB"),
    ])
}
