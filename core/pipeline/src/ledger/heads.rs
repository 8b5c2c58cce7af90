//! Reading the chain: streams' heads, and what it holds under an id.

use std::{collections::BTreeSet, sync::Arc};

use set_chain::ChainView;
use set_index::QuarantineCause;
use set_types::{BatchId, RecordedCommitment, StreamHead, StreamId};

use super::{
    Ledger,
    entry::{Fault, Lookup, Place},
    stream::HeadReading,
    work::Failure,
};
use crate::{
    clock::{Backoff, Now},
    status::AlarmKind,
};

/// What waits to be asked of the chain, one request at a time.
#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: BTreeSet<T>,
    pub(super) running: bool,
    pub(super) backoff: Backoff,
    /// Why the last request failed.
    pub(super) reason: String,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeSet::new(),
            running: false,
            backoff: Backoff::default(),
            reason: String::new(),
        }
    }
}

impl<T: Ord> Queue<T> {
    pub(super) fn push(&mut self, item: T) {
        self.waiting.insert(item);
    }

    /// Whether something is asked or waits to be.
    pub(super) fn is_busy(&self) -> bool {
        self.running || !self.waiting.is_empty()
    }

    /// The next request's items, where one may go out.
    pub(super) fn take(&mut self, limit: usize, now: Now) -> Vec<T> {
        if self.running || !self.backoff.is_over(now) {
            return Vec::new();
        }
        std::iter::from_fn(|| self.waiting.pop_first()).take(limit).collect()
    }
}

impl Ledger {
    /// The chain was polled.
    pub(super) fn chain_moved(&mut self, view: Arc<ChainView>, now: Now) {
        let before = std::mem::replace(&mut self.view, view);
        if before.reachable && !self.view.reachable {
            tracing::warn!(error = self.view.error, "the chain cannot be reached; nothing is sent");
            self.held_back_since = now.wall;
        } else if !before.reachable && self.view.reachable {
            tracing::info!("the chain is reachable");
        }
        let (Some(old), Some(new)) = (before.latest, self.view.latest) else {
            return;
        };
        let replaced = new.block.number <= old.block.number && new.block.hash != old.block.hash;
        let forked = old.block.number.checked_add(1) == Some(new.block.number) && new.parent_hash != old.block.hash;
        if replaced || forked {
            tracing::warn!(
                was = old.block.number,
                is = new.block.number,
                "the chain was reorganised"
            );
            self.located_at = None;
            self.suspect_all();
        }
    }

    /// Reads every stream's head again, since what was found on chain may be undone.
    pub(super) fn suspect_all(&mut self) {
        for stream in self.streams.values_mut() {
            stream.suspect = true;
            stream.reread();
            self.dirty.insert(stream.id);
        }
    }

