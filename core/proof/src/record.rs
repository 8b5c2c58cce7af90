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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A data contract with two entries, of which the second continues the first, and a word before them.
    fn code() -> Vec<u8> {
        let entry = |byte: u8, count: u32| [&[byte; 32][..], &count.to_be_bytes(), &[byte + 1; 32]].concat();
        [
            &DATA_CONTRACT[..],
            &77_u64.to_be_bytes(),
            &[9; 32],
            &entry(1, 3),
            &entry(3, 4),
        ]
        .concat()
    }

    fn words(offset: u16, start: u64) -> Words {
        let content = U256::from(start) << 192 | U256::from(offset) << 160 | U256::from(1);
        Words {
            status: U256::from(LAYOUT_VERSION),
            root: U256::ZERO,
            state: U256::ZERO,
            content,
            explicit_previous_root: U256::ZERO,
        }
    }

    #[test]
    fn an_entry_is_read_with_the_root_before_it() {
        let first = words(42, 5).record_in(&code()).unwrap();
        assert_eq!((first.events_root, first.event_count), (B256::repeat_byte(1), 3));
        assert_eq!(first.previous, Previous::StateRoot(B256::repeat_byte(9)));
        assert_eq!(
            (first.sequence_start, first.sequence_end(), first.timestamp),
            (5, 7, 77)
        );
        let second = words(110, 8).record_in(&code()).unwrap();
        assert_eq!(second.previous, Previous::StateRoot(first.new_state_root));
        assert_eq!((second.new_state_root, second.event_count), (B256::repeat_byte(4), 4));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let code = code();
        for offset in [0, 31, 41, 111, u16::MAX] {
            let refused = words(offset, 1).record_in(&code).unwrap_err();
            assert!(matches!(refused, RecordError::Offset { .. }), "{offset}: {refused}");
        }
        let mut runnable = code.clone();
        runnable[0] = 0x60;
        assert!(matches!(words(42, 1).record_in(&runnable), Err(RecordError::Code(_))));
        let mut empty = code.clone();
        empty[74..78].fill(0);
        assert_eq!(words(42, 1).record_in(&empty), Err(RecordError::Empty));
        let too_far = RecordError::Range {
            start: u64::MAX - 1,
            count: 3,
        };
        assert_eq!(words(42, u64::MAX - 1).record_in(&code), Err(too_far));
        words(42, u64::MAX - 2).record_in(&code).unwrap();

        assert_eq!(
            Words {
                status: U256::from(2),
                ..words(42, 1)
            }
            .check(),
            Err(RecordError::Layout(2))
        );
        assert_eq!(
            Words {
                content: U256::ZERO,
                ..words(42, 1)
            }
            .check(),
            Err(RecordError::Absent)
        );
    }

    proptest! {
        #[test]
        fn no_word_and_no_code_makes_it_panic(content: [u8; 32], root: [u8; 32], code in prop::collection::vec(any::<u8>(), 0..300)) {
            let content = U256::from_be_bytes(content);
            let words = Words { root: U256::from_be_bytes(root), content, ..words(0, 0) };
            let code = [&DATA_CONTRACT[..], &code].concat();
            for record in [words.record(), words.record_in(&code)].into_iter().flatten() {
                prop_assert!(record.sequence_end() >= record.sequence_start);
            }
        }
    }
}
