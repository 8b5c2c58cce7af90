//! A backlog, and nothing that holds it back.

use alloy_primitives::{Bytes, address};
use eyre::{Result, ensure};
use serde_json::Value;
use set_testkit::{Sequencer, Stack};

use crate::{
    baseline,
    blocks::{Block, Blocks},
    builder::{Limits, fullness},
    figures::Figure,
    rig::{BLOCK_GAS, BLOCK_TIME, Bench, backlog, chain, node, stop, until_reported},
    usage::Usage,
};

/// Streams of a large operator.
pub(super) const STREAMS: usize = 500;
/// Commitments of the plain loop: one takes a block.
pub(super) const BASELINE: usize = 8;
/// Gas that a byte of data counts for, so that a block's data is full before its gas. A chain's default is 400.
const SCALAR: u16 = 600;
/// How full a block must be.
const FULL: f64 = 95.0;

/// In 500 streams; and a plain loop beside it.
pub(super) async fn streams(bench: &Bench) -> Result<Vec<Figure>> {
    let run = Run::of(bench, "streams", STREAMS, None).await?;
    let mut figures = run.figures()?;
    let stack = bench
        .stack("baseline", chain(), Sequencer::builder().preload(backlog(1, BASELINE)))
        .await?;
    let plain = baseline::measure(&stack, &node(&stack.chain)).await?;
    figures.extend([
        Figure::timed("a plain loop: commitments a second", plain, "/s"),
        Figure::timed("times as fast as the plain loop", run.rate() / plain, "x"),
    ]);
    Ok(figures)
}

/// In one stream.
pub(super) async fn stream(bench: &Bench) -> Result<Vec<Figure>> {
    Run::of(bench, "stream", 1, None).await?.figures()
}

/// Where data limits a block first. Anvil counts no footprint, so only the builder's rules tell of it.
pub(super) async fn footprint(bench: &Bench) -> Result<Vec<Figure>> {
    let run = Run::of(bench, "footprint", STREAMS, Some(SCALAR)).await?;
    run.packed(SCALAR)
}

/// A backlog that was worked off.
struct Run {
    blocks: Blocks,
    usage: Usage,
}

impl Run {
    async fn of(bench: &Bench, name: &str, streams: usize, scalar: Option<u16>) -> Result<Self> {
        let backlog = backlog(streams, bench.commitments);
        let stack = bench
            .stack(name, chain(), Sequencer::builder().preload(backlog))
            .await?;
        if let Some(scalar) = scalar {
            set_footprint_scalar(&stack, scalar).await?;
        }
        let sidecar = bench
            .sidecar(name, &stack)
            .set("txmgr.max_block_share", "off")
            .start()
            .await?;
        let count = backlog.streams * backlog.batches;
        let usage = until_reported(&stack.sequencer, count, &sidecar).await?;
        stop(sidecar, &bench.dir(name)).await?;
        let blocks = Blocks::read(&node(&stack.chain), &stack.contracts).await?;
        ensure!(
            blocks.committed.len() == count,
            "{} of {count} are on the chain",
            blocks.committed.len()
        );
        Ok(Self { blocks, usage })
    }

    fn committed(&self) -> f64 {
        self.blocks.committed.len() as f64
    }

    /// Commitments a second, from the first block to the last.
    fn rate(&self) -> f64 {
        self.committed() / (self.blocks.blocks.len() as f64 * BLOCK_TIME)
    }

    /// How full a builder makes blocks of these calls, by its rules alone: what the machine's speed does not change.
    fn packed(&self, footprint_scalar: u16) -> Result<Vec<Figure>> {
        let limits = Limits {
            gas: BLOCK_GAS,
            footprint_scalar: footprint_scalar.into(),
        };
        let blocks = fullness(self.blocks.calls(), limits);
        let full = &blocks[..blocks.len().saturating_sub(1)];
        ensure!(!full.is_empty(), "no block was full: more commitments are needed");
        Ok(vec![
            Figure::count(
                "packed by a builder's rules: least full block",
                percent(least(full)),
                "%",
            )
            .at_least(FULL),
            Figure::count("packed by a builder's rules: mean", percent(mean(full)), "%"),
        ])
    }

    fn figures(&self) -> Result<Vec<Figure>> {
        let between: Vec<_> = self.blocks.between().iter().map(Block::share).collect();
        ensure!(!between.is_empty(), "no block was full: more commitments are needed");
        let mut figures = vec![Figure::count("commitments, each on chain once", self.committed(), "")];
        figures.extend(self.packed(0)?);
        figures.extend([
            Figure::timed(
                "least share of a block's gas, from the second",
                percent(least(&between)),
                "%",
            )
            .at_least(FULL),
            Figure::timed(
                "mean share of blocks' gas, from the second",
                percent(mean(&between)),
                "%",
            ),
            Figure::timed("blocks skipped", self.blocks.skipped() as f64, "blocks").at_most(0.0),
            Figure::timed("commitments a second", self.rate(), "/s"),
            Figure::count("gas of a commitment", self.blocks.gas_per_commitment(), "gas"),
            Figure::count("gas asked for and not used", percent(self.blocks.unused_gas()), "%"),
            Figure::timed("base fee, last block to first", self.blocks.base_fee_drift(), "x"),
            Figure::timed(
                "processor time for 10,000 commitments",
                self.usage.cpu / self.committed() * 1e4,
                "s",
            ),
            Figure::timed("peak memory", self.usage.peak, "MB"),
        ]);
        Ok(figures)
    }
}

/// Has the predeploy of L1 attributes answer with a scalar, whatever it is asked.
async fn set_footprint_scalar(stack: &Stack, scalar: u16) -> Result<()> {
    let [high, low] = scalar.to_be_bytes();
    // PUSH2 scalar, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN
    let code = Bytes::from(vec![0x61, high, low, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]);
    let predeploy = address!("4200000000000000000000000000000000000015");
    stack.chain.call::<_, Value>("anvil_setCode", (predeploy, code)).await?;
    Ok(())
}

pub(super) fn least(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(f64::INFINITY, f64::min)
}

pub(super) fn mean(shares: &[f64]) -> f64 {
    shares.iter().sum::<f64>() / shares.len() as f64
}

pub(super) fn percent(share: f64) -> f64 {
    share * 100.0
}
