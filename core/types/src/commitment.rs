//! The commitment itself, and what makes one well-formed.

use alloy_primitives::B256;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BatchId, StoreId, StreamHead, StreamId, TenantId};

/// A batch of commerce events, as a source lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitment {
    /// The batch's id, unique across all streams.
    pub batch_id: BatchId,
    /// The stream's tenant.
    pub tenant_id: TenantId,
    /// The stream's store.
    pub store_id: StoreId,
    /// Root of the batch's event tree (VES v1).
    pub events_root: B256,
    /// State root before the batch; zero for a stream's first.
    pub prev_state_root: B256,
    /// State root after the batch.
    pub new_state_root: B256,
    /// First sequence number, inclusive; sequences start at 1.
    pub sequence_start: u64,
    /// Last sequence number, inclusive.
    pub sequence_end: u64,
    /// Number of events: `sequence_end - sequence_start + 1`.
    pub event_count: u32,
    /// When the source made the commitment (RFC 3339).
    pub committed_at: Timestamp,
}

/// Why a commitment can never be anchored as it stands: the registry would refuse it on any head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformation {
    /// An id is zero.
    #[error("`{0}` is zero")]
    ZeroId(&'static str),
    /// The range runs backwards.
    #[error("`sequence_end` {end} is below `sequence_start` {start}")]
    ReversedRange {
        /// First sequence number.
        start: u64,
        /// Last sequence number.
        end: u64,
    },
    /// Sequence numbers start at 1.
    #[error("`sequence_start` is 0; sequences start at 1")]
    SequenceZero,
    /// The count is not the length of the range.
    #[error("`event_count` is {count}, but the range {start} to {end} holds {expected}")]
    EventCount {
        /// What the commitment says.
        count: u32,
        /// What its range holds.
        expected: u128,
        /// First sequence number.
        start: u64,
        /// Last sequence number.
        end: u64,
    },
    /// A tree of no events has no root.
    #[error("`events_root` is zero")]
    ZeroEventsRoot,
}

impl Commitment {
    /// The stream that the commitment belongs to.
    pub const fn stream(&self) -> StreamId {
        StreamId {
            tenant_id: self.tenant_id,
            store_id: self.store_id,
        }
    }

    /// The stream's head once this commitment is the newest.
    pub const fn head(&self) -> StreamHead {
        StreamHead {
            stream: self.stream(),
            batch_id: Some(self.batch_id),
            state_root: self.new_state_root,
            sequence: self.sequence_end,
        }
    }

    /// Whether this commitment continues `head`: the next sequence number and the same state root.
    ///
    /// A stream's first commitment may start anywhere, with a zero previous root (the sequencer's
    /// behaviour, and the registry's unless its owner demands a genesis).
    pub fn continues(&self, head: &StreamHead) -> bool {
        if !head.is_opened() {
            return self.prev_state_root.is_zero();
        }
        head.sequence.checked_add(1) == Some(self.sequence_start) && self.prev_state_root == head.state_root
    }

    /// Checks what needs nothing but the commitment: ids, range, count, root.
    ///
    /// # Errors
    /// The first [`Malformation`] found, in the order in which the registry checks.
    pub fn check_shape(&self) -> Result<(), Malformation> {
        let ids = [
            ("batch_id", self.batch_id.is_zero()),
            ("tenant_id", self.tenant_id.is_zero()),
            ("store_id", self.store_id.is_zero()),
        ];
        if let Some((name, _)) = ids.into_iter().find(|(_, zero)| *zero) {
            return Err(Malformation::ZeroId(name));
        }
        let (start, end) = (self.sequence_start, self.sequence_end);
        if end < start {
            return Err(Malformation::ReversedRange { start, end });
        }
        if start == 0 {
            return Err(Malformation::SequenceZero);
        }
        // u128: the range 0 to 2^64-1 holds 2^64 numbers, which no u64 can count.
        let expected = u128::from(end) - u128::from(start) + 1;
        if u128::from(self.event_count) != expected {
            return Err(Malformation::EventCount {
                count: self.event_count,
                expected,
                start,
                end,
            });
        }
        if self.events_root.is_zero() {
            return Err(Malformation::ZeroEventsRoot);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commitment() -> Commitment {
        serde_json::from_value(serde_json::json!({
            "batch_id": "09dc526a-e203-4f7d-8295-f1f492512707",
            "tenant_id": "f03eb0f6-90ee-46e2-a756-5ca9b225848a",
            "store_id": "fd5aa127-bf8d-4b16-9d8e-5be979cdfdc7",
            "events_root": format!("0x{}", "11".repeat(32)),
            "prev_state_root": format!("0x{}", "00".repeat(32)),
            "new_state_root": format!("0x{}", "22".repeat(32)),
            "sequence_start": 1,
            "sequence_end": 3,
            "event_count": 3,
            "committed_at": "2026-11-22T11:15:42.595622Z",
        }))
        .unwrap()
    }

    #[test]
    fn a_sound_commitment_passes() {
        commitment().check_shape().unwrap();
    }

    #[test]
    fn every_malformation_is_named() {
        type Break = fn(&mut Commitment);
        let cases: [(Break, &str); 6] = [
            (|c| c.tenant_id = B256::ZERO.into(), "`tenant_id` is zero"),
            (|c| c.sequence_end = 0, "below `sequence_start`"),
            (|c| c.event_count = 2, "holds 3"),
            (|c| c.events_root = B256::ZERO, "`events_root` is zero"),
            (|c| c.sequence_start = 0, "sequences start at 1"),
            (
                |c| (c.sequence_end, c.event_count) = (u64::MAX, 0),
                "holds 18446744073709551615",
            ),
        ];
        for (break_it, message) in cases {
            let mut broken = commitment();
            break_it(&mut broken);
            let error = broken.check_shape().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn continuity_is_sequence_and_root() {
        let first = commitment();
        assert!(first.continues(&StreamHead::unopened(first.stream())));
        let mut next = Commitment {
            sequence_start: 4,
            sequence_end: 4,
            event_count: 1,
            ..first.clone()
        };
        assert!(!next.continues(&first.head()), "the previous root differs");
        next.prev_state_root = first.new_state_root;
        assert!(next.continues(&first.head()));
        next.sequence_start = 5;
        assert!(!next.continues(&first.head()), "a gap");
    }
}
