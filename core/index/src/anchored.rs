//! What the index holds about one commitment and one stream, and how it is laid out on disk.

use alloy_primitives::{B256, Keccak256};
use serde::Serialize;
use set_chain::{BlockRef, ChainView, SettlementTag};
use set_types::{BatchId, CommittedLog, StreamId};

use crate::StoreError;

/// A commitment that the chain holds, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Anchored {
    /// The commitment.
    pub batch_id: BatchId,
    /// Its stream's key (see [`StreamId::key`]).
    pub stream_key: B256,
    /// Its stream, where a log or somebody has told the ids behind the key.
    pub stream: Option<StreamId>,
    /// Root of the batch's event tree.
    pub events_root: B256,
    /// State root after the batch.
    pub new_state_root: B256,
    /// First sequence number.
    pub sequence_start: u64,
    /// Last sequence number.
    pub sequence_end: u64,
    /// Number of events.
    pub event_count: u32,
    /// The transaction that committed it.
    pub tx_hash: B256,
    /// The L2 block of that transaction.
    pub block: BlockRef,
    /// Position of the log in that block.
    pub log_index: u64,
    /// Whether this index was told that the source recorded the anchor. `false` says nothing: an
    /// index rebuilt from the chain does not know.
    pub reported: bool,
    /// How far the index had followed the chain when this was read; `None` until it has seen, since the
    /// program was started, that what it holds is still in the chain.
    pub followed: Option<BlockRef>,
}

impl Anchored {
    /// How settled the commitment's block is, by the tags of `view`.
    ///
    /// Numbers compare only within one chain. The index and the view are of the same one if the block that
    /// the index followed last is one that the view names, or the head's parent; `None` while they are not,
    /// which is while a reorg or a backlog is being followed. What is final is in every chain.
    pub fn settlement(&self, view: &ChainView) -> Option<SettlementTag> {
        let followed = self.followed?;
        let covers = |block: Option<&BlockRef>| block.is_some_and(|block| block.number >= self.block.number);
        if covers(view.finalized.as_ref()) {
            return Some(SettlementTag::Finalized);
        }
        let head = view.latest.as_ref()?;
        let tags = [Some(head.block.hash), Some(head.parent_hash)].into_iter();
        let tags = tags.chain([view.safe, view.finalized].map(|block| block.map(|block| block.hash)));
        if !tags.flatten().any(|hash| hash == followed.hash) {
            return None;
        }
        if covers(view.safe.as_ref()) {
            return Some(SettlementTag::Safe);
        }
        Some(SettlementTag::Included)
    }

    /// Where the commitment stands in its stream's list.
    pub const fn position(&self) -> StreamPosition {
        StreamPosition {
            sequence_start: self.sequence_start,
            batch_id: self.batch_id,
        }
    }

    /// Where the commitment stands in the chain's order.
    pub const fn chain_position(&self) -> ChainPosition {
        ChainPosition {
            block: self.block.number,
            log_index: self.log_index,
        }
    }
}

/// A place in one stream's list. Ordered by sequence; the batch id only separates commitments that a
/// registry without strict mode lets start at the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamPosition {
    /// First sequence number of the commitment.
    pub sequence_start: u64,
    /// The commitment.
    pub batch_id: BatchId,
}

impl StreamPosition {
    /// The place behind every commitment that starts at `sequence` or before.
    pub fn after_sequence(sequence: u64) -> Self {
        Self {
            sequence_start: sequence,
            batch_id: B256::repeat_byte(0xff).into(),
        }
    }
}

/// A place in the chain's order of commitments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainPosition {
    /// Block number.
    pub block: u64,
    /// Position of the log in the block.
    pub log_index: u64,
}

/// A stream as the index sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StreamSummary {
    /// The stream's key (see [`StreamId::key`]).
    pub stream_key: B256,
    /// The ids behind the key, where they are known.
    pub stream: Option<StreamId>,
    /// Number of commitments.
    pub commitments: u64,
    /// The newest commitment, by the chain's order.
    pub head: Anchored,
}

/// A commitment to be entered: a decoded log and where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The log's content.
    pub log: CommittedLog,
    /// The transaction that emitted it.
    pub tx_hash: B256,
    /// The block of that transaction.
    pub block: BlockRef,
    /// Position of the log in that block.
    pub log_index: u64,
}

