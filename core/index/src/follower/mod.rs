//! Following the chain: one step for each new block, larger ones while catching up.

mod fork;
mod located;
mod pruned;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::rpc::types::Log as ChainLog;
use alloy_primitives::{B256, keccak256};
use set_chain::{BlockRef, ChainView, L2Provider};
use set_types::{DecodeRequest, LogFilter};
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use crate::{
    Entry, Index, Step, StoreError,
    chain_logs::{is_pruned, read_headers, read_range},
    decoder::LogDecoder,
    range::RangeSize,
};
use located::Located;

/// Logs handed to the decoder at once.
const LOGS_PER_DECODE: usize = 1_000;
/// Commitments in one step above which fewer blocks are asked for, so that memory does not grow with how full
/// the past is.
const ENTRIES_PER_STEP: usize = 2_000;
/// Between two attempts that fail: doubles from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// Between two lines of progress while catching up.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What to follow.
#[derive(Debug, Clone, Copy)]
pub struct FollowerOptions {
    /// Chain id: an index of another chain is cleared.
    pub chain_id: u64,
    /// First block that can hold a commitment (the registry's deployment).
    pub from_block: u64,
    /// Blocks asked for at once, at most. Where the node refuses, less is asked for.
    pub max_range: u64,
}

/// What hinders a step. Each is tried again; none ends the follower.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the submitter plugin does not help: {0}")]
    Submitter(String),
    #[error("the node refuses the logs of blocks {from} to {to}: {cause}")]
    Refused { from: u64, to: u64, cause: String },
    #[error("{method}: {cause}")]
    Node { method: &'static str, cause: String },
    #[error("block {0} changed while it was read")]
    Moved(u64),
    #[error(
        "the node lacks block {needed}, which was followed or is where that begins: its head is {head}, and it may \
             still be syncing"
    )]
    Behind { head: u64, needed: u64 },
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// There is more to read at once.
    More,
    /// The index is at the newest block known.
    CaughtUp,
    /// The node has not said yet what its newest block is.
    NoHead,
}

/// Keeps an [`Index`] at the head of the chain.
///
/// Each step reads a range of logs together with the headers at both its ends, so that a step either
/// holds what one chain holds or is not taken. Where the block followed last is no longer in the chain,
/// the index goes back to the newest block that is.
#[derive(Debug)]
pub struct Follower<D> {
    provider: L2Provider,
    decoder: D,
    index: Index,
    heads: watch::Receiver<Arc<ChainView>>,
    options: FollowerOptions,
    range: RangeSize,
    catching_up: Option<Instant>,
}

impl<D: LogDecoder> Follower<D> {
    /// Prepares to follow; nothing is asked yet.
    pub fn new(
        provider: L2Provider,
        decoder: D,
        index: Index,
        heads: watch::Receiver<Arc<ChainView>>,
        options: FollowerOptions,
    ) -> Self {
        let range = RangeSize::new(options.max_range);
        Self {
            provider,
            decoder,
            index,
            heads,
            options,
            range,
            catching_up: None,
        }
    }

