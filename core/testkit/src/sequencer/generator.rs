//! Load: batches at once, or as time passes.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use set_types::Commitment;
use tokio::time::MissedTickBehavior;

use super::{Defect, Shared, clock::Clock, ledger::Ledger};

/// Batches that are made at once, in streams of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preload {
    /// Streams to open.
    pub streams: usize,
    /// Batches of each.
    pub batches: usize,
    /// Events of each batch.
    pub events: u32,
    /// A flaw of every batch; with [`Defect::EventCount`], for instance, none can ever be anchored.
    pub defect: Option<Defect>,
    /// When the newest was committed; now by default. An older preload is listed before a younger one, and
    /// with the same seed and the same time everything about it is the same.
    pub newest: Option<Timestamp>,
}

impl Default for Preload {
    fn default() -> Self {
        Self {
            streams: 1,
            batches: 1,
            events: 1,
            defect: None,
            newest: None,
        }
    }
}

impl Preload {
    /// The streams' batches interleave, as they do in the real sequencer.
    pub(super) fn run(self, ledger: &mut Ledger) -> Vec<Commitment> {
        const STEP: Duration = Duration::from_micros(1431);
        let first = ledger.streams.len();
        for _ in 0..self.streams {
            ledger.open_stream(1);
        }
        let count = self.streams * self.batches;
        let steps = u32::try_from(count).unwrap_or(u32::MAX);
        let start = self.newest.unwrap_or_else(Timestamp::now) - STEP * steps;
        let mut clock = Clock::default();
        let mut made = Vec::with_capacity(count);
        for batch in 0..count {
            let time = clock.tick(start + STEP * u32::try_from(batch).unwrap_or(u32::MAX));
            let stream = first + batch % self.streams;
            made.push(ledger.commit(stream, self.events, time, self.defect).commitment.clone());
        }
        made
    }
}

/// Batches that are committed one after another, in streams taken at random.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Time between two batches.
    pub interval: Duration,
    /// Events of a batch.
    pub events: RangeInclusive<u32>,
    /// Ends after so many batches; never by default.
    pub batches: Option<u64>,
}

impl Load {
    pub(super) async fn run(self, shared: Arc<Shared>, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut interval = tokio::time::interval(self.interval.max(Duration::from_millis(1)));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut left = self.batches.unwrap_or(u64::MAX);
        while left > 0 {
            interval.tick().await;
            left -= 1;
            let stream = {
                let ledger = shared.ledger();
                let count = ledger.streams.len();
                if count == 0 {
                    continue;
                }
                ledger.streams[rng.random_range(0..count)].id
            };
            shared.commit(stream, rng.random_range(self.events.clone()), None);
        }
    }
}
