//! A backlog at the default share of a block, the chain's gas target, and somebody else on the same chain.

use alloy_primitives::{B256, U256};
use eyre::{Result, eyre};
use serde_json::{Value, json};
use set_testkit::{Anvil, Sequencer};

use crate::{
    blocks::Blocks,
    figures::Figure,
    head_watch::HeadWatch,
    rig::{Bench, backlog, chain, node, stop, until_reported},
};

const NAME: &str = "share";
const STREAMS: usize = 500;
/// The gas target of the blocks in percent: anvil's elasticity is the OP Stack's, 6.
const TARGET: f64 = 100.0 / 6.0;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Figure>> {
    let commitments = if bench.quick {
        bench.commitments / 2
    } else {
        bench.commitments
    };
    let backlog = backlog(STREAMS, commitments);
    let stack = bench
        .stack(NAME, chain(), Sequencer::builder().preload(backlog))
        .await?;
    let heads = HeadWatch::start(stack.chain.provider());
    let sidecar = bench
        .sidecar(NAME, &stack)
        .set("txmgr.max_block_share", "target")
        .start()
        .await?;
    let count = backlog.streams * backlog.batches;
    let transfers = {
        let mut sent = vec![];
        tokio::select! {
            done = until_reported(&stack.sequencer, count, &sidecar) => { done?; }
            failed = transfer_each_block(&stack.chain, &heads, &mut sent) => failed?,
        }
        sent
    };
    stop(sidecar, &bench.dir(NAME)).await?;
    let blocks = Blocks::read(&node(&stack.chain), &stack.contracts).await?;

    let mut delays = vec![];
    for (head, hash) in transfers {
        let receipt: Value = stack.chain.call("eth_getTransactionReceipt", (hash,)).await?;
        let number = receipt["blockNumber"]
            .as_str()
            .and_then(|text| u64::from_str_radix(&text[2..], 16).ok());
        // The last one may be on its way still.
        delays.extend(number.map(|number| number.saturating_sub(head)));
    }
    let longest = delays
        .iter()
        .max()
        .ok_or_else(|| eyre!("nobody else's transaction was included"))?;
    let first = blocks.blocks.first().map_or(1.0, |block| block.base_fee);
    let highest = blocks.blocks.iter().map(|block| block.base_fee).fold(0.0, f64::max);
    let most = blocks
        .blocks
        .iter()
        .map(crate::blocks::Block::share)
        .fold(0.0, f64::max);
    Ok(vec![
        Figure::count("commitments, each on chain once", blocks.committed.len() as f64, "").at_least(count as f64),
        Figure::count("most that commitments took of a block", most * 100.0, "%").at_most(TARGET),
        Figure::timed("blocks skipped", blocks.skipped() as f64, "blocks"),
        Figure::count(
            "commitments a block",
            blocks.committed.len() as f64 / blocks.blocks.len() as f64,
            "",
        ),
        Figure::count("base fee, highest to first", highest / first, "x").at_most(1.05),
        Figure::count("others' transactions", delays.len() as f64, ""),
        Figure::count("longest wait of another's transaction", *longest as f64, "blocks").at_most(2.0),
    ])
}

/// Sends a plain transfer at each block, with the fee that the node suggests; notes its hash, and the head when the
/// node had it: from then on only blocks without room keep it waiting. Ends only by an error.
async fn transfer_each_block(chain: &Anvil, heads: &HeadWatch, sent: &mut Vec<(u64, B256)>) -> Result<()> {
    let mut newest = heads.newest();
    let transfer = json!({
        "from": Anvil::account(2).address(),
        "to": Anvil::account(3).address(),
        "value": U256::ONE,
        "gas": "0x5208",
    });
    loop {
        newest.changed().await?;
        let hash = chain.call("eth_sendTransaction", (transfer.clone(),)).await?;
        sent.push((chain.block_number().await?, hash));
    }
}