    /// Follows until `shutdown` completes or the heads end. A step that is being written is written whole.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = shutdown => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let mut failures = 0u32;
        loop {
            // Marked as seen before it is read: a head that comes meanwhile wakes the wait below.
            let head = self.heads.borrow_and_update().latest.map(|head| head.block);
            match self.advance(head).await {
                Ok(Outcome::More) => failures = 0,
                Ok(Outcome::CaughtUp | Outcome::NoHead) => {
                    failures = 0;
                    if self.heads.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    // Asking for less is no failure; a node that limits ranges is found out quickly.
                    if !self.shrink(&error) && !self.leave_out(&error, head).await {
                        self.hinder(error, head).await;
                        failures = failures.saturating_add(1);
                    }
                    tokio::time::sleep(pause(failures)).await;
                }
            }
        }
    }

    /// Asks for less from now on if that is what the node refused, and says whether there is less to ask for.
    fn shrink(&mut self, error: &FollowError) -> bool {
        let FollowError::Refused { from, to, cause } = error else {
            return false;
        };
        if is_pruned(cause) {
            return false;
        }
        metrics::counter!("set_index_refusals_total").increment(1);
        debug!(%error, "asking for less");
        self.range.shrink(to - from + 1)
    }

    /// Shows what hinders, and repairs what can be repaired from here.
    async fn hinder(&mut self, cause: FollowError, head: Option<BlockRef>) {
        self.index
            .show_head(head.map(|head| head.number), Some(cause.to_string()));
        match cause {
            FollowError::Store(damage) if damage.is_damage() => self.rebuild(damage.to_string()).await,
            FollowError::Moved(block) => debug!(block, "the chain changed while it was read"),
            cause => warn!(%cause, "the index cannot follow the chain; trying again"),
        }
    }

    async fn rebuild(&self, damage: String) {
        metrics::counter!("set_index_rebuilds_total").increment(1);
        if let Err(error) = self.index.store.replace(damage).await {
            error!(%error, "the damaged index cannot be replaced");
        }
    }

    /// Takes one step towards `head`.
    async fn advance(&mut self, head: Option<BlockRef>) -> Result<Outcome, FollowError> {
        // Whoever read what is damaged could only say so.
        if let Some(damage) = self.index.store.damage() {
            self.rebuild(damage).await;
        }
        let filter = self.decoder.log_filter().await.map_err(FollowError::Submitter)?;
        if filter.addresses.is_empty() || filter.topics.is_empty() {
            let message = "its log filter must name at least one contract and one topic";
            return Err(FollowError::Submitter(message.to_owned()));
        }
        let from_block = self.options.from_block.max(filter.from_block.unwrap_or(0));
        self.index.set_origin(&self.provider, from_block);
        if self
            .index
            .bind(scope(self.options.chain_id, from_block, &filter))
            .await?
        {
            info!("the index was of other contracts or another chain; following anew");
        }
        let Some(head) = head else { return Ok(Outcome::NoHead) };
        let Some(cursor) = self.index.synced().borrow().block else {
            self.begin(from_block, head).await?;
            return Ok(Outcome::More);
        };
        let outcome = self.step(&filter, cursor, head).await?;
        self.index.show_head(Some(head.number), None);
        self.show_progress(head);
        Ok(outcome)
    }

    /// Puts the cursor on the block before the first that can hold a commitment. (Genesis holds none.)
    async fn begin(&self, from_block: u64, head: BlockRef) -> Result<(), FollowError> {
        let before = from_block.saturating_sub(1);
        let header = read_headers(&self.provider, &[before]).await?.remove(&before);
        match header {
            Some(block) => Ok(self.index.apply(block, Step::default()).await?),
            // Some nodes say nothing else of what they have dropped.
            None if before < head.number => Err(FollowError::Node {
                method: "eth_getBlockByNumber",
                cause: format!("block {before} is unknown below the head: it seems pruned"),
            }),
            None => Err(FollowError::Behind {
                head: head.number,
                needed: before,
            }),
        }
    }

    async fn step(&mut self, filter: &LogFilter, cursor: BlockRef, head: BlockRef) -> Result<Outcome, FollowError> {
        if head == cursor {
            self.index.confirm();
            return Ok(Outcome::CaughtUp);
        }
        if head.number <= cursor.number {
            return self.go_back(cursor, head).await;
        }
        let to = head.number.min(cursor.number.saturating_add(self.range.blocks()));
        let last = if to == head.number {
            head
        } else {
            let known = read_headers(&self.provider, &[to]).await?.remove(&to);
            known.ok_or(FollowError::Behind {
                head: head.number,
                needed: to,
            })?
        };
        let range = read_range(&self.provider, filter, cursor.number, to).await?;
        match range.before {
            Some(before) if before.hash == cursor.hash => {}
            Some(_) => return self.go_back(cursor, head).await,
            // A node that lacks a block is no proof that the chain does.
            None => {
                return Err(FollowError::Behind {
                    head: head.number,
                    needed: cursor.number,
                });
            }
        }
        if range.last.map(|block| block.hash) != Some(last.hash) {
            return Err(FollowError::Moved(to));
        }
        let step = self.read_step(range.logs, cursor, last).await?;
        let (asked, found) = (to - cursor.number, step.entries.len());
        metrics::counter!("set_index_commitments_total").increment(found as u64);
        self.index.confirm();
        self.index.apply(last, step).await?;
        if found > ENTRIES_PER_STEP {
            self.range.shrink(asked);
        } else if asked == self.range.blocks() {
            self.range.grow();
        }
        Ok(if to == head.number {
            Outcome::CaughtUp
        } else {
            Outcome::More
        })
    }

    /// Decodes a range's logs and finds the timestamps of their blocks.
    async fn read_step(&self, logs: Vec<ChainLog>, after: BlockRef, last: BlockRef) -> Result<Step, FollowError> {
        let mut logs = logs.into_iter().map(Located::new).collect::<Result<Vec<_>, _>>()?;
        logs.sort_unstable_by_key(|log| (log.block, log.log_index));
        if let Some(stray) = logs
            .iter()
            .find(|log| log.block <= after.number || log.block > last.number)
        {
            let cause = format!("a log of block {} was not asked for", stray.block);
            return Err(FollowError::Node {
                method: "eth_getLogs",
                cause,
            });
        }
        let blocks = self.blocks_of(&logs, last).await?;
        let mut step = Step::default();
        for logs in logs.chunks(LOGS_PER_DECODE) {
            let request = DecodeRequest {
                logs: logs.iter().map(|log| log.log.clone()).collect(),
            };
            let decoded = self.decoder.decode(request).await.map_err(FollowError::Submitter)?;
            for log in decoded.committed {
                let Some((at, block)) = logs.get(log.log).and_then(|at| Some((at, *blocks.get(&at.block)?))) else {
                    let message = format!("it decoded log {} of {}", log.log, logs.len());
                    return Err(FollowError::Submitter(message));
                };
                step.entries.push(Entry {
                    log,
                    tx_hash: at.tx_hash,
                    block,
                    log_index: at.log_index,
                });
            }
            for opened in decoded.opened {
                if opened.stream.key() == opened.stream_key {
                    step.opened.push(opened.stream);
                } else {
                    warn!(stream = %opened.stream, key = %opened.stream_key, "a stream's ids do not hash to its key");
                }
            }
        }
        step.entries.sort_by_key(|entry| (entry.block.number, entry.log_index));
        Ok(step)
    }

    /// The blocks of these logs. Newer nodes tell timestamps with the logs; the rest is asked for at once.
    async fn blocks_of(&self, logs: &[Located], last: BlockRef) -> Result<BTreeMap<u64, BlockRef>, FollowError> {
        let mut blocks = BTreeMap::from([(last.number, last)]);
        let mut unknown = BTreeSet::new();
        for log in logs {
            match log.timestamp {
                _ if log.block == last.number => {}
                Some(timestamp) => {
                    blocks.insert(
                        log.block,
                        BlockRef {
                            number: log.block,
                            hash: log.block_hash,
                            timestamp,
                        },
                    );
                }
                None => drop(unknown.insert(log.block)),
            }
        }
        blocks.extend(read_headers(&self.provider, &unknown.into_iter().collect::<Vec<_>>()).await?);
        let moved = logs
            .iter()
            .find(|log| blocks.get(&log.block).map(|block| block.hash) != Some(log.block_hash));
        moved.map_or(Ok(blocks), |log| Err(FollowError::Moved(log.block)))
    }

    fn show_progress(&mut self, head: BlockRef) {
        let synced = self.index.synced().borrow().clone();
        let block = synced.block.map_or(0, |block| block.number);
        metrics::gauge!("set_index_block").set(block as f64);
        metrics::gauge!("set_index_from_block").set(synced.from.unwrap_or(0) as f64);
        metrics::gauge!("set_index_lag_blocks").set(synced.lag().unwrap_or(0) as f64);
        if synced.is_caught_up() {
            if self.catching_up.take().is_some() {
                info!(block, "the index has caught up with the chain");
            }
            return;
        }
        let last = self.catching_up.get_or_insert_with(Instant::now);
        if last.elapsed() >= PROGRESS_EVERY {
            *last = Instant::now();
            info!(block, head = head.number, "the index follows the chain");
        }
    }
}

fn pause(failures: u32) -> Duration {
    PAUSES.0.saturating_mul(1 << failures.min(16)).min(PAUSES.1)
}

/// What an index is of.
fn scope(chain_id: u64, from_block: u64, filter: &LogFilter) -> B256 {
    let mut parts = vec![];
    parts.extend(chain_id.to_be_bytes());
    parts.extend(from_block.to_be_bytes());
    let addresses: BTreeSet<_> = filter.addresses.iter().collect();
    let topics: BTreeSet<_> = filter.topics.iter().collect();
    parts.extend((addresses.len() as u64).to_be_bytes());
    parts.extend(addresses.into_iter().flat_map(|address| address.0.0));
    parts.extend(topics.into_iter().flat_map(|topic| topic.0));
    keccak256(parts)
}
