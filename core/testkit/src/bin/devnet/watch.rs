//! Following commitments on their way.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use alloy::{consensus::TxReceipt, network::ReceiptResponse, providers::Provider};
use alloy_primitives::B256;
use eyre::{Result, bail};
use serde_json::{Value, json};
use set_chain::bindings::SetRegistry;
use set_types::{BatchId, Commitment};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    chain::{Chain, quantity},
    network::Network,
    reports::Reports,
    show::{show, tail},
};

/// How often the sidecar is asked.
const LOOK: Duration = Duration::from_millis(400);
/// Batches asked for in one round trip: below the sidecar's `rpc.max_batch`.
const AT_ONCE: usize = 40;
/// Without progress for so long, waiting for a count is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is known of the commitments so far.
pub(crate) struct Watch<'a> {
    network: &'a Network,
    /// Commitments of which more is to come.
    open: BTreeMap<BatchId, Shown>,
    /// How many of the sequencer's commitments were taken up.
    seen: usize,
    reports: Reports,
    done: Vec<Commitment>,
    receipts: HashMap<B256, (u64, usize)>,
    progress: Instant,
}

/// What was shown of a commitment.
#[derive(Default)]
struct Shown {
    /// The stage before inclusion.
    stage: String,
    settlement: Option<Settlement>,
    reported: bool,
    claimed: bool,
}

