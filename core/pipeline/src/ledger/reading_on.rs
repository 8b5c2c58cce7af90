//! Reading on: past the source's window, one stream at a time.
//!
//! The source lists a stream's unreported commitments without a cursor, so a reading costs in all of them,
//! not in what is new. Each stream is therefore read at a pace of its own: often enough that a good part of
//! an answer is new, and all streams together no faster than so many a poll.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use alloy_primitives::B256;
use set_types::{PollResponse, StreamId};

use super::{
    Ledger,
    work::{Failure, Work},
};
use crate::clock::Now;

/// Streams that are read on at the same time.
const AT_ONCE: usize = 4;
/// Streams that are read on between two polls, at most.
const PER_POLL: u32 = 50;
/// A stream with fewer commitments waiting is read on.
const BELOW: usize = 400;
/// Commitments in one answer.
const PAGE: u32 = 1_000;
/// Longest pause between two readings of a stream, in polls; and where a reading is long.
const LONGEST: u32 = 10;
const LONGEST_OF_LONG: u32 = 30;
/// A reading is long where so many commitments of the stream are unreported.
const LONG: usize = 200;
/// Streams that are remembered.
const KNOWN_MAX: usize = 200_000;
/// Commitments that wait for their block to settle, beyond which nothing is read on.
const RESTING_MAX: usize = 500_000;
/// Streams in one question to the index.
const INDEX_PAGE: usize = 1_000;

/// Which streams are known, and when each is read on.
#[derive(Debug, Default)]
pub(super) struct ReadingOn {
    known: BTreeMap<StreamId, Pace>,
    due: BTreeSet<(Instant, StreamId)>,
    running: BTreeSet<StreamId>,
    /// Readings that may still begin before the next poll.
    left: u32,
    /// Whether the window is full.
    full: bool,
    index: FromIndex,
}

/// How often a stream is read on.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The next time, while the window is full.
    at: Option<Instant>,
    /// Polls between two readings.
    polls: u32,
}

/// How far the streams that the chain knows were taken from the index: a new run knows none, and its window
/// may be full of others.
#[derive(Debug, Clone, Copy, Default)]
enum FromIndex {
    /// Behind this key.
    #[default]
    Begin,
    After(B256),
    Asked,
    /// To be asked again after the next poll.
    Failed(Option<B256>),
    Done,
}

impl ReadingOn {
    /// Remembers a stream.
    pub(super) fn know(&mut self, id: StreamId, now: Now) {
        if self.known.len() >= KNOWN_MAX || self.known.contains_key(&id) {
            return;
        }
        self.known.insert(id, Pace { at: None, polls: 1 });
        if self.full {
            self.schedule(id, now.at);
        }
    }

    /// A poll was answered.
    fn polled(&mut self, full: bool, now: Now) {
        self.left = PER_POLL;
        if let FromIndex::Failed(after) = self.index {
            self.index = after.map_or(FromIndex::Begin, FromIndex::After);
        }
        if full == self.full {
            return;
        }
        self.full = full;
        self.due.clear();
        for (id, pace) in &mut self.known {
            *pace = Pace {
                at: full.then_some(now.at),
                polls: 1,
            };
            if full {
                self.due.insert((now.at, *id));
            }
        }
    }

    fn schedule(&mut self, id: StreamId, at: Instant) {
        let Some(pace) = self.known.get_mut(&id).filter(|_| self.full) else {
            return;
        };
        if let Some(before) = pace.at.replace(at) {
            self.due.remove(&(before, id));
        }
        self.due.insert((at, id));
    }

    /// The next stream whose time has come.
    fn next(&mut self, now: Now) -> Option<StreamId> {
        if self.running.len() >= AT_ONCE || self.left == 0 {
            return None;
        }
        let (at, id) = self.due.first().copied().filter(|(at, _)| *at <= now.at)?;
        self.due.remove(&(at, id));
        if let Some(pace) = self.known.get_mut(&id) {
            pace.at = None;
        }
        Some(id)
    }

