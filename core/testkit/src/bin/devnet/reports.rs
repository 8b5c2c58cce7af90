//! Checking what the sequencer was told, and when.

use std::collections::HashSet;

use eyre::{Result, bail, ensure};
use set_types::Commitment;

use crate::network::Network;

/// The sequencer's reports, compared as they arrive with how far the chain says that it is settled.
#[derive(Default)]
pub(crate) struct Reports {
    seen: usize,
    /// Whether one was there while its block was not finalized.
    before_finality: bool,
}

impl Reports {
    /// Takes up the reports that came since, on a chain that settles: each block has to be safe by now.
    ///
    /// # Errors
    /// Names a batch that was reported too early.
    pub(crate) async fn look(&mut self, network: &Network) -> Result<()> {
        // The reports first: were the chain asked first, one that came in between would look too early.
        let reports = network.sequencer.reports();
        let Some(heads) = network.chain.settled().await? else {
            return Ok(());
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
            self.before_finality |= block > heads.finalized;
        }
        self.seen = reports.len();
        Ok(())
    }

    /// Checks that reports did not wait for finality. Each by itself may meet it on its way, where the machine stands
    /// still for that long; all of them do not.
    ///
    /// # Errors
    /// Where every one came after it.
    pub(crate) fn preceded_finality(&self) -> Result<()> {
        ensure!(
            self.before_finality,
            "none of {} reports came before its block was finalized; they are due when it is safe",
            self.seen
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
