//! One commitment now and then: from listed to included.

use std::time::Duration;

use eyre::{Result, ensure, eyre};
use set_testkit::Sequencer;

use crate::{
    blocks::Blocks,
    figures::Figure,
    head_watch::HeadWatch,
    rig::{BLOCK_TIME, Bench, POLL_INTERVAL, chain, node, stop, until_reported},
};

const NAME: &str = "latency";
const STREAMS: usize = 20;
/// Events of a commitment.
const EVENTS: u32 = 8;
/// Between two commitments; shares no period with blocks and polls.
const INTERVAL: Duration = Duration::from_millis(730);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let count = if bench.quick { 40 } else { 150 };
    let stack = bench.stack(NAME, chain(), Sequencer::builder()).await?;
    let heads = HeadWatch::start(stack.chain.provider());
    let sidecar = bench.sidecar(NAME, &stack).start().await?;
    let streams: Vec<_> = (0..STREAMS).map(|_| stack.sequencer.open_stream(1)).collect();
    let mut pace = tokio::time::interval(INTERVAL);
    for number in 0..count {
        pace.tick().await;
        stack.sequencer.commit(streams[number * 7 % STREAMS], EVENTS);
    }
    until_reported(&stack.sequencer, count, &sidecar).await?;
    stop(sidecar, &bench.dir(NAME)).await?;
    let blocks = Blocks::read(&node(&stack.chain), &stack.contracts).await?;

    let mut waits = vec![];
    for commitment in stack.sequencer.commitments() {
        let id = commitment.batch_id.to_b256();
        let block = blocks.block_of(id).ok_or_else(|| eyre!("batch {id} is in no block"))?;
        let seen = heads.seen(block).ok_or_else(|| eyre!("block {block} was never seen"))?;
        waits.push(seen.duration_since(commitment.committed_at).as_secs_f64());
    }
    ensure!(!waits.is_empty(), "nothing was committed");
    waits.sort_by(f64::total_cmp);
    let quantile = |share: f64| waits[((waits.len() - 1) as f64 * share).round() as usize];
    Ok(vec![
        Figure::timed("listed to included, median", quantile(0.5), "s"),
        Figure::timed("listed to included, 95 of 100", quantile(0.95), "s").at_most(BLOCK_TIME + POLL_INTERVAL),
        Figure::timed("listed to included, longest", quantile(1.0), "s"),
    ])
}
