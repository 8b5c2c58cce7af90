//! The index: opening it, and every query.

use std::{
    ops::Bound,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use alloy_primitives::B256;
use redb::{ReadTransaction, ReadableTableMetadata};
use set_chain::{BlockRef, L2Provider};
use set_types::{BatchId, StreamId};
use tokio::sync::watch;

use crate::{
    Anchored, ChainPosition, Opening, StoreError, StreamPosition, StreamSummary,
    anchored::{Record, decode_block},
    opening::Layout,
    store::{Store, table},
    tables::{
        ANCHOR, BLOCKS, BY_CHAIN, BY_STREAM, COMMITMENTS, CURSOR, FOLLOWED, REPORTED, SCOPE, SCOPES, STREAM_IDS,
        STREAMS, chain_row, stream_row, stream_row_batch,
    },
    unindexed::Origin,
};

const LAYOUT: Layout = Layout {
    name: "index",
    holds: "the commitments on chain",
    version: 2,
    cache_bytes: 4 << 20,
    rebuildable: true,
};

/// How far the index has followed the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    /// The last block followed; the index says what the chain held there. `None` before the first.
    pub block: Option<BlockRef>,
    /// Number of the first block from which on no log is missing. Above the registry's first block where no
    /// node had older logs any more. `None` before the first block followed.
    pub from: Option<u64>,
    /// Number of the newest block known; `None` until the node answered.
    pub head: Option<u64>,
    /// What hinders the follower now, in words for the operator.
    pub error: Option<String>,
}

impl Synced {
    /// Whether the index has followed the chain to the newest block known.
    pub fn is_caught_up(&self) -> bool {
        self.head.is_some_and(|head| self.covers(head))
    }

    /// Whether the index has followed the chain to block `number` or beyond.
    pub fn covers(&self, number: u64) -> bool {
        self.block.is_some_and(|block| block.number >= number)
    }

    /// Blocks that are yet to be followed; `None` until the node answered.
    pub fn lag(&self) -> Option<u64> {
        let followed = self.block.map_or(0, |block| block.number);
        self.head.map(|head| head.saturating_sub(followed))
    }
}

/// What the chain holds, made quick to ask. Cheap to clone; every clone is the same index.
///
/// Nothing in it is needed for correctness: it is deleted and rebuilt from the chain at any time.
/// Queries cost the logarithm of what is indexed and run on threads that may block.
///
/// A file from an earlier run may be of another chain or another registry. It answers nothing until a
/// [`Follower`](crate::Follower) has seen that it is of what it follows, which is the first thing it does
/// and needs no node.
#[derive(Debug, Clone)]
pub struct Index {
    pub(crate) store: Store,
    synced: Arc<watch::Sender<Synced>>,
    /// Whether it is known what the file is of.
    bound: Arc<AtomicBool>,
    /// Whether it is known that the chain still holds what the file says.
    confirmed: Arc<AtomicBool>,
    /// Where to look for what the index does not hold; known once somebody follows the chain.
    origin: Arc<RwLock<Option<Origin>>>,
}

