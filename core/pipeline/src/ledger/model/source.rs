//! The source: what it makes, lists and records.

use std::collections::HashSet;

use alloy_primitives::{B256, keccak256};
use set_types::{BatchId, Commitment, StreamId, Timestamp};

use super::World;

/// What is wrong with a commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Defect {
    /// The registry would refuse its shape.
    Shape,
    /// The contract refuses it for a reason of its own.
    Refused,
    /// It does not follow from the one before.
    Root,
    /// The source's proofs do not lead to its root.
    Proof,
    /// The submitter cannot express it.
    Excluded,
    /// The contract says that it is out of order, whatever the head is.
    Order,
}

impl World {
    /// The source makes a commitment in a stream.
    pub(in crate::ledger) fn make(&mut self, stream: u8, events: u32, defect: Option<Defect>) {
        let id = stream_id(stream);
        let made = self.made.entry(id).or_default();
        let (start, prev) = made.last().map_or((1, B256::ZERO), |(last, _)| {
            (last.sequence_end + 1, last.new_state_root)
        });
        let number = made.len() as u8;
        let total: i64 = self.made.values().map(|made| made.len() as i64).sum();
        let mut commitment = Commitment {
            batch_id: keccak256([0, stream, number]).into(),
            tenant_id: id.tenant_id,
            store_id: id.store_id,
            events_root: keccak256([1, stream, number]),
            prev_state_root: prev,
            new_state_root: keccak256([2, stream, number]),
            sequence_start: start,
            sequence_end: start + u64::from(events) - 1,
            event_count: events,
            committed_at: Timestamp::from_second(1_700_000_000 + total).unwrap(),
        };
        match defect {
            Some(Defect::Shape) => commitment.event_count += 1,
            Some(Defect::Root) if number > 0 => commitment.prev_state_root = B256::repeat_byte(0xbb),
            _ => {}
        }
        let defect = defect.filter(|defect| *defect != Defect::Root || number > 0);
        self.made.entry(id).or_default().push((commitment, defect));
    }

    /// Another sidecar reports what is anchored.
    pub(in crate::ledger) fn report_elsewhere(&mut self, stream: u8) {
        let id = stream_id(stream);
        let next = self
            .registry
            .records
            .values()
            .filter(|(commitment, _, at)| commitment.stream() == id && at.number <= self.safe)
            .find(|(commitment, _, _)| !self.recorded.contains_key(&commitment.batch_id))
            .map(|(commitment, tx, _)| (commitment.batch_id, *tx));
        if let Some((batch_id, tx)) = next {
            self.record(batch_id, tx);
        }
    }

    /// The source's list goes stale: what is reported stays listed.
    pub(in crate::ledger) fn set_stale(&mut self, stale: bool) {
        self.stale = stale;
        if !stale {
            self.hidden = self.recorded.keys().copied().collect();
        }
    }

    pub(in crate::ledger) fn record(&mut self, batch_id: BatchId, tx: B256) {
        self.recorded.insert(batch_id, tx);
        if !self.stale {
            self.hidden.insert(batch_id);
        }
    }

    pub(in crate::ledger) fn listed(&self) -> Vec<Commitment> {
        let mut listed: Vec<_> = self
            .made
            .values()
            .flatten()
            .map(|(commitment, _)| commitment)
            .filter(|commitment| !self.hidden.contains(&commitment.batch_id))
            .cloned()
            .collect();
        listed.sort_by_key(|commitment| commitment.committed_at);
        listed
    }

    pub(in crate::ledger) fn defects(&self, wanted: Defect) -> HashSet<BatchId> {
        self.made
            .values()
            .flatten()
            .filter(|(_, defect)| *defect == Some(wanted))
            .map(|(commitment, _)| commitment.batch_id)
            .collect()
    }

    /// The commitments made in a stream.
    pub(in crate::ledger) fn made(&self, stream: u8) -> Vec<BatchId> {
        let made = self.made.get(&stream_id(stream)).into_iter().flatten();
        made.map(|(commitment, _)| commitment.batch_id).collect()
    }

    /// Changes what the source lists under an id.
    pub(in crate::ledger) fn rewrite(&mut self, batch: BatchId, change: impl FnOnce(&mut Commitment)) {
        let made = self.made.values_mut().flatten();
        if let Some((commitment, _)) = made.into_iter().find(|(commitment, _)| commitment.batch_id == batch) {
            change(commitment);
        }
    }

    /// A commitment, as the source made it.
    pub(in crate::ledger) fn commitment(&self, batch: BatchId) -> Commitment {
        let mut made = self.made.values().flatten().map(|(commitment, _)| commitment);
        made.find(|commitment| commitment.batch_id == batch).unwrap().clone()
    }

    /// Puts right what was wrong with a commitment.
    pub(in crate::ledger) fn mend(&mut self, batch: BatchId, change: impl FnOnce(&mut Commitment)) {
        self.rewrite(batch, change);
        let made = self.made.values_mut().flatten();
        if let Some((_, defect)) = made.into_iter().find(|(commitment, _)| commitment.batch_id == batch) {
            *defect = None;
        }
    }

    /// The source stops answering polls, or answers again.
    pub(in crate::ledger) fn fail_polls(&mut self, fail: bool) {
        self.polls_fail = fail;
    }

    /// Whether the source knows that a commitment is anchored.
    pub(in crate::ledger) fn is_recorded(&self, batch: BatchId) -> bool {
        self.recorded.contains_key(&batch)
    }
}

pub(in crate::ledger) fn stream_id(stream: u8) -> StreamId {
    StreamId {
        tenant_id: B256::repeat_byte(stream + 1).into(),
        store_id: B256::repeat_byte(0x77).into(),
    }
}