    /// When the next stream's time comes.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        let may = self.running.len() < AT_ONCE && self.left > 0;
        self.due.first().filter(|_| may).map(|(at, _)| *at)
    }
}

impl Ledger {
    /// A poll was answered, from a full window or not.
    pub(super) fn window_seen(&mut self, full: bool, now: Now) {
        self.reading_on.polled(full, now);
    }

    /// Reads known streams past a full window, each at its pace.
    pub(super) fn read_on_streams(&mut self, work: &mut Vec<Work>, now: Now) {
        if !self.reading_on.full || !self.source.healthy {
            return;
        }
        if let FromIndex::Begin | FromIndex::After(_) = self.reading_on.index
            && self.synced.is_caught_up()
        {
            let after = match self.reading_on.index {
                FromIndex::After(key) => Some(key),
                _ => None,
            };
            self.reading_on.index = FromIndex::Asked;
            work.push(Work::ListStreams {
                after,
                limit: INDEX_PAGE,
            });
        }
        let awake = self.places.len().saturating_sub(self.resting);
        if awake >= self.config.max_pending || self.resting >= RESTING_MAX {
            return;
        }
        while let Some(id) = self.reading_on.next(now) {
            let stream = self.streams.get(&id);
            if stream.is_some_and(|stream| stream.waiting() >= BELOW) {
                self.reading_on.schedule(id, now.at + self.config.poll_interval);
                continue;
            }
            self.reading_on.running.insert(id);
            self.reading_on.left -= 1;
            work.push(Work::ReadOn {
                stream: id,
                after: stream.map_or(0, super::stream::Stream::listed_until),
                limit: self.config.poll_limit.min(PAGE),
            });
        }
    }

    /// The source answered about one stream past its window.
    pub(super) fn read_on(&mut self, id: StreamId, answer: Result<PollResponse, Failure>, now: Now) {
        self.reading_on.running.remove(&id);
        let poll = self.config.poll_interval;
        match answer {
            Ok(answer) => {
                let before = self.places.len();
                self.merge(answer.commitments, self.listing, now);
                let new = self.places.len().saturating_sub(before);
                let unreported = self.streams.get(&id).map_or(0, |stream| stream.len());
                let longest = if unreported > LONG { LONGEST_OF_LONG } else { LONGEST };
                if let Some(pace) = self.reading_on.known.get_mut(&id) {
                    pace.polls = if answer.more || new.saturating_mul(8) >= unreported && new > 0 {
                        (pace.polls / 2).max(1)
                    } else if new.saturating_mul(32) < unreported || new == 0 {
                        pace.polls.saturating_mul(2).min(longest)
                    } else {
                        pace.polls
                    };
                    let at = now.at + poll * pace.polls;
                    self.reading_on.schedule(id, at);
                }
            }
            Err(failure) => {
                tracing::debug!(stream = %id, error = %failure.message, "a stream could not be read on");
                let pause = (poll * LONGEST).min(self.config.retry_pause_max);
                self.reading_on.schedule(id, now.at + pause);
            }
        }
    }

    /// The index answered which streams the chain knows, or did not.
    pub(super) fn streams_listed(
        &mut self,
        after: Option<B256>,
        answer: Result<Vec<(B256, Option<StreamId>)>, Failure>,
        now: Now,
    ) {
        self.reading_on.index = match answer {
            Ok(streams) => {
                for id in streams.iter().filter_map(|(_, id)| *id) {
                    self.reading_on.know(id, now);
                }
                match streams.last() {
                    Some((key, _)) if streams.len() >= INDEX_PAGE => FromIndex::After(*key),
                    _ => FromIndex::Done,
                }
            }
            Err(failure) => {
                tracing::warn!(error = %failure.message, "the index does not list its streams");
                FromIndex::Failed(after)
            }
        };
    }
}
