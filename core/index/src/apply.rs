//! Writing: one transaction for each step of the follower.

use alloy_primitives::B256;
use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};
use set_chain::BlockRef;
use set_types::{BatchId, StreamId};
use tracing::warn;

use crate::{
    Entry, Index, StoreError,
    anchored::{Record, StreamPosition, encode_block},
    tables::{
        ANCHOR, BLOCKS, BY_CHAIN, BY_STREAM, COMMITMENTS, CURSOR, FOLLOWED, REPORTED, SCOPE, SCOPES, STREAM_IDS,
        STREAMS, stream_row,
    },
};

/// Blocks whose hashes are kept. Reorgs of an L2 that reach deeper mean another chain, and a rebuild.
const CHECKPOINTS: u64 = 1024;

/// A range of blocks as it was read from the chain.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// Commitments in it, in the chain's order.
    pub entries: Vec<Entry>,
    /// Streams whose ids it tells.
    pub opened: Vec<StreamId>,
}

impl Index {
    /// Enters what the blocks up to `to` hold and moves the cursor there, in one transaction.
    ///
    /// A batch id that is there already stays as it is: a registry commits an id once, so a second log
    /// is a decoder's mistake.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written; then nothing of the step is.
    pub async fn apply(&self, to: BlockRef, step: Step) -> Result<(), StoreError> {
        self.store
            .write(move |transaction| enter(transaction, to, &step))
            .await?;
        self.show_progress().await?;
        Ok(())
    }

    /// Takes back everything above `to`, which was followed before, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written; then nothing is taken back.
    pub async fn roll_back(&self, to: BlockRef) -> Result<u64, StoreError> {
        let removed = self.store.write(move |transaction| take_back(transaction, to)).await?;
        self.show_progress().await?;
        Ok(removed)
    }

    /// Goes on from `to`, though what lies between the cursor and it was not read: no node has it any more.
    /// What is held from before stays.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written; then the cursor stays.
    pub async fn skip(&self, to: BlockRef) -> Result<(), StoreError> {
        self.store.write(move |transaction| leave_out(transaction, to)).await?;
        self.show_progress().await?;
        Ok(())
    }

    /// Forgets the chain, to follow it anew from its first block. What was reported stays known.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written.
    pub async fn clear(&self) -> Result<(), StoreError> {
        self.store.write(forget).await?;
        self.show_progress().await?;
        Ok(())
    }

    /// Makes sure that the index is one of `scope` (a hash of chain id and log filter): an index of
    /// something else is cleared. Says whether it was.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written.
    pub(crate) async fn bind(&self, scope: B256) -> Result<bool, StoreError> {
        let known = self.scope().await?;
        if known != Some(scope) {
            self.store
                .write(move |transaction| {
                    if known.is_some() {
                        forget(transaction)?;
                    }
                    transaction.open_table(SCOPES)?.insert(SCOPE, &scope.0)?;
                    Ok(())
                })
                .await?;
        }
        self.set_bound();
        self.show_progress().await?;
        Ok(known.is_some_and(|known| known != scope))
    }

    /// Records that the source knows these anchors. Kept through reorgs, since a report cannot be undone;
    /// lost with the index, where nobody needs it.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written.
    pub async fn mark_reported(&self, batches: Vec<BatchId>) -> Result<(), StoreError> {
        self.store
            .write(move |transaction| {
                let mut reported = transaction.open_table(REPORTED)?;
                for batch_id in batches {
                    reported.insert(&batch_id.to_b256().0, ())?;
                }
                Ok(())
            })
            .await
    }
}