    /// Reads a stream's head again.
    pub(super) fn reread(&mut self, id: StreamId, suspect: bool) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.suspect |= suspect;
            stream.reread();
            self.dirty.insert(id);
        }
    }

    /// Streams to be read now.
    pub(super) fn heads_to_read(&mut self, limit: usize, now: Now) -> Vec<StreamId> {
        let mut streams = self.heads.take(limit, now);
        streams.retain(|id| match self.streams.get_mut(id) {
            Some(stream) if stream.reading == HeadReading::Needed => {
                stream.reading = HeadReading::Running { again: false };
                true
            }
            _ => false,
        });
        self.heads.running = !streams.is_empty();
        streams
    }

    /// The chain answered where streams stand, or did not.
    pub(super) fn heads_read(&mut self, streams: Vec<StreamId>, answer: Result<Vec<StreamHead>, Failure>, now: Now) {
        self.heads.running = false;
        let heads = match answer {
            Ok(heads) => heads,
            Err(failure) => {
                self.heads
                    .backoff
                    .fail(now, self.config.retry_pause, self.config.retry_pause_max);
                tracing::debug!(error = %failure.message, "streams' heads cannot be read");
                self.heads.reason = failure.message;
                Vec::new()
            }
        };
        if !heads.is_empty() {
            self.heads.backoff.clear();
        }
        for head in heads {
            self.head_read(head, now);
        }
        // What was not answered is asked again.
        for id in streams {
            if let Some(stream) = self.streams.get_mut(&id)
                && matches!(stream.reading, HeadReading::Running { .. })
            {
                stream.reading = HeadReading::Needed;
                self.dirty.insert(id);
            }
        }
    }

    fn head_read(&mut self, head: StreamHead, now: Now) {
        let listing = self.listing;
        let Some(stream) = self.streams.get_mut(&head.stream) else {
            return;
        };
        let HeadReading::Running { again } = stream.reading else {
            return;
        };
        self.dirty.insert(stream.id);
        stream.epoch += 1;
        stream.read_listing = listing;
        stream.read_at = Some(now.at);
        if again {
            // What happened meanwhile may be newer than the answer, or older: the next one tells.
            stream.reading = HeadReading::Needed;
            return;
        }
        stream.reading = HeadReading::Known;
        let before = stream.head.replace(head);
        let undone = std::mem::take(&mut stream.suspect) || before.is_some_and(|was| head.sequence < was.sequence);
        if before.is_some_and(|was| was != head) {
            for entry in stream.entries.values_mut() {
                entry.strikes = 0;
                if matches!(&entry.fault, Some(fault) if fault.cause == QuarantineCause::OutOfOrder) {
                    entry.fault = None;
                }
            }
        }
        if undone {
            self.recheck_anchors(head, now);
        }
    }

    /// Commitments to be looked up now.
    pub(super) fn batches_to_look_up(&mut self, limit: usize, now: Now) -> Vec<BatchId> {
        let mut batches = self.lookups.take(limit, now);
        batches.retain(|batch_id| {
            let Some((id, position)) = self.place(*batch_id) else {
                return false;
            };
            let Some(stream) = self.streams.get_mut(&id) else {
                return false;
            };
            let epoch = stream.epoch;
            match stream.entries.get_mut(&position) {
                Some(entry) if matches!(entry.place, Place::Waiting(_)) => {
                    let fresh = !matches!(entry.lookup, Lookup::Running(_));
                    entry.lookup = Lookup::Running(epoch);
                    fresh
                }
                _ => false,
            }
        });
        self.lookups.running = !batches.is_empty();
        batches
    }

    /// The chain answered what it holds under ids, or did not.
    pub(super) fn looked_up(
        &mut self,
        batches: Vec<BatchId>,
        answer: Result<Vec<Option<RecordedCommitment>>, Failure>,
        now: Now,
    ) {
        self.lookups.running = false;
        let records = match answer {
            Ok(records) => {
                self.lookups.backoff.clear();
                records
            }
            Err(failure) => {
                self.lookups
                    .backoff
                    .fail(now, self.config.retry_pause, self.config.retry_pause_max);
                tracing::debug!(error = %failure.message, "the chain cannot be asked for batches");
                self.lookups.reason = failure.message;
                for batch_id in batches {
                    if let Some(entry) = self.entry_mut(batch_id)
                        && matches!(entry.lookup, Lookup::Running(_))
                    {
                        entry.lookup = Lookup::Needed;
                    }
                }
                return;
            }
        };
        for (batch_id, record) in batches.into_iter().zip(records) {
            self.looked_up_one(batch_id, record, now);
        }
    }

    fn looked_up_one(&mut self, batch_id: BatchId, record: Option<RecordedCommitment>, now: Now) {
        let recheck = now.at + self.config.quarantine_recheck;
        let current = self
            .place(batch_id)
            .and_then(|(id, _)| self.streams.get(&id))
            .filter(|stream| stream.reading == HeadReading::Known)
            .map(|stream| stream.epoch);
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        let Lookup::Running(epoch) = entry.lookup else {
            return;
        };
        // The answer may be of a chain that is no more, if the head was read since, or has to be.
        if current != Some(epoch) {
            entry.lookup = Lookup::Needed;
            return;
        }
        entry.lookup = Lookup::Absent(epoch);
        if !matches!(entry.place, Place::Waiting(_)) {
            return;
        }
        let Some(record) = record else {
            self.end_search(batch_id);
            return;
        };
        if record.matches(&entry.commitment) {
            tracing::debug!(batch = %batch_id, "found on chain");
            self.found_on_chain(batch_id, now);
        } else {
            self.end_search(batch_id);
            self.conflicts_with_chain(batch_id, &describe(&record), recheck, now);
        }
    }

    /// The chain holds a commitment's id with other content.
    pub(super) fn conflicts_with_chain(
        &mut self,
        batch_id: BatchId,
        held: &str,
        recheck: std::time::Instant,
        now: Now,
    ) {
        let reason = format!("the chain holds this batch with other content: {held}");
        self.alarms.raise(
            AlarmKind::ChainConflict,
            Some(batch_id),
            "the chain holds batches with other content than the source lists: compare both, and find out who \
             committed them",
            now,
        );
        if let Some(entry) = self.entry_mut(batch_id) {
            entry.lookup = Lookup::Unasked;
            entry.fault = Some(Fault {
                cause: QuarantineCause::Conflict,
                reason,
                recheck: Some(recheck),
            });
        }
    }
}

fn describe(record: &RecordedCommitment) -> String {
    format!(
        "events root {}, state root {}, sequences {} to {}, {} events",
        record.events_root, record.new_state_root, record.sequence_start, record.sequence_end, record.event_count
    )
}