/// Bytes of a [`Record`] on disk.
pub(crate) const RECORD_LEN: usize = CONTENT_LEN + CHECKSUM_LEN;
const CONTENT_LEN: usize = 32 * 6 + 8 * 5 + 4;
const CHECKSUM_LEN: usize = 8;
/// Bytes of a block reference without its number.
pub(crate) const BLOCK_LEN: usize = 32 + 8;

/// The row behind an [`Anchored`]. Fixed width, big-endian, fields in the order in which
/// [`Record::encode`] writes them: a third of the size and a tenth of the time of a self-describing
/// format, at a million rows. A checksum closes it: a wrong hash must not be reported because a disk
/// changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) entry: Entry,
    /// The stream's newest commitment before this one: a roll-back restores heads by walking back.
    pub(crate) previous: Option<BatchId>,
}

impl Record {
    pub(crate) fn encode(&self) -> [u8; RECORD_LEN] {
        let Entry {
            log,
            tx_hash,
            block,
            log_index,
        } = &self.entry;
        let mut bytes = [0; RECORD_LEN];
        let mut writer = Writer {
            bytes: &mut bytes,
            at: 0,
        };
        writer.put(log.stream_key.as_slice());
        writer.put(log.events_root.as_slice());
        writer.put(log.new_state_root.as_slice());
        writer.put(tx_hash.as_slice());
        writer.put(block.hash.as_slice());
        // A batch id is never zero (the registry refuses it), so zero stands for none.
        writer.put(self.previous.unwrap_or_default().to_b256().as_slice());
        for number in [
            log.sequence_start,
            log.sequence_end,
            block.number,
            block.timestamp,
            *log_index,
        ] {
            writer.put(&number.to_be_bytes());
        }
        writer.put(&log.event_count.to_be_bytes());
        let sum = checksum(log.batch_id, &bytes);
        bytes[CONTENT_LEN..].copy_from_slice(&sum);
        bytes
    }

    /// # Errors
    /// [`StoreError::Damaged`] if it is not what was written under this id.
    pub(crate) fn decode(batch_id: BatchId, bytes: &[u8; RECORD_LEN]) -> Result<Self, StoreError> {
        if bytes[CONTENT_LEN..] != checksum(batch_id, bytes) {
            return Err(StoreError::Damaged(format!(
                "the row of commitment {batch_id} has changed"
            )));
        }
        let mut reader = Reader { bytes, at: 0 };
        let [stream_key, events_root, new_state_root, tx_hash, hash, previous] = std::array::from_fn(|_| reader.word());
        let [sequence_start, sequence_end, number, timestamp, log_index] =
            std::array::from_fn(|_| u64::from_be_bytes(reader.take()));
        let event_count = u32::from_be_bytes(reader.take());
        let log = CommittedLog {
            log: 0,
            batch_id,
            stream_key,
            events_root,
            new_state_root,
            sequence_start,
            sequence_end,
            event_count,
        };
        let block = BlockRef {
            number,
            hash,
            timestamp,
        };
        Ok(Self {
            entry: Entry {
                log,
                tx_hash,
                block,
                log_index,
            },
            previous: (!previous.is_zero()).then(|| previous.into()),
        })
    }

    pub(crate) fn anchored(&self, stream: Option<StreamId>, reported: bool, followed: Option<BlockRef>) -> Anchored {
        let Entry {
            log,
            tx_hash,
            block,
            log_index,
        } = self.entry;
        Anchored {
            batch_id: log.batch_id,
            stream_key: log.stream_key,
            stream,
            events_root: log.events_root,
            new_state_root: log.new_state_root,
            sequence_start: log.sequence_start,
            sequence_end: log.sequence_end,
            event_count: log.event_count,
            tx_hash,
            block,
            log_index,
            reported,
            followed,
        }
    }
}

/// Of a record's content and the id that it stands under.
fn checksum(batch_id: BatchId, bytes: &[u8; RECORD_LEN]) -> [u8; CHECKSUM_LEN] {
    let mut hasher = Keccak256::new();
    hasher.update(batch_id.to_b256());
    hasher.update(&bytes[..CONTENT_LEN]);
    let mut sum = [0; CHECKSUM_LEN];
    sum.copy_from_slice(&hasher.finalize()[..CHECKSUM_LEN]);
    sum
}

