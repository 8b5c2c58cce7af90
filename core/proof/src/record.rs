//! What the registry holds of a batch, read from its words or from code (`contracts/LAYOUT.md`, version 1).

use std::ops::Range;

use alloy_primitives::{B256, U256};
use serde::{Deserialize, Serialize};
use set_types::BatchId;

use crate::{StorageSlot, json::quantity, slots};

/// The version of the layout, in the status word's lowest byte.
const LAYOUT_VERSION: u64 = 1;
/// Byte 0 of a data contract, STOP, and byte 1, the version of its format.
const DATA_CONTRACT: [u8; 2] = [0x00, 0x01];
/// Where a data contract holds its block's timestamp.
const TIMESTAMP: Range<usize> = 2..10;
/// Where its entries begin.
const ENTRIES: usize = 10;

/// A commitment's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Root of the tree over the batch's events.
    pub events_root: B256,
    /// Number of events.
    #[serde(with = "quantity")]
    pub event_count: u32,
    /// The first event's sequence number in its stream.
    #[serde(with = "quantity")]
    pub sequence_start: u64,
    /// The state that the batch continues.
    pub previous: Previous,
    /// State root of the stream after the batch.
    pub new_state_root: B256,
    /// When the registry wrote the record: its block's timestamp, in seconds.
    #[serde(with = "quantity")]
    pub timestamp: u64,
}

/// The state that a batch continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Previous {
    /// This state root; zero at a stream's genesis.
    StateRoot(B256),
    /// The new state root of this batch, which a proof of that batch shows.
    Batch(BatchId),
}

/// Why words and code hold no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the registry's layout has version {0}; version {LAYOUT_VERSION} is known")]
    Layout(u64),
    #[error("the registry holds no record of this batch")]
    Absent,
    #[error("the code is not a data contract's: it begins with {0:02x?}")]
    Code(Vec<u8>),
    #[error("the record is at byte {offset} of code that has {length} bytes")]
    Offset { offset: usize, length: usize },
    #[error("the record has no events")]
    Empty,
    #[error("{count} events from sequence number {start} on are more than there are numbers")]
    Range { start: u64, count: u32 },
}

/// The registry's words of one batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// The status word.
    pub(crate) status: U256,
    /// The record's first word: its events root, or zero.
    pub(crate) root: U256,
    /// The second: its new state root.
    pub(crate) state: U256,
    /// The third: everything else.
    pub(crate) content: U256,
    /// The previous state root that is written out.
    pub(crate) explicit_previous_root: U256,
}

impl Words {
    /// The words of a batch among these; zero where one is not among them.
    pub(crate) fn among(slots: &[StorageSlot], batch_id: BatchId) -> Self {
        let value = |key: B256| {
            let slot = slots.iter().find(|slot| slot.key == key);
            slot.map_or(U256::ZERO, |slot| slot.value)
        };
        let [root, state, content] = slots::record(batch_id);
        Self {
            status: value(slots::STATUS),
            root: value(root),
            state: value(state),
            content: value(content),
            explicit_previous_root: value(slots::explicit_previous_root(batch_id)),
        }
    }

    /// Whether these are words of a known layout, and of a record.
    pub(crate) fn check(&self) -> Result<(), RecordError> {
        let layout = bits(self.status, 0, 8);
        if layout != LAYOUT_VERSION {
            return Err(RecordError::Layout(layout));
        }
        if self.content.is_zero() {
            return Err(RecordError::Absent);
        }
        Ok(())
    }

    /// The record in these words, which hold one in slots.
    pub(crate) fn record(&self) -> Result<Record, RecordError> {
        let previous = match slots::predecessor(self.content) {
            Some(batch_id) => Previous::Batch(batch_id),
            None => Previous::StateRoot(self.explicit_previous_root.into()),
        };
        Record {
            events_root: self.root.into(),
            event_count: truncated(bits(self.content, 160, 32)),
            sequence_start: bits(self.content, 192, 64),
            previous,
            new_state_root: self.state.into(),
            timestamp: bits(self.content, 128, 32),
        }
        .checked()
    }

    /// The record that these words name a place in `code` for.
    pub(crate) fn record_in(&self, code: &[u8]) -> Result<Record, RecordError> {
        if !code.starts_with(&DATA_CONTRACT) {
            return Err(RecordError::Code(
                code.iter().copied().take(DATA_CONTRACT.len()).collect(),
            ));
        }
        let offset = truncated(bits(self.content, 160, 16)) as usize;
        let out_of_bounds = RecordError::Offset {
            offset,
            length: code.len(),
        };
        // The state root before an entry is a word behind the header, or the end of an entry there.
        let previous = offset.checked_sub(32).filter(|previous| *previous >= ENTRIES);
        let entry = code.get(offset..).and_then(<[u8]>::first_chunk::<68>);
        let (Some(previous), Some(entry)) = (previous, entry) else {
            return Err(out_of_bounds);
        };
        Record {
            events_root: B256::from_slice(&entry[..32]),
            event_count: truncated(number(&entry[32..36])),
            sequence_start: bits(self.content, 192, 64),
            previous: Previous::StateRoot(B256::from_slice(&code[previous..offset])),
            new_state_root: B256::from_slice(&entry[36..]),
            timestamp: number(&code[TIMESTAMP]),
        }
        .checked()
    }
}

impl Record {
    /// The last event's sequence number.
    pub const fn sequence_end(&self) -> u64 {
        // A record that was proven has at least one event, and a last number.
        self.sequence_start
            .wrapping_add(self.event_count as u64)
            .wrapping_sub(1)
    }

    fn checked(self) -> Result<Self, RecordError> {
        if self.event_count == 0 || self.events_root.is_zero() {
            return Err(RecordError::Empty);
        }
        if self
            .sequence_start
            .checked_add(u64::from(self.event_count) - 1)
            .is_none()
        {
            return Err(RecordError::Range {
                start: self.sequence_start,
                count: self.event_count,
            });
        }
        Ok(self)
    }
}

/// The `size` bits of `word` from bit `low` on; at most 64.
fn bits(word: U256, low: usize, size: usize) -> u64 {
    let shifted: U256 = word >> low;
    (shifted & (U256::MAX >> (256 - size))).to()
}

/// Bytes as a number, big-endian; at most eight.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A number that was read from at most 32 bits.
const fn truncated(number: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "it was read from at most 32 bits")]
    let truncated = number as u32;
    truncated
}
