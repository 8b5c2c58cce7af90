//! Showing commitments on their way.

use std::{
    collections::{BTreeMap, HashMap},
    io::IsTerminal,
    time::{Duration, Instant},
};

use alloy::{consensus::TxReceipt, network::ReceiptResponse, providers::Provider};
use alloy_primitives::B256;
use eyre::{Result, bail};
use serde_json::{Value, json};
use set_chain::bindings::SetRegistry;
use set_types::{BatchId, Commitment};
use tokio::time::{MissedTickBehavior, interval};

use crate::network::Network;

/// How often the sidecar is asked.
const LOOK: Duration = Duration::from_millis(400);
/// Batches asked for in one round trip: below the sidecar's `rpc.max_batch`.
const AT_ONCE: usize = 40;
/// Without progress for so long, waiting for a count is given up.
const PATIENCE: Duration = Duration::from_secs(90);

/// What is known of the commitments so far.
pub(crate) struct Watch<'a> {
    network: &'a Network,
    /// Commitments that are not reported yet, and the stage last shown.
    open: BTreeMap<BatchId, Option<String>>,
    /// How many of the sequencer's commitments were taken up.
    seen: usize,
    anchored: Vec<Commitment>,
    receipts: HashMap<B256, (u64, usize)>,
    progress: Instant,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(network: &'a Network) -> Self {
        Self {
            network,
            open: BTreeMap::new(),
            seen: 0,
            anchored: vec![],
            receipts: HashMap::new(),
            progress: Instant::now(),
        }
    }

    /// Shows every step until `count` commitments are anchored and reported; forever without a count.
    pub(crate) async fn until(mut self, count: Option<usize>) -> Result<Vec<Commitment>> {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while count.is_none_or(|count| self.anchored.len() < count) {
            ticks.tick().await;
            self.look().await?;
            if count.is_some() && self.progress.elapsed() > PATIENCE {
                bail!("nothing was anchored for {PATIENCE:?}. {}", self.what_waits().await);
            }
        }
        Ok(self.anchored)
    }

    async fn look(&mut self) -> Result<()> {
        if let Some(status) = self.network.sidecar.process.ended() {
            let lines = self.network.sidecar.process.lines();
            bail!("the sidecar ended ({status}); its last lines:\n{}", tail(&lines, 15));
        }
        let made = self.network.stack.sequencer.commitments();
        for commitment in &made[self.seen..] {
            show("pending", commitment, "");
            self.open.insert(commitment.batch_id, None);
        }
        self.seen = made.len();
        let by_id: HashMap<_, _> = made
            .iter()
            .map(|commitment| (commitment.batch_id, commitment))
            .collect();
        let waiting: Vec<_> = self.open.keys().copied().collect();
        for batches in waiting.chunks(AT_ONCE) {
            let answers = self
                .network
                .sidecar
                .rpc
                .batch(
                    "set_getCommitment",
                    batches.iter().map(|batch| json!([batch])).collect(),
                )
                .await?;
            for (batch, answer) in batches.iter().zip(answers) {
                if let Some(commitment) = by_id.get(batch) {
                    self.step(commitment, &answer).await?;
                }
            }
        }
        Ok(())
    }

    /// Shows where a commitment stands, if that is news.
    async fn step(&mut self, commitment: &Commitment, answer: &Value) -> Result<()> {
        let Some(stage) = answer["stage"].as_str() else {
            return Ok(());
        };
        let shown = self.open.get(&commitment.batch_id).cloned().flatten();
        if shown.as_deref() == Some(stage) {
            return Ok(());
        }
        let was_anchored = shown.as_deref().is_some_and(is_anchored);
        if is_anchored(stage) && !was_anchored {
            let details = self.anchor(answer).await?;
            show("anchored", commitment, &details);
        }
        match stage {
            "reported" => {
                show("reported", commitment, "the sequencer knows");
                self.open.remove(&commitment.batch_id);
                self.anchored.push(commitment.clone());
                self.progress = Instant::now();
                return Ok(());
            }
            "sent" => show("sent", commitment, answer["txHash"].as_str().unwrap_or_default()),
            "held" | "blocked" | "quarantined" => {
                show(stage, commitment, answer["reason"].as_str().unwrap_or_default());
            }
            _ => {}
        }
        self.open.insert(commitment.batch_id, Some(stage.to_owned()));
        Ok(())
    }

    /// Block, gas and transaction of an anchored commitment.
    async fn anchor(&mut self, answer: &Value) -> Result<String> {
        let block = answer["blockNumber"]
            .as_str()
            .map(|hex| u64::from_str_radix(hex.trim_start_matches("0x"), 16));
        let block = block.transpose()?.unwrap_or_default();
        let hash: B256 = serde_json::from_value(answer["txHash"].clone())?;
        if !self.receipts.contains_key(&hash) {
            let receipt = self
                .network
                .stack
                .chain
                .provider()
                .get_transaction_receipt(hash)
                .await?;
            let Some(receipt) = receipt else {
                return Ok(format!("block {block}  tx {hash}"));
            };
            let logs = receipt.inner.inner.logs();
            let committed = logs
                .iter()
                .filter(|log| log.log_decode::<SetRegistry::BatchCommitted>().is_ok())
                .count();
            self.receipts.insert(hash, (receipt.gas_used(), committed.max(1)));
        }
        let (gas, committed) = self.receipts[&hash];
        let share = gas / u64::try_from(committed)?;
        Ok(format!("block {block}  gas {share} (1 of {committed} in {hash})"))
    }

    /// What the sidecar says of those that are not anchored.
    async fn what_waits(&self) -> String {
        match self
            .network
            .sidecar
            .call("set_pendingCommitments", json!([null, null, null, 10]))
            .await
        {
            Ok(pending) => {
                let lines = pending["items"].as_array().into_iter().flatten().map(|item| {
                    let reason = item["reason"].as_str().unwrap_or("no reason given");
                    format!("  {} {}: {reason}", item["batchId"], item["stage"])
                });
                format!(
                    "The sidecar says of what waits:\n{}",
                    lines.collect::<Vec<_>>().join("\n")
                )
            }
            Err(error) => format!("The sidecar does not say what waits: {error:#}"),
        }
    }
}

fn is_anchored(stage: &str) -> bool {
    matches!(stage, "included" | "safe" | "finalized" | "reported")
}

fn show(stage: &str, commitment: &Commitment, details: &str) {
    let colour = match stage {
        "anchored" => "32",
        "reported" => "36",
        "held" | "blocked" | "quarantined" => "33",
        _ => "2",
    };
    let (start, end) = if std::io::stdout().is_terminal() {
        (format!("\x1b[{colour}m"), "\x1b[0m")
    } else {
        (String::new(), "")
    };
    let batch: String = commitment.batch_id.to_string().chars().take(8).collect();
    let store: String = commitment.store_id.to_string().chars().take(4).collect();
    let range = format!("{}-{}", commitment.sequence_start, commitment.sequence_end);
    let line = format!("{start}{stage:<11}{end} {batch}  store {store}  events {range:<9} {details}");
    println!("{}", line.trim_end());
}

/// The last lines of a program's output.
pub(crate) fn tail(lines: &[String], count: usize) -> String {
    lines[lines.len().saturating_sub(count)..].join("\n")
}