pub(crate) fn encode_block(block: &BlockRef) -> [u8; BLOCK_LEN] {
    let mut bytes = [0; BLOCK_LEN];
    let mut writer = Writer {
        bytes: &mut bytes,
        at: 0,
    };
    writer.put(block.hash.as_slice());
    writer.put(&block.timestamp.to_be_bytes());
    bytes
}

pub(crate) fn decode_block(number: u64, bytes: &[u8; BLOCK_LEN]) -> BlockRef {
    let mut reader = Reader { bytes, at: 0 };
    BlockRef {
        number,
        hash: reader.word(),
        timestamp: u64::from_be_bytes(reader.take()),
    }
}

struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, part: &[u8]) {
        self.bytes[self.at..self.at + part.len()].copy_from_slice(part);
        self.at += part.len();
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut part = [0; N];
        part.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        part
    }

    fn word(&mut self) -> B256 {
        B256::from(self.take::<32>())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use set_chain::Head;

    use super::*;

    const fn block(number: u64, fork: u8) -> BlockRef {
        BlockRef {
            number,
            hash: B256::repeat_byte(fork + number as u8),
            timestamp: 0,
        }
    }

    fn view(latest: BlockRef, parent: BlockRef, safe: BlockRef) -> ChainView {
        ChainView {
            latest: Some(Head {
                block: latest,
                parent_hash: parent.hash,
                gas_limit: 0,
                gas_used: 0,
                gas_target: 0,
                base_fee: 0,
                next_base_fee: 0,
                suggested_tip: 0,
                da_footprint: None,
                da_footprint_scalar: None,
            }),
            safe: Some(safe),
            finalized: Some(block(3, 0)),
            ..ChainView::unknown()
        }
    }

    fn anchored(at: u64, followed: Option<BlockRef>) -> Anchored {
        let record = Record {
            entry: Entry {
                log: CommittedLog {
                    log: 0,
                    batch_id: B256::repeat_byte(1).into(),
                    stream_key: B256::ZERO,
                    events_root: B256::ZERO,
                    new_state_root: B256::ZERO,
                    sequence_start: 1,
                    sequence_end: 1,
                    event_count: 1,
                },
                tx_hash: B256::ZERO,
                block: block(at, 0),
                log_index: 0,
            },
            previous: None,
        };
        record.anchored(None, false, followed)
    }

    #[test]
    fn tags_count_only_within_one_chain() {
        use SettlementTag::{Finalized, Included, Safe};
        let here = view(block(10, 0), block(9, 0), block(6, 0));
        for followed in [10, 9, 6] {
            let followed = Some(block(followed, 0));
            assert_eq!(anchored(7, followed).settlement(&here), Some(Included), "{followed:?}");
            assert_eq!(anchored(5, followed).settlement(&here), Some(Safe));
            assert_eq!(anchored(2, followed).settlement(&here), Some(Finalized));
        }
        // The view went over to another fork, whose safe block is above what the index took from the old one.
        let there = view(block(11, 100), block(10, 100), block(9, 100));
        let followed = Some(block(10, 0));
        assert_eq!(anchored(8, followed).settlement(&there), None);
        assert_eq!(anchored(3, followed).settlement(&there), Some(Finalized));
        // Nor while nobody has compared the index with the chain.
        assert_eq!(anchored(2, None).settlement(&here), None);
    }

    proptest! {
        #[test]
        fn records_and_blocks_round_trip_and_a_changed_byte_shows(
            words: [[u8; 32]; 6], numbers: [u64; 5], event_count: u32, at: usize, bit in 1u8..,
        ) {
            let [batch_id, stream_key, events_root, new_state_root, tx_hash, hash] = words.map(B256::from);
            let [sequence_start, sequence_end, number, timestamp, log_index] = numbers;
            let block = BlockRef { number, hash, timestamp };
            let log = CommittedLog {
                log: 0, batch_id: batch_id.into(), stream_key, events_root, new_state_root,
                sequence_start, sequence_end, event_count,
            };
            let entry = Entry { log, tx_hash, block, log_index };
            for previous in [None, Some(BatchId::from(B256::repeat_byte(9)))] {
                let record = Record { entry, previous };
                let mut bytes = record.encode();
                prop_assert_eq!(Record::decode(batch_id.into(), &bytes).unwrap(), record);
                bytes[at % RECORD_LEN] ^= bit;
                prop_assert!(Record::decode(batch_id.into(), &bytes).unwrap_err().is_damage());
            }
            prop_assert_eq!(decode_block(number, &encode_block(&block)), block);
        }
    }
}
