//! What the sequencer knows: its streams, their batches, and what was reported of them.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Serialize;
use set_types::{BatchId, Commitment, StreamId};
use set_ves::{EventTree, SignedEvent, state_root};

use super::{
    Defect,
    batch::{Anchor, Batch, rfc3339},
    clock::Clock,
    commerce::{Store, uuid},
};

/// A report that arrived, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The batch.
    pub batch_id: BatchId,
    /// The transaction that is said to have committed it.
    pub chain_tx_hash: B256,
    /// Chain id of the L2.
    pub chain_id: u64,
    /// The L2 block of the transaction.
    pub block_number: Option<u64>,
    /// The batch's share of the transaction's gas.
    pub gas_used: Option<u64>,
    /// The HTTP status that was answered, or would have been.
    pub status: u16,
    /// Whether it was written down now, by the first report of a batch or over another hash.
    pub recorded: bool,
}

/// What becomes of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Anchored,
    AlreadyAnchored,
    Conflict,
    Unknown,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    store: Store,
    state_root: B256,
    pub(super) next_sequence: u64,
    pub(super) batches: Vec<usize>,
}

impl Stream {
    pub(super) fn public_key(&self) -> B256 {
        self.store.public_key()
    }
}

#[derive(Debug)]
pub(super) struct Ledger {
    rng: StdRng,
    clock: Clock,
    pub(super) streams: Vec<Stream>,
    stream_by_id: HashMap<StreamId, usize>,
    pub(super) batches: Vec<Batch>,
    by_id: HashMap<BatchId, Vec<usize>>,
    /// What `pending` shows, in its order; what was reported leaves it once no stale reader can see it.
    listed: BTreeSet<(Timestamp, usize)>,
    pub(super) reports: Vec<Report>,
    /// How many batches were reported with success.
    pub(super) anchored: usize,
}