impl Index {
    /// Opens the index file, or an index in memory where `path` is `None`.
    ///
    /// An older schema is rebuilt from the chain, a damaged file is moved aside and rebuilt, and where the
    /// file cannot be written the index is kept in memory; all of it is logged and shown by [`Index::opening`].
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] and [`StoreError::InUse`] leave the file alone;
    /// [`StoreError::Open`] where its directory is not there, or the disk fails.
    pub async fn open(path: Option<&Path>) -> Result<Self, StoreError> {
        let path = path.map(Path::to_owned);
        let store = tokio::task::spawn_blocking(move || Store::open(path.as_deref(), LAYOUT))
            .await
            .map_err(|_| StoreError::Stopped)??;
        let index = Self {
            store,
            synced: Arc::default(),
            bound: Arc::default(),
            confirmed: Arc::default(),
            origin: Arc::default(),
        };
        if index.scope().await?.is_none() {
            index.set_bound();
        }
        index.show_progress().await?;
        Ok(index)
    }

    /// How the store was opened.
    pub fn opening(&self) -> Opening {
        self.store.opening()
    }

    /// How far the index has followed the chain; changes after each step.
    pub fn synced(&self) -> watch::Receiver<Synced> {
        self.synced.subscribe()
    }

    /// One commitment, or `None` where the chain held none at the last block followed.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn get(&self, batch_id: BatchId) -> Result<Option<Anchored>, StoreError> {
        Ok(self.get_many(vec![batch_id]).await?.pop().flatten())
    }

    /// Several commitments from one moment, in the order asked.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn get_many(&self, batches: Vec<BatchId>) -> Result<Vec<Option<Anchored>>, StoreError> {
        self.query(move |reader| {
            batches
                .into_iter()
                .map(|batch_id| reader.commitment(batch_id))
                .collect()
        })
        .await
    }

    /// A stream's commitments by sequence, those behind `after` only, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn list(
        &self,
        stream_key: B256,
        after: Option<StreamPosition>,
        limit: usize,
    ) -> Result<Vec<Anchored>, StoreError> {
        self.query(move |reader| {
            let first = stream_row(
                &stream_key,
                &StreamPosition {
                    sequence_start: 0,
                    batch_id: B256::ZERO.into(),
                },
            );
            let last = stream_row(&stream_key, &StreamPosition::after_sequence(u64::MAX));
            let start = after.map_or(Bound::Included(first), |after| {
                Bound::Excluded(stream_row(&stream_key, &after))
            });
            let Some(table) = reader.table(BY_STREAM)? else {
                return Ok(vec![]);
            };
            let range = (start.as_ref(), Bound::Included(&last));
            table
                .range::<&[u8; 72]>(range)?
                .take(limit)
                .map(|row| reader.commitment_of_row(stream_row_batch(row?.0.value())))
                .collect()
        })
        .await
    }

    /// All commitments, the chain's newest first, those before `before` only, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn newest(&self, before: Option<ChainPosition>, limit: usize) -> Result<Vec<Anchored>, StoreError> {
        self.query(move |reader| {
            let Some(table) = reader.table(BY_CHAIN)? else {
                return Ok(vec![]);
            };
            let end = before.map_or(Bound::Unbounded, |before| Bound::Excluded(chain_row(before)));
            table
                .range::<(u64, u64)>((Bound::Unbounded, end))?
                .rev()
                .take(limit)
                .map(|row| reader.commitment_of_row(B256::from(row?.1.value()).into()))
                .collect()
        })
        .await
    }

    /// All commitments in the chain's order, those behind `after` only, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn in_chain_order(
        &self,
        after: Option<ChainPosition>,
        limit: usize,
    ) -> Result<Vec<Anchored>, StoreError> {
        self.query(move |reader| {
            let Some(table) = reader.table(BY_CHAIN)? else {
                return Ok(vec![]);
            };
            let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(chain_row(after)));
            table
                .range::<(u64, u64)>((start, Bound::Unbounded))?
                .take(limit)
                .map(|row| reader.commitment_of_row(B256::from(row?.1.value()).into()))
                .collect()
        })
        .await
    }

    /// One stream, or `None` where the chain held no commitment of it at the last block followed.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn stream(&self, stream_key: B256) -> Result<Option<StreamSummary>, StoreError> {
        self.query(move |reader| {
            let Some(table) = reader.table(STREAMS)? else {
                return Ok(None);
            };
            let Some(row) = table.get(&stream_key.0)? else {
                return Ok(None);
            };
            let (head, commitments) = row.value();
            reader
                .summary(stream_key, B256::from(head).into(), commitments)
                .map(Some)
        })
        .await
    }

    /// Streams by key, those behind `after` only, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn streams(&self, after: Option<B256>, limit: usize) -> Result<Vec<StreamSummary>, StoreError> {
        self.query(move |reader| {
            let Some(table) = reader.table(STREAMS)? else {
                return Ok(vec![]);
            };
            let start = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key.0));
            table
                .range::<&[u8; 32]>((start, Bound::Unbounded))?
                .take(limit)
                .map(|row| {
                    let (key, value) = row?;
                    let (head, commitments) = value.value();
                    reader.summary(B256::from(key.value()), B256::from(head).into(), commitments)
                })
                .collect()
        })
        .await
    }

    /// Number of commitments and of streams.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        self.query(|reader| reader.counts()).await
    }

    /// Runs a query on one snapshot of the index.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (bound, confirmed) = (self.bound.load(Ordering::Acquire), self.is_confirmed());
        self.store
            .read(move |transaction| {
                query(&Reader {
                    transaction,
                    bound,
                    confirmed,
                })
            })
            .await
    }

    /// What the file is of; see [`Index::bind`].
    pub(crate) async fn scope(&self) -> Result<Option<B256>, StoreError> {
        self.store
            .read(|transaction| {
                let reader = Reader {
                    transaction,
                    bound: true,
                    confirmed: false,
                };
                reader.scope()
            })
            .await
    }

    /// From now on the index answers.
    pub(crate) fn set_bound(&self) {
        self.bound.store(true, Ordering::Release);
    }

    /// Says that the chain still has the block followed last. From now on the index vouches for what it holds
    /// ([`Anchored::followed`]); whoever follows the chain says so once it has compared the two.
    pub fn confirm(&self) {
        self.confirmed.store(true, Ordering::Release);
    }

    /// Whether commitments may be older than what the index holds, because nodes have dropped their logs;
    /// [`Index::find_unindexed`] finds them.
    pub fn lacks_history(&self) -> bool {
        let from = self.synced.borrow().from;
        let first = self.origin().map(|origin| origin.first_block.max(1));
        first.zip(from).is_some_and(|(first, from)| from > first)
    }

    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Acquire)
    }

    /// Says where to look for what the index does not hold, and from which block on.
    pub(crate) fn set_origin(&self, provider: &L2Provider, first_block: u64) {
        if self.origin().is_none_or(|origin| origin.first_block != first_block) {
            let provider = provider.clone();
            *self.origin.write().unwrap_or_else(PoisonError::into_inner) = Some(Origin { provider, first_block });
        }
    }

    pub(crate) fn origin(&self) -> Option<Origin> {
        self.origin.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Brings [`Index::synced`] up to what the store says.
    pub(crate) async fn show_progress(&self) -> Result<Option<BlockRef>, StoreError> {
        let read = self.query(|reader| Ok((reader.followed(CURSOR)?, reader.followed(ANCHOR)?)));
        let (block, anchor) = read.await?;
        let from = anchor.map(|anchor| anchor.number + 1);
        self.synced.send_if_modified(|synced| {
            let changed = (synced.block, synced.from) != (block, from);
            (synced.block, synced.from) = (block, from);
            changed
        });
        Ok(block)
    }

    /// Says what the newest block is, or what hinders the follower.
    pub(crate) fn show_head(&self, head: Option<u64>, error: Option<String>) {
        self.synced.send_if_modified(|synced| {
            let next = Synced {
                block: synced.block,
                from: synced.from,
                head: head.or(synced.head),
                error,
            };
            let changed = next != *synced;
            *synced = next;
            changed
        });
    }
}

