//! Commitments that the chain holds and that only wait, kept small: where finality is a quarter of an hour
//! behind, there are hundreds of thousands of them.
//!
//! [`Ledger::entry_mut`] takes a commitment out of its rest; whatever looks at single commitments need not
//! know of it. Once a stream was walked through, what may rest is laid to rest again.

use std::{sync::Arc, time::Instant};

use alloy_primitives::B256;
use set_chain::SettlementTag;
use set_types::{BatchId, Commitment, Stage, StreamId, Timestamp};

use super::{
    Ledger,
    entry::{Anchor, Entry, Lookup, OnChain, Place, Proofs, ReportStep},
    snapshot::settled_stage,
    stream::Stream,
};
use crate::clock::Now;

/// A commitment at rest: in a block that is not settled enough to report, or reported and remembered.
#[derive(Debug)]
pub(super) struct Resting {
    pub(super) batch_id: BatchId,
    events_root: B256,
    prev_state_root: B256,
    new_state_root: B256,
    sequence_end: u64,
    event_count: u32,
    committed_at: Timestamp,
    /// Shared by all that one call committed.
    pub(super) anchor: Arc<Anchor>,
    pub(super) since: Timestamp,
    /// When the chain last said that it is there, or the source that it recorded the report.
    seen: Instant,
    pub(super) last_seen: u64,
    pub(super) settled: Option<SettlementTag>,
    reported: bool,
    proven: bool,
}

impl Resting {
    /// Takes what a resting commitment needs, where it is one that may rest.
    fn of(entry: &Entry, anchor: impl FnOnce(&Anchor) -> Arc<Anchor>) -> Option<Self> {
        let undisturbed = entry.disputed.is_none()
            && entry.fault.is_none()
            && entry.lookup == Lookup::Unasked
            && entry.strikes == 0
            && !entry.refused
            && !entry.unplannable
            && entry.pause.is_clear()
            && entry.claimed == entry.recorded
            && entry.proofs != Proofs::Running;
        let (at, seen, settled, reported) = match &entry.place {
            Place::OnChain(on_chain) if on_chain.is_undisturbed() && entry.claimed.is_none() => {
                (on_chain.anchor?, on_chain.seen, on_chain.settled, false)
            }
            Place::Reported { anchor, at } if entry.claimed == Some(anchor.tx_hash) => (*anchor, *at, None, true),
            _ => return None,
        };
        let commitment = &entry.commitment;
        undisturbed.then(|| Self {
            batch_id: commitment.batch_id,
            events_root: commitment.events_root,
            prev_state_root: commitment.prev_state_root,
            new_state_root: commitment.new_state_root,
            sequence_end: commitment.sequence_end,
            event_count: commitment.event_count,
            committed_at: commitment.committed_at,
            anchor: anchor(&at),
            since: entry.since,
            seen,
            last_seen: entry.last_seen,
            settled,
            reported,
            proven: entry.proofs == Proofs::Fine,
        })
    }

    /// The commitment itself.
    pub(super) fn commitment(&self, stream: StreamId, sequence_start: u64) -> Commitment {
        Commitment {
            batch_id: self.batch_id,
            tenant_id: stream.tenant_id,
            store_id: stream.store_id,
            events_root: self.events_root,
            prev_state_root: self.prev_state_root,
            new_state_root: self.new_state_root,
            sequence_start,
            sequence_end: self.sequence_end,
            event_count: self.event_count,
            committed_at: self.committed_at,
        }
    }

    /// The same, as it was before its rest.
    pub(super) fn entry(&self, stream: StreamId, sequence_start: u64) -> Entry {
        let commitment = Arc::new(self.commitment(stream, sequence_start));
        let mut entry = Entry::at_rest(commitment, self.last_seen, self.since);
        if self.proven {
            entry.proofs = Proofs::Fine;
        }
        let anchor = *self.anchor;
        if self.reported {
            entry.claimed = Some(anchor.tx_hash);
            entry.recorded = Some(anchor.tx_hash);
            entry.place = Place::Reported { anchor, at: self.seen };
        } else {
            entry.place = Place::OnChain(OnChain {
                anchor: Some(anchor),
                seen: self.seen,
                settled: self.settled,
                report: ReportStep::NotYet,
                backoff: Default::default(),
                reason: None,
            });
        }
        entry
    }