impl Ledger {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            clock: Clock::default(),
            streams: vec![],
            stream_by_id: HashMap::new(),
            batches: vec![],
            by_id: HashMap::new(),
            listed: BTreeSet::new(),
            reports: vec![],
            anchored: 0,
        }
    }

    /// Opens a stream whose first batch will start at `first_sequence`.
    pub(super) fn open_stream(&mut self, first_sequence: u64) -> StreamId {
        let store = Store::new(&mut self.rng);
        let id = StreamId {
            tenant_id: store.tenant.into(),
            store_id: store.store.into(),
        };
        self.stream_by_id.insert(id, self.streams.len());
        self.streams.push(Stream {
            id,
            store,
            state_root: B256::ZERO,
            next_sequence: first_sequence,
            batches: vec![],
        });
        id
    }

    pub(super) fn stream(&self, id: &StreamId) -> Option<usize> {
        self.stream_by_id.get(id).copied()
    }

    /// The time of a batch that is committed now.
    pub(super) fn now(&mut self) -> Timestamp {
        self.clock.tick(Timestamp::now())
    }

    /// Commits the stream's next `events` events. At least one event makes a batch.
    pub(super) fn commit(
        &mut self,
        stream: usize,
        events: u32,
        mut committed_at: Timestamp,
        defect: Option<Defect>,
    ) -> &Batch {
        let created_at = rfc3339(committed_at);
        let entry = &mut self.streams[stream];
        if defect == Some(Defect::Gap) {
            entry.next_sequence += 3;
        }
        let events = events.max(1);
        let start = entry.next_sequence;
        let end = start + u64::from(events) - 1;
        let leaves: Vec<B256> = (start..=end)
            .map(|sequence| entry.store.event(sequence, &created_at).leaf(sequence))
            .collect();
        let events_root = EventTree::new(leaves.clone()).map_or(B256::ZERO, |tree| tree.root());
        if defect == Some(Defect::Backdated) {
            committed_at -= Duration::from_secs(3600);
        }
        let mut commitment = Commitment {
            batch_id: uuid(&mut self.rng).into(),
            tenant_id: entry.id.tenant_id,
            store_id: entry.id.store_id,
            events_root,
            prev_state_root: entry.state_root,
            new_state_root: B256::ZERO,
            sequence_start: start,
            sequence_end: end,
            event_count: events,
            committed_at,
        };
        match defect {
            Some(Defect::EventsRoot) => commitment.events_root = self.rng.random::<[u8; 32]>().into(),
            Some(Defect::PrevStateRoot) => commitment.prev_state_root = self.rng.random::<[u8; 32]>().into(),
            Some(Defect::EventCount) => commitment.event_count += 1,
            Some(Defect::ZeroEventsRoot) => commitment.events_root = B256::ZERO,
            Some(Defect::EndlessRange) => {
                (commitment.sequence_start, commitment.sequence_end) = (0, u64::MAX);
                commitment.event_count = 0;
            }
            Some(Defect::DuplicateId) => {
                if let Some(first) = self.batches.first() {
                    commitment.batch_id = first.commitment.batch_id;
                }
            }
            Some(Defect::StateRoot | Defect::Gap | Defect::Backdated) | None => {}
        }
        commitment.new_state_root = match defect {
            Some(Defect::StateRoot) => self.rng.random::<[u8; 32]>().into(),
            _ => state_root(&commitment).unwrap_or_default(),
        };
        entry.state_root = commitment.new_state_root;
        entry.next_sequence = end + 1;
        let position = self.batches.len();
        entry.batches.push(position);
        self.listed.insert((committed_at, position));
        self.by_id.entry(commitment.batch_id).or_default().push(position);
        self.batches.push(Batch {
            commitment,
            stream,
            first_sequence: start,
            created_at,
            leaves,
            anchor: None,
        });
        &self.batches[position]
    }

    /// The batch with this id; the first of several.
    pub(super) fn batch(&self, id: BatchId) -> Option<&Batch> {
        let position = *self.by_id.get(&id)?.first()?;
        Some(&self.batches[position])
    }

    /// The signed event of a batch.
    pub(super) fn event(&self, id: BatchId, sequence: u64) -> Option<SignedEvent> {
        let batch = self.batch(id)?;
        let index = sequence.checked_sub(batch.first_sequence)?;
        let inside = usize::try_from(index).is_ok_and(|index| index < batch.leaves.len());
        inside.then(|| self.streams[batch.stream].store.event(sequence, &batch.created_at))
    }

    /// What `pending` shows to a reader who is `stale` behind, oldest first.
    pub(super) fn pending(&mut self, limit: usize, stale: Duration, holes: bool) -> Vec<&Batch> {
        let batches = &self.batches;
        self.listed
            .retain(|(_, position)| batches[*position].visible_anchor(stale).is_none());
        let hidden = if holes {
            self.every_second(stale)
        } else {
            BTreeSet::new()
        };
        self.listed
            .iter()
            .map(|(_, position)| *position)
            .filter(|position| !hidden.contains(position))
            .take(limit)
            .map(|position| &self.batches[position])
            .collect()
    }

    fn every_second(&self, stale: Duration) -> BTreeSet<usize> {
        let second = |stream| {
            self.stream_pending(stream, stale)
                .skip(1)
                .step_by(2)
                .map(|(position, _)| position)
        };
        (0..self.streams.len()).flat_map(second).collect()
    }

    /// A stream's batches that nobody has reported, as a reader sees them who is `stale` behind, in order.
    pub(super) fn stream_pending(&self, stream: usize, stale: Duration) -> impl Iterator<Item = (usize, &Batch)> {
        self.streams[stream]
            .batches
            .iter()
            .map(|position| (*position, &self.batches[*position]))
            .filter(move |(_, batch)| batch.visible_anchor(stale).is_none())
    }

    /// What a report comes to; with `overwrite`, another hash than the recorded one replaces it.
    pub(super) fn outcome(&self, report: &Report, overwrite: bool) -> Outcome {
        match self.batch(report.batch_id).map(|batch| batch.anchor) {
            None => Outcome::Unknown,
            Some(None) => Outcome::Anchored,
            Some(Some(anchor)) if anchor.tx_hash == report.chain_tx_hash => Outcome::AlreadyAnchored,
            Some(Some(_)) if overwrite => Outcome::Anchored,
            Some(Some(_)) => Outcome::Conflict,
        }
    }

    /// Writes a report down: in the log always, with the batch if its `outcome` says so.
    pub(super) fn report(&mut self, mut report: Report, outcome: Outcome) {
        if outcome == Outcome::Anchored {
            let anchor = Anchor {
                tx_hash: report.chain_tx_hash,
                chain_id: report.chain_id,
                block_number: report.block_number,
                gas_used: report.gas_used,
                anchored_at: Timestamp::now(),
                recorded: Instant::now(),
            };
            for position in self.by_id.get(&report.batch_id).into_iter().flatten() {
                let first = self.batches[*position].anchor.replace(anchor).is_none();
                self.anchored += usize::from(first);
            }
            report.recorded = true;
        }
        self.reports.push(report);
    }
}
