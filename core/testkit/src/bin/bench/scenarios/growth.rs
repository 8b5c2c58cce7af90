//! A commitment each in more and more streams.

use eyre::{Result, ensure};
use set_testkit::Sequencer;

use crate::{
    blocks::Blocks,
    figures::Figure,
    rig::{Bench, backlog, fast_chain, node, stop, until_reported},
};

/// Seconds between blocks: so short that the sidecar's own work decides.
const BLOCK_TIME: f64 = 0.5;
/// What commitments take of a block: well below its target, or the base fee would soon decide.
const SHARE: &str = "30%";
/// The fee above which commitments are held, in gwei: beyond what this chain asks at any time.
const MAX_GAS_PRICE: &str = "\"1000\"";
/// Seconds between two polls: what one lists at most, blocks take meanwhile. Polls that find what the last one found
/// would count as growth.
const POLL_INTERVAL: u64 = 15;
/// What a stream may cost among a hundred times as many, beside what it costs among few.
const LINEAR: f64 = 1.5;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let counts: &[usize] = if bench.quick {
        &[1_000]
    } else {
        &[1_000, 10_000, 100_000]
    };
    let (mut figures, mut costs) = (vec![], vec![]);
    for streams in counts {
        let name = format!("growth-{streams}");
        let preload = backlog(*streams, *streams);
        let stack = bench
            .stack(&name, fast_chain(BLOCK_TIME), Sequencer::builder().preload(preload))
            .await?;
        let sidecar = bench
            .sidecar(&name, &stack)
            .set("block.time", format_args!("{BLOCK_TIME}s"))
            .set("commitment.poll_interval", format_args!("{POLL_INTERVAL}s"))
            .set("txmgr.max_block_share", SHARE)
            .set("fees.max_gas_price", MAX_GAS_PRICE)
            .start()
            .await?;
        let usage = until_reported(&stack.sequencer, *streams, &sidecar).await?;
        stop(sidecar, &bench.dir(&name)).await?;
        let blocks = Blocks::read(&node(&stack.chain), &stack.contracts).await?;
        ensure!(
            blocks.committed.len() == *streams,
            "{} of {streams} are on the chain",
            blocks.committed.len()
        );
        let cost = usage.cpu / *streams as f64 * 1e4;
        figures.extend([
            Figure::timed(format!("{streams} streams: processor time for 10,000"), cost, "s"),
            Figure::timed(format!("{streams} streams: peak memory"), usage.peak, "MB"),
        ]);
        costs.push(cost);
    }
    if let [_, among_few, .., among_many] = costs.as_slice() {
        let growth = Figure::timed(
            "cost of one among 100,000, to one among 10,000",
            among_many / among_few,
            "x",
        );
        figures.push(growth.at_most(LINEAR));
    }
    Ok(figures)
}
