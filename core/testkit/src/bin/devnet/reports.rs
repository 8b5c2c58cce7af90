//! Checking what the sequencer was told, and when.

use std::collections::{HashMap, HashSet};

use eyre::{Result, bail, ensure};
use set_types::{BatchId, Commitment};

use crate::{chain::SettledHeads, network::Network};

/// The sequencer's reports, compared as they arrive with how far the chain says that it is settled.
#[derive(Default)]
pub(crate) struct Reports {
    seen: usize,
    blocks: HashMap<BatchId, u64>,
}

impl Reports {
    /// Takes up the reports that came since, on a chain that settles: each block has to be safe by now.
    ///
    /// # Errors
    /// Names a batch that was reported too early.
    pub(crate) async fn look(&mut self, network: &Network) -> Result<Option<SettledHeads>> {
        // The reports first: what is safe only afterwards would make a report that came too early look right.
        let reports = network.sequencer.reports();
        let Some(heads) = network.chain.settled().await? else {
            return Ok(None);
        };
        for report in &reports[self.seen..] {
            let batch = report.batch_id;
            let Some(block) = report.block_number else {
                bail!("batch {batch} was reported without its block");
            };
            ensure!(
                block <= heads.safe,
                "batch {batch} was reported in block {block} while block {} was the newest safe one",
                heads.safe
            );
            self.blocks.insert(batch, block);
        }
        self.seen = reports.len();
        Ok(Some(heads))
    }

    /// Checks a batch whose block is finalized: the report must not have waited for that.
    ///
    /// # Errors
    /// Names the batch.
    pub(crate) fn finalized(&self, batch: BatchId) -> Result<()> {
        ensure!(
            self.blocks.contains_key(&batch),
            "batch {batch} is finalized and was not reported when it was safe"
        );
        Ok(())
    }
}

/// Checks that the sequencer recorded every one of them, none with two hashes.
///
/// # Errors
/// Names the first batch that it did not record.
pub(crate) fn check(network: &Network, commitments: &[Commitment]) -> Result<()> {
    let reports = network.sequencer.reports();
    let recorded: HashSet<_> = reports
        .iter()
        .filter(|report| report.recorded)
        .map(|report| report.batch_id)
        .collect();
    for commitment in commitments {
        ensure!(
            recorded.contains(&commitment.batch_id),
            "batch {} was never reported",
            commitment.batch_id
        );
    }
    let contradictions = network.sequencer.contradictions();
    ensure!(
        contradictions.is_empty(),
        "reported with more than one hash: {contradictions:?}"
    );
    Ok(())
}