    /// Whether the source recorded it, and when.
    pub(super) fn reported(&self) -> Option<Instant> {
        self.reported.then_some(self.seen)
    }

    /// When it was made.
    pub(super) const fn committed_at(&self) -> Timestamp {
        self.committed_at
    }

    /// Last sequence number of its range.
    pub(super) const fn sequence_end(&self) -> u64 {
        self.sequence_end
    }

    /// Where it stands.
    pub(super) const fn stage(&self) -> Stage {
        if self.reported {
            Stage::Reported
        } else {
            settled_stage(self.settled)
        }
    }
}

impl Stream {
    /// A commitment at rest.
    pub(super) fn resting(&self, sequence_start: u64, batch_id: BatchId) -> Option<&Resting> {
        let resting = self.resting.get(&sequence_start)?;
        (resting.batch_id == batch_id).then_some(resting)
    }
}

impl Ledger {
    /// A commitment at rest.
    pub(super) fn resting(&self, batch_id: BatchId) -> Option<&Resting> {
        let (id, position) = self.place(batch_id)?;
        self.streams.get(&id)?.resting(position.sequence_start, batch_id)
    }

    /// The same, to be changed without waking it.
    pub(super) fn resting_mut(&mut self, batch_id: BatchId) -> Option<&mut Resting> {
        let (id, position) = self.place(batch_id)?;
        let resting = self.streams.get_mut(&id)?.resting.get_mut(&position.sequence_start)?;
        (resting.batch_id == batch_id).then_some(&mut **resting)
    }

    /// Takes a commitment out of its rest.
    pub(super) fn rouse(&mut self, batch_id: BatchId) {
        let Some((id, position)) = self.place(batch_id) else {
            return;
        };
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.resting(position.sequence_start, batch_id).is_none() {
            return;
        }
        if let Some(resting) = stream.resting.remove(&position.sequence_start) {
            stream.tally.add(resting.stage());
            stream
                .entries
                .insert(position, resting.entry(id, position.sequence_start));
            self.resting -= 1;
            self.touched.push(batch_id);
            self.dirty.insert(id);
        }
    }

    /// Lays to rest what was touched and only waits from now on.
    pub(super) fn lay_to_rest(&mut self) {
        for batch_id in std::mem::take(&mut self.touched) {
            let Some((id, position)) = self.place(batch_id) else {
                continue;
            };
            let Some(stream) = self.streams.get_mut(&id) else {
                continue;
            };
            let Some(entry) = stream.entries.get(&position) else {
                continue;
            };
            let calls = &self.calls;
            let shared = |anchor: &Anchor| {
                let of_call = anchor.call.and_then(|key| calls.get(&key)?.anchor.clone());
                let of_call = of_call.filter(|shared| **shared == *anchor);
                of_call.unwrap_or_else(|| Arc::new(*anchor))
            };
            // A batch that starts where another one rests stays awake.
            if stream.resting.contains_key(&position.sequence_start) {
                continue;
            }
            if let Some(resting) = Resting::of(entry, shared) {
                stream.tally.take(resting.stage());
                stream.remove_entry(&position);
                stream.resting.insert(position.sequence_start, Box::new(resting));
                self.resting += 1;
            }
        }
    }

    /// Notes how settled a resting commitment is, where that calls for no report yet; says whether it did.
    pub(super) fn settles_at_rest(&mut self, batch_id: BatchId, tag: SettlementTag, now: Now) -> bool {
        let report_at = self.config.report_at;
        let Some(resting) = self.resting_mut(batch_id) else {
            return false;
        };
        if resting.reported {
            return true;
        }
        if tag >= report_at {
            return false;
        }
        let before = resting.stage();
        if resting.settled.is_none_or(|known| known < tag) {
            resting.settled = Some(tag);
            resting.since = now.wall;
        }
        let after = resting.stage();
        self.tally.take(before);
        self.tally.add(after);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_waits_is_small() {
        let (resting, awake) = (size_of::<Resting>(), size_of::<Entry>() + size_of::<Commitment>());
        assert!(
            resting <= 224 && 3 * resting < awake,
            "{resting} bytes instead of {awake}"
        );
    }
}