/// How settled a commitment's block is, in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Settlement {
    Included,
    Safe,
    Finalized,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(network: &'a Network) -> Self {
        Self {
            network,
            open: BTreeMap::new(),
            seen: 0,
            reports: Reports::default(),
            done: vec![],
            receipts: HashMap::new(),
            progress: Instant::now(),
        }
    }

    /// Shows every step until `count` commitments are done: reported, and finalized on a chain that settles.
    /// Without a count, forever.
    pub(crate) async fn until(mut self, count: Option<usize>) -> Result<Vec<Commitment>> {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while count.is_none_or(|count| self.done.len() < count) {
            ticks.tick().await;
            self.look().await?;
            if count.is_some() && self.progress.elapsed() > PATIENCE {
                bail!("nothing went on for {PATIENCE:?}. {}", self.what_waits().await);
            }
        }
        if count.is_some() && matches!(self.network.chain, Chain::OpStack(_)) {
            self.reports.preceded_finality()?;
        }
        Ok(self.done)
    }

    async fn look(&mut self) -> Result<()> {
        if let Some(status) = self.network.sidecar.process.ended() {
            let lines = self.network.sidecar.process.lines();
            bail!("the sidecar ended ({status}); its last lines:\n{}", tail(&lines, 15));
        }
        if let Some(problem) = self.network.chain.ended() {
            bail!("{problem}");
        }
        self.reports.look(self.network).await?;
        let made = self.network.sequencer.commitments();
        for commitment in &made[self.seen..] {
            show("pending", commitment, "");
            self.open.insert(commitment.batch_id, Shown::default());
        }
        self.seen = made.len();
        let by_id: HashMap<_, _> = made
            .iter()
            .map(|commitment| (commitment.batch_id, commitment))
            .collect();
        let waiting: Vec<_> = self.open.keys().copied().collect();
        let mut finalized = 0;
        for batches in waiting.chunks(AT_ONCE) {
            let calls = batches.iter().map(|batch| json!([batch])).collect();
            let answers = self.network.sidecar.rpc.batch("set_getCommitment", calls).await?;
            for (batch, answer) in batches.iter().zip(answers) {
                if let Some(commitment) = by_id.get(batch) {
                    self.step(commitment, &answer).await?;
                }
                if settlement(&answer) == Some(Settlement::Finalized) {
                    finalized = finalized.max(quantity(&answer["blockNumber"]).unwrap_or_default());
                }
            }
        }
        self.check_finalized(finalized).await
    }

    /// Shows what is new of a commitment.
    async fn step(&mut self, commitment: &Commitment, answer: &Value) -> Result<()> {
        let batch = commitment.batch_id;
        let Some(mut shown) = self.open.remove(&batch) else {
            return Ok(());
        };
        let settles = matches!(self.network.chain, Chain::OpStack(_));
        let settlement = settlement(answer);
        if settlement.is_none() {
            show_stage(&mut shown, commitment, answer);
        }
        if shown.settlement.is_none() && settlement.is_some() {
            show("included", commitment, &self.inclusion(answer).await?);
            shown.settlement = Some(Settlement::Included);
        }
        if settles && shown.settlement < Some(Settlement::Safe) && settlement >= Some(Settlement::Safe) {
            show("safe", commitment, &carried(answer));
            shown.settlement = Some(Settlement::Safe);
        }
        if !shown.reported && answer["reported"] == true {
            show("reported", commitment, "the sequencer knows");
            shown.reported = true;
        }
        if settles && shown.settlement < Some(Settlement::Finalized) && settlement == Some(Settlement::Finalized) {
            show("finalized", commitment, "");
            shown.settlement = settlement;
        }
        let was_done = self.done.iter().any(|done| done.batch_id == batch);
        let is_done = shown.reported && (!settles || shown.settlement == Some(Settlement::Finalized));
        if is_done && !was_done {
            self.done.push(commitment.clone());
            self.progress = Instant::now();
        }
        if !shown.claimed && answer["claim"].is_object() {
            show("claimed", commitment, &claim(&answer["claim"]));
            shown.claimed = true;
        }
        if !is_done || (settles && !shown.claimed) {
            self.open.insert(batch, shown);
        }
        Ok(())
    }

    /// What the sidecar has called finalized, the chain must call so too.
    async fn check_finalized(&self, block: u64) -> Result<()> {
        if let Some(heads) = self.network.chain.settled().await?
            && block > heads.finalized.max(heads.safe)
        {
            bail!("the sidecar calls block {block} finalized, and op-node does not even call it safe");
        }
        Ok(())
    }

    /// Block, gas and transaction of a commitment.
    async fn inclusion(&mut self, answer: &Value) -> Result<String> {
        let block = quantity(&answer["blockNumber"]).unwrap_or_default();
        let hash: B256 = serde_json::from_value(answer["txHash"].clone())?;
        if !self.receipts.contains_key(&hash) {
            let provider = self.network.chain.provider();
            let Some(receipt) = provider.get_transaction_receipt(hash).await? else {
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
        let first = json!([null, null, null, 10]);
        match self.network.sidecar.call("set_pendingCommitments", first).await {
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

/// How settled the sidecar calls a commitment's block.
fn settlement(answer: &Value) -> Option<Settlement> {
    match answer["settlement"].as_str()? {
        "included" => Some(Settlement::Included),
        "safe" => Some(Settlement::Safe),
        _ => Some(Settlement::Finalized),
    }
}

/// Shows the stage of a commitment that is in no block yet, where that is news.
fn show_stage(shown: &mut Shown, commitment: &Commitment, answer: &Value) {
    let stage = answer["stage"].as_str().unwrap_or_default();
    if shown.stage == stage {
        return;
    }
    match stage {
        "sent" => show("sent", commitment, answer["txHash"].as_str().unwrap_or_default()),
        "held" | "blocked" | "quarantined" => show(stage, commitment, answer["reason"].as_str().unwrap_or_default()),
        _ => {}
    }
    stage.clone_into(&mut shown.stage);
}

/// The L1 block that carries a commitment's block, where op-node told it.
fn carried(answer: &Value) -> String {
    match quantity(&answer["safeL1Block"]["number"]) {
        Some(number) => format!("L1 block {number}"),
        None => String::new(),
    }
}

/// The game that claims a commitment's block.
fn claim(claim: &Value) -> String {
    let block = quantity(&claim["l2Block"]).map_or_else(String::new, |block| format!("  up to block {block}"));
    format!("game {}{block}", claim["game"].as_str().unwrap_or_default())
}
