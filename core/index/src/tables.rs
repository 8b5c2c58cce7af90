//! The index's tables. Every query is a look-up or a range scan in one of them.

use alloy_primitives::B256;
use redb::TableDefinition;
use set_types::BatchId;

use crate::anchored::{BLOCK_LEN, ChainPosition, RECORD_LEN, StreamPosition};

/// Batch id → [`crate::anchored::Record`].
pub(crate) const COMMITMENTS: TableDefinition<'_, &[u8; 32], &[u8; RECORD_LEN]> = TableDefinition::new("commitments");
/// Stream key, first sequence number, batch id: a stream's commitments in the order of their sequences.
pub(crate) const BY_STREAM: TableDefinition<'_, &[u8; STREAM_KEY_LEN], ()> = TableDefinition::new("by_stream");
/// Block number, log index → batch id: all commitments in the chain's order.
pub(crate) const BY_CHAIN: TableDefinition<'_, (u64, u64), &[u8; 32]> = TableDefinition::new("by_chain");
/// Stream key → newest batch id, number of commitments.
pub(crate) const STREAMS: TableDefinition<'_, &[u8; 32], (&[u8; 32], u64)> = TableDefinition::new("streams");
/// Stream key → tenant id, store id. The key is their hash, so no reorg makes an entry untrue.
pub(crate) const STREAM_IDS: TableDefinition<'_, &[u8; 32], (&[u8; 32], &[u8; 32])> =
    TableDefinition::new("stream_ids");
/// Block number → hash, timestamp: recent blocks that were followed, to find where a reorg began.
pub(crate) const BLOCKS: TableDefinition<'_, u64, &[u8; BLOCK_LEN]> = TableDefinition::new("blocks");
/// Batch ids whose anchor the source recorded.
pub(crate) const REPORTED: TableDefinition<'_, &[u8; 32], ()> = TableDefinition::new("reported");
/// Where the follower stands: [`CURSOR`] and [`ANCHOR`] → block.
pub(crate) const FOLLOWED: TableDefinition<'_, &str, (u64, &[u8; BLOCK_LEN])> = TableDefinition::new("followed");
/// What is indexed: [`SCOPE`] → hash of chain id and log filter.
pub(crate) const SCOPES: TableDefinition<'_, &str, &[u8; 32]> = TableDefinition::new("scopes");

/// The last block followed.
pub(crate) const CURSOR: &str = "cursor";
/// The block behind which nothing is missing. It tells a node that is behind from another chain.
pub(crate) const ANCHOR: &str = "anchor";
pub(crate) const SCOPE: &str = "scope";

const STREAM_KEY_LEN: usize = 32 + 8 + 32;

/// The key of [`BY_STREAM`].
pub(crate) fn stream_row(stream_key: &B256, position: &StreamPosition) -> [u8; STREAM_KEY_LEN] {
    let mut row = [0; STREAM_KEY_LEN];
    row[..32].copy_from_slice(stream_key.as_slice());
    row[32..40].copy_from_slice(&position.sequence_start.to_be_bytes());
    row[40..].copy_from_slice(position.batch_id.to_b256().as_slice());
    row
}

/// The batch id at the end of a [`BY_STREAM`] key.
pub(crate) fn stream_row_batch(row: &[u8; STREAM_KEY_LEN]) -> BatchId {
    B256::from_slice(&row[40..]).into()
}

/// The key of [`BY_CHAIN`].
pub(crate) const fn chain_row(position: ChainPosition) -> (u64, u64) {
    (position.block, position.log_index)
}