fn enter(transaction: &WriteTransaction, to: BlockRef, step: &Step) -> Result<(), StoreError> {
    let mut ids = transaction.open_table(STREAM_IDS)?;
    for stream in &step.opened {
        let (tenant, store) = (stream.tenant_id.to_b256(), stream.store_id.to_b256());
        ids.insert(&stream.key().0, (&tenant.0, &store.0))?;
    }
    let mut commitments = transaction.open_table(COMMITMENTS)?;
    let mut by_stream = transaction.open_table(BY_STREAM)?;
    let mut by_chain = transaction.open_table(BY_CHAIN)?;
    let mut streams = transaction.open_table(STREAMS)?;
    let mut blocks = transaction.open_table(BLOCKS)?;
    for entry in &step.entries {
        let log = &entry.log;
        let id = log.batch_id.to_b256().0;
        if commitments.get(&id)?.is_some() {
            warn!(batch_id = %log.batch_id, block = entry.block.number, "a second log names this batch; it is ignored");
            continue;
        }
        let before = streams.get(&log.stream_key.0)?.map(|row| {
            let (head, count) = row.value();
            (BatchId::from(B256::from(head)), count)
        });
        let previous = before.map(|(head, _)| head);
        commitments.insert(
            &id,
            &Record {
                entry: *entry,
                previous,
            }
            .encode(),
        )?;
        let position = StreamPosition {
            sequence_start: log.sequence_start,
            batch_id: log.batch_id,
        };
        by_stream.insert(&stream_row(&log.stream_key, &position), ())?;
        by_chain.insert((entry.block.number, entry.log_index), &id)?;
        streams.insert(&log.stream_key.0, (&id, before.map_or(0, |(_, count)| count) + 1))?;
        blocks.insert(entry.block.number, &encode_block(&entry.block))?;
    }
    blocks.insert(to.number, &encode_block(&to))?;
    while blocks.len()? > CHECKPOINTS {
        blocks.pop_first()?;
    }
    set_cursor(transaction, to)
}

fn set_cursor(transaction: &WriteTransaction, to: BlockRef) -> Result<(), StoreError> {
    let mut followed = transaction.open_table(FOLLOWED)?;
    followed.insert(CURSOR, (to.number, &encode_block(&to)))?;
    if followed.get(ANCHOR)?.is_none() {
        followed.insert(ANCHOR, (to.number, &encode_block(&to)))?;
    }
    Ok(())
}

fn leave_out(transaction: &WriteTransaction, to: BlockRef) -> Result<(), StoreError> {
    // Blocks below the gap say nothing about reorgs any more.
    transaction.delete_table(BLOCKS)?;
    transaction.open_table(BLOCKS)?.insert(to.number, &encode_block(&to))?;
    transaction.open_table(FOLLOWED)?.remove(ANCHOR)?;
    set_cursor(transaction, to)
}

fn take_back(transaction: &WriteTransaction, to: BlockRef) -> Result<u64, StoreError> {
    let mut commitments = transaction.open_table(COMMITMENTS)?;
    let mut by_stream = transaction.open_table(BY_STREAM)?;
    let mut by_chain = transaction.open_table(BY_CHAIN)?;
    let mut streams = transaction.open_table(STREAMS)?;
    let mut blocks = transaction.open_table(BLOCKS)?;
    let mut removed = 0;
    loop {
        let last = by_chain.last()?.map(|(position, id)| (position.value(), *id.value()));
        let Some((position, id)) = last.filter(|((block, _), _)| *block > to.number) else {
            break;
        };
        by_chain.remove(position)?;
        let batch_id = BatchId::from(B256::from(id));
        let record = commitments
            .remove(&id)?
            .map(|row| Record::decode(batch_id, row.value()))
            .transpose()?
            .ok_or_else(|| StoreError::Damaged(format!("commitment {batch_id} is listed but not there")))?;
        let log = &record.entry.log;
        by_stream.remove(&stream_row(
            &log.stream_key,
            &StreamPosition {
                sequence_start: log.sequence_start,
                batch_id,
            },
        ))?;
        let count = streams.get(&log.stream_key.0)?.map_or(0, |row| row.value().1);
        match record.previous {
            Some(previous) => {
                streams.insert(&log.stream_key.0, (&previous.to_b256().0, count.saturating_sub(1)))?;
            }
            None => {
                streams.remove(&log.stream_key.0)?;
            }
        }
        removed += 1;
    }
    while blocks.last()?.is_some_and(|(number, _)| number.value() > to.number) {
        blocks.pop_last()?;
    }
    set_cursor(transaction, to)?;
    Ok(removed)
}

fn forget(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.delete_table(COMMITMENTS)?;
    transaction.delete_table(BY_STREAM)?;
    transaction.delete_table(BY_CHAIN)?;
    transaction.delete_table(STREAMS)?;
    transaction.delete_table(BLOCKS)?;
    transaction.delete_table(FOLLOWED)?;
    Ok(())
}