/// How much the index holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commitments.
    pub commitments: u64,
    /// Streams with at least one commitment.
    pub streams: u64,
}

/// One snapshot.
pub(crate) struct Reader<'a> {
    transaction: &'a ReadTransaction,
    /// While false, the index is as if it were empty.
    bound: bool,
    confirmed: bool,
}

impl Reader<'_> {
    /// A table, or `None` where nothing was ever written to it, or may be read from it yet.
    fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        definition: redb::TableDefinition<'_, K, V>,
    ) -> Result<Option<redb::ReadOnlyTable<K, V>>, StoreError> {
        if !self.bound {
            return Ok(None);
        }
        table(self.transaction, definition)
    }

    fn commitment(&self, batch_id: BatchId) -> Result<Option<Anchored>, StoreError> {
        let Some(table) = self.table(COMMITMENTS)? else {
            return Ok(None);
        };
        let Some(row) = table.get(&batch_id.to_b256().0)? else {
            return Ok(None);
        };
        let record = Record::decode(batch_id, row.value())?;
        let stream = self.stream_id(record.entry.log.stream_key)?;
        let reported = match self.table(REPORTED)? {
            Some(table) => table.get(&batch_id.to_b256().0)?.is_some(),
            None => false,
        };
        let followed = if self.confirmed { self.followed(CURSOR)? } else { None };
        Ok(Some(record.anchored(stream, reported, followed)))
    }

    /// A commitment that another table refers to.
    fn commitment_of_row(&self, batch_id: BatchId) -> Result<Anchored, StoreError> {
        self.commitment(batch_id)?
            .ok_or_else(|| StoreError::Damaged(format!("commitment {batch_id} is listed but not there")))
    }

    fn stream_id(&self, stream_key: B256) -> Result<Option<StreamId>, StoreError> {
        let Some(table) = self.table(STREAM_IDS)? else {
            return Ok(None);
        };
        Ok(table.get(&stream_key.0)?.map(|row| {
            let (tenant, store) = row.value();
            StreamId {
                tenant_id: B256::from(tenant).into(),
                store_id: B256::from(store).into(),
            }
        }))
    }

    fn summary(&self, stream_key: B256, head: BatchId, commitments: u64) -> Result<StreamSummary, StoreError> {
        let head = self.commitment_of_row(head)?;
        Ok(StreamSummary {
            stream_key,
            stream: head.stream,
            commitments,
            head,
        })
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        let commitments = self.table(COMMITMENTS)?.map_or(Ok(0), |table| table.len())?;
        let streams = self.table(STREAMS)?.map_or(Ok(0), |table| table.len())?;
        Ok(Counts { commitments, streams })
    }

    /// The block under [`CURSOR`] or [`ANCHOR`].
    pub(crate) fn followed(&self, which: &str) -> Result<Option<BlockRef>, StoreError> {
        let Some(table) = self.table(FOLLOWED)? else {
            return Ok(None);
        };
        Ok(table.get(which)?.map(|row| {
            let (number, block) = row.value();
            decode_block(number, block)
        }))
    }

    fn scope(&self) -> Result<Option<B256>, StoreError> {
        let Some(table) = self.table(SCOPES)? else {
            return Ok(None);
        };
        Ok(table.get(SCOPE)?.map(|scope| B256::from(scope.value())))
    }

    /// Recent blocks followed, from `highest` down, and the first block ever followed.
    pub(crate) fn checkpoints(&self, highest: u64) -> Result<(Vec<BlockRef>, Option<BlockRef>), StoreError> {
        let anchor = self.followed(ANCHOR)?;
        let Some(table) = self.table(BLOCKS)? else {
            return Ok((vec![], anchor));
        };
        let blocks = table.range(..=highest)?.rev().map(|row| {
            let (number, block) = row?;
            Ok(decode_block(number.value(), block.value()))
        });
        Ok((blocks.collect::<Result<_, StoreError>>()?, anchor))
    }
}
