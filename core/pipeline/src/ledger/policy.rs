//! Asking the policies, and what they hold back.

use std::{
    cell::LazyCell,
    time::{Duration, Instant},
};

use set_host::Judgement;
use set_types::{BatchId, StreamBacklog, Subject, Verdict};

use super::{
    Ledger, Room,
    stream::{HeldStream, Stream},
};
use crate::clock::Now;

/// Longest time without a look at what a policy holds: wall clocks jump.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

impl Ledger {
    /// What to ask the policies now, at most as much as the `free` accounts can take, the oldest streams
    /// first.
    pub(super) fn subjects(&mut self, free: &[Room], now: Now) -> Vec<Subject> {
        let capacity = free.iter().map(|room| self.capacity(room, now)).sum();
        if capacity == 0 || self.judging {
            return Vec::new();
        }
        let mut subjects = Vec::new();
        // What is allowed already takes its part of the room: what goes beyond it is judged when its turn comes.
        let mut allowed = 0;
        for (_, id) in &self.ready {
            if subjects.len() + allowed >= capacity {
                break;
            }
            let may_go = |stream: &&Stream| free.iter().any(|room| self.may_carry(stream, room.account));
            let Some(stream) = self.streams.get(id).filter(may_go) else {
                continue;
            };
            let backlog = LazyCell::new(|| backlog(stream));
            for position in &stream.ready {
                if subjects.len() + allowed >= capacity {
                    break;
                }
                let Some(entry) = stream.entries.get(position) else {
                    break;
                };
                if entry.allowed_until.is_some_and(|until| until > now.at) {
                    allowed += 1;
                    continue;
                }
                let held = stream.held.as_ref().filter(|held| held.position == *position);
                if held.is_some_and(|held| !may_ask_again(held, &backlog, now)) {
                    break;
                }
                subjects.push(Subject::Commitment {
                    commitment: Box::new((*entry.commitment).clone()),
                    backlog: *backlog,
                });
                if held.is_some() {
                    // One is enough to learn whether the stream may go on.
                    break;
                }
            }
        }
        self.judging = !subjects.is_empty();
        subjects
    }

    /// The policies answered. One that cannot answer holds what it was asked about.
    pub(super) fn judged(&mut self, asked: Vec<BatchId>, judgements: Vec<Judgement>, now: Now) {
        self.judging = false;
        for (batch_id, judgement) in asked.into_iter().zip(judgements) {
            self.judged_one(batch_id, judgement, now);
        }
    }

    fn judged_one(&mut self, batch_id: BatchId, judgement: Judgement, now: Now) {
        let next = now.at + self.config.poll_interval;
        let Some((id, position)) = self.place(batch_id) else {
            return;
        };
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.ready.binary_search(&position).is_err() {
            return;
        }
        // Whether the stream may go on has changed.
        self.dirty.insert(id);
        let (until, said, reason) = match judgement.verdict {
            Verdict::Allow => {
                if let Some(entry) = stream.entries.get_mut(&position) {
                    entry.allowed_until = Some(next);
                }
                if stream.held.as_ref().is_some_and(|held| held.position == position) {
                    stream.held = None;
                }
                return;
            }
            Verdict::Hold { until, reason } => (until, "holds it", reason),
            Verdict::Deny { reason } => (None, "denies it", reason),
        };
        // The first that is not allowed decides for the stream.
        if stream.held.as_ref().is_some_and(|held| held.position < position) {
            return;
        }
        let policy = judgement.policy.as_deref().unwrap_or("a policy");
        let reason = format!("policy `{policy}` {said}: {reason}");
        let backlog = backlog(stream);
        let news = stream.held.as_ref().is_none_or(|held| held.reason != reason);
        if news {
            tracing::debug!(stream = %id, batch = %batch_id, reason, "held");
        }
        if let Some(entry) = stream.entries.get_mut(&position) {
            entry.allowed_until = None;
            if stream.held.as_ref().is_none_or(|held| held.position != position) {
                entry.since = now.wall;
            }
        }
        stream.held = Some(HeldStream {
            position,
            reason,
            until,
            next,
            backlog: (backlog.commitments, backlog.events),
        });
    }
}

/// What waits in a stream and could go.
fn backlog(stream: &Stream) -> StreamBacklog {
    let mut backlog = StreamBacklog {
        commitments: 0,
        events: 0,
        oldest: set_types::Timestamp::MAX,
    };
    for entry in stream.ready.iter().filter_map(|position| stream.entries.get(position)) {
        backlog.commitments = backlog.commitments.saturating_add(1);
        backlog.events = backlog.events.saturating_add(u64::from(entry.commitment.event_count));
        backlog.oldest = backlog.oldest.min(entry.commitment.committed_at);
    }
    backlog
}

/// Whether a policy that held a stream may be asked again: its time has come, or more waits than then.
fn may_ask_again(held: &HeldStream, backlog: &StreamBacklog, now: Now) -> bool {
    let due = held.until.is_none_or(|until| until <= now.wall);
    held.next <= now.at && (due || more_waits(held, backlog))
}

/// Whether the stream's backlog is another than the one that a policy held.
fn more_waits(held: &HeldStream, backlog: &StreamBacklog) -> bool {
    held.backlog != (backlog.commitments, backlog.events)
}

/// When a stream of which nothing may go is worth another look; `None` where something of it may go now.
pub(super) fn held_until(stream: &Stream, now: Now) -> Option<Instant> {
    let held = stream.held.as_ref()?;
    let backlog = backlog(stream);
    if stream.ready.first() != Some(&held.position) || may_ask_again(held, &backlog, now) {
        return None;
    }
    // Where more waits by now, the pause between two questions is all that is waited for.
    let until = held.until.filter(|_| !more_waits(held, &backlog));
    let left = until.map(|until| until.duration_since(now.wall));
    let left = left.and_then(|left| Duration::try_from(left).ok()).unwrap_or_default();
    Some(
        held.next
            .max(now.at + left.min(LONGEST_HOLD))
            .max(now.at + Duration::from_millis(1)),
    )
}
