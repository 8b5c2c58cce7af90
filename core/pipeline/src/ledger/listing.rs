//! Taking in what the source lists.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Display,
    ops::Bound,
    sync::Arc,
};

use set_index::QuarantineCause;
use set_types::{BatchId, Commitment, Malformed, PollResponse, Timestamp};

use super::{
    Ledger,
    entry::{Entry, Fault, Lookup, Place, Proofs},
    stream::Stream,
    work::{Failure, ProofFailure},
};
use crate::{
    clock::Now,
    config::{EventsRootCheck, StateRootCheck},
    status::{AlarmKind, MalformedEntry},
};

/// Commitments that are looked at after each poll, for whether the source still lists them.
const SWEEP: usize = 5_000;

/// Unreadable entries that are remembered.
pub(super) const MALFORMED_KEPT: usize = 100;

impl Ledger {
    /// The source answered a poll, or did not.
    pub(super) fn polled(&mut self, listing: u64, answer: Result<PollResponse, Failure>, now: Now) {
        self.polling = false;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                metrics::counter!("set_pipeline_polls_total", "result" => "failed").increment(1);
                if self.poll_backoff.is_clear() {
                    tracing::warn!(error = %failure.message, "the source does not answer");
                }
                let pause = self.config.poll_interval;
                self.poll_backoff
                    .fail(now, pause, self.config.retry_pause_max.max(pause));
                self.source.healthy = false;
                self.source.error = Some(failure.message);
                self.next_poll = self.poll_backoff.until();
                return;
            }
        };
        metrics::counter!("set_pipeline_polls_total", "result" => "answered").increment(1);
        if !self.poll_backoff.is_clear() {
            tracing::info!("the source answers again");
        }
        self.poll_backoff.clear();
        self.source.healthy = true;
        self.source.error = None;
        self.source.last_poll = Some(now.wall);
        self.source.listed = answer.commitments.len();
        self.source.window_full = answer.more;
        metrics::gauge!("set_pipeline_window_full").set(if answer.more { 1.0 } else { 0.0 });
        // In a full window, only what is older than its youngest was surely looked at.
        let complete_before = if answer.more {
            answer
                .commitments
                .iter()
                .map(|commitment| commitment.committed_at)
                .max()
        } else {
            Some(Timestamp::MAX)
        };
        let shown = answer
            .commitments
            .iter()
            .map(|commitment| commitment.batch_id)
            .collect();
        let before = std::mem::replace(&mut self.shown, shown);
        let unreadable = answer.malformed.len();
        self.merge(answer.commitments, listing, now);
        self.note_malformed(answer.malformed, now);
        if let Some(complete_before) = complete_before {
            self.drop_unlisted(&before, listing, complete_before);
        }
        if !answer.more {
            self.release_unlisted();
            self.forget_dismissed();
        }
        self.window_seen(answer.more, now);
        // By what is known of them once their streams were walked through.
        self.settle_streams(now);
        self.look_at_window(answer.more, unreadable, now);
    }

    pub(super) fn merge(&mut self, commitments: Vec<Commitment>, listing: u64, now: Now) {
        let ambiguous = listed_differently(&commitments);
        let mut contradictions: BTreeMap<BatchId, String> = BTreeMap::new();
        for commitment in commitments {
            let batch_id = commitment.batch_id;
            if self.is_as_listed(&commitment, listing) && !ambiguous.contains(&batch_id) {
                continue;
            }
            let Some(entry) = self.entry_mut(batch_id) else {
                self.insert(commitment, listing, now);
                continue;
            };
            let difference = difference(&entry.commitment, &commitment);
            if ambiguous.contains(&batch_id) {
                // The same reason whatever the order: the least of all.
                let least = contradictions.get(&batch_id).is_none_or(|least| difference < *least);
                if !difference.is_empty() && least {
                    contradictions.insert(batch_id, difference);
                }
            } else if !difference.is_empty() {
                self.differs(batch_id, commitment, &difference, listing, now);
            } else if entry.disputed.take().is_some() {
                self.renew_report(batch_id, now);
            }
        }
        for (batch_id, difference) in contradictions {
            let reason = format!("the source lists this batch twice, with different contents: {difference}");
            self.dispute(batch_id, reason);
        }
    }

    /// Notes that a commitment is listed; says whether it is known, with this content, and nothing more is to
    /// be done about it.
    fn is_as_listed(&mut self, commitment: &Commitment, listing: u64) -> bool {
        let Some((id, position)) = self.place(commitment.batch_id) else {
            return false;
        };
        let Some(stream) = self.streams.get_mut(&id) else {
            return false;
        };
        if let Some(entry) = stream.entries.get_mut(&position) {
            entry.last_seen = listing;
            return entry.disputed.is_none() && difference(&entry.commitment, commitment).is_empty();
        }
        let start = position.sequence_start;
        let resting = stream.resting.get_mut(&start);
        resting.is_some_and(|resting| {
            resting.last_seen = listing;
            difference(&resting.commitment(id, start), commitment).is_empty()
        })
    }

    fn insert(&mut self, commitment: Commitment, listing: u64, now: Now) {
        let prove = self.config.verify_events_root != EventsRootCheck::Off;
        let id = commitment.stream();
        let mut entry = Entry::new(Arc::new(commitment), listing, prove, now);
        entry.fault = self.inspect(&entry.commitment);
        if let Some(kept) = self.kept.get(&entry.batch_id())
            && kept.cause == QuarantineCause::Refused
            && kept.commitment.as_ref() == Some(&*entry.commitment)
        {
            entry.fault = Some(Fault {
                cause: kept.cause,
                reason: kept.reason.clone(),
                // Whoever mended it need not wait for the longest pause: a restart begins with the first.
                recheck: Some(now.at + self.config.quarantine_recheck),
            });
        }
        let position = entry.position();
        let stream = self.streams.entry(id).or_insert_with(|| Stream::new(id));
        self.places
            .insert(entry.batch_id(), (stream.shared_id.clone(), position.sequence_start));
        stream.entries.insert(position, entry);
        self.dirty.insert(id);
        self.reading_on.know(id, now);
    }

    /// What is wrong with a commitment, whatever the chain holds.
    fn inspect(&self, commitment: &Commitment) -> Option<Fault> {
        let fault = |cause, reason| Fault {
            cause,
            reason,
            recheck: None,
        };
        if let Err(malformation) = commitment.check_shape() {
            return Some(fault(QuarantineCause::Malformed, malformation.to_string()));
        }
        if self.config.verify_state_root == StateRootCheck::Off {
            return None;
        }
        let reason = match set_ves::state_root(commitment) {
            Some(root) if root == commitment.new_state_root => return None,
            Some(root) => format!(
                "`new_state_root` is {}, but VES v1 gives {root} for this batch",
                commitment.new_state_root
            ),
            None => "the ids of tenant and store are no UUIDs, so VES v1 gives no state root".to_owned(),
        };
        if self.config.verify_state_root == StateRootCheck::Enforce {
            return Some(fault(QuarantineCause::StateRoot, reason));
        }
        metrics::counter!("set_pipeline_state_root_warnings_total").increment(1);
        tracing::warn!(batch = %commitment.batch_id, reason, "state root differs");
        None
    }

    /// The source lists a known id with another content.
    fn differs(&mut self, batch_id: BatchId, listed: Commitment, difference: &str, listing: u64, now: Now) {
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        let replaceable = matches!(entry.place, Place::Waiting(_)) && (entry.fault.is_some() || entry.refused);
        if replaceable {
            self.remove(batch_id);
            self.insert(listed, listing, now);
            return;
        }
        let reason = match entry.place {
            Place::Reported { .. } | Place::Closed { .. } => {
                format!("the source lists anew, with another content, a batch that is anchored: {difference}")
            }
            _ => format!("the source lists this batch with another content than before: {difference}"),
        };
        self.dispute(batch_id, reason);
    }

    /// The source's list speaks against what is known of a commitment.
    fn dispute(&mut self, batch_id: BatchId, reason: String) {
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        if entry.disputed.as_ref() != Some(&reason) {
            tracing::warn!(batch = %batch_id, reason, "a commitment changed at the source");
            entry.disputed = Some(reason);
        }
    }

    fn note_malformed(&mut self, malformed: Vec<Malformed>, now: Now) {
        self.malformed = malformed
            .iter()
            .take(MALFORMED_KEPT)
            .map(|entry| MalformedEntry {
                batch_id: entry.batch_id.clone(),
                stream: entry.stream,
                reason: entry.reason.clone(),
            })
            .collect();
        metrics::gauge!("set_pipeline_malformed").set(malformed.len() as f64);
        for entry in malformed.into_iter().take(MALFORMED_KEPT) {
            if let Some(batch_id) = entry.batch_id.as_deref().and_then(|id| id.parse().ok()) {
                self.keep_malformed(batch_id, entry.stream, entry.reason, now);
            }
        }
    }

    /// Forgets what the source lists no more: somebody reported it, or took it back. Looks at what the list
    /// `before` showed, and at a part of all the rest each time: what was read past the window may be
    /// reported before the window ever shows it.
    fn drop_unlisted(&mut self, before: &HashSet<BatchId>, listing: u64, complete_before: Timestamp) {
        let mut looked_at: Vec<BatchId> = before.difference(&self.shown).copied().collect();
        let mut left = SWEEP;
        let from = self.swept.map_or(Bound::Unbounded, Bound::Excluded);
        self.swept = None;
        for (id, stream) in self.streams.range((from, Bound::Unbounded)) {
            looked_at.extend(stream.entries.keys().map(|position| position.batch_id));
            looked_at.extend(stream.resting.values().map(|resting| resting.batch_id));
            left = left.saturating_sub(stream.len());
            if left == 0 {
                self.swept = Some(*id);
                break;
            }
        }
        for batch_id in looked_at {
            if self.is_unlisted(batch_id, listing, complete_before) {
                tracing::debug!(batch = %batch_id, "the source lists it no more");
                self.remove(batch_id);
            }
        }
    }

    /// Whether a commitment is to be forgotten because a list that must show it does not.
    fn is_unlisted(&mut self, batch_id: BatchId, listing: u64, complete_before: Timestamp) -> bool {
        if let Some(resting) = self.resting(batch_id) {
            let unlisted = resting.last_seen < listing && resting.committed_at() < complete_before;
            // What this run committed, it reports.
            return unlisted && resting.reported().is_none() && resting.anchor.call.is_none();
        }
        let Some((id, position)) = self.place(batch_id) else {
            return false;
        };
        let entry = self
            .streams
            .get_mut(&id)
            .and_then(|stream| stream.entries.get_mut(&position));
        let Some(entry) = entry else {
            return false;
        };
        if entry.last_seen >= listing || entry.commitment.committed_at >= complete_before {
            return false;
        }
        match &entry.place {
            Place::Waiting(_) => entry.recorded.is_none(),
            Place::OnChain(on_chain) => on_chain.anchor.is_none_or(|anchor| anchor.call.is_none()),
            Place::Closed { .. } => true,
            Place::Reported { .. } => {
                // What spoke against it is taken back.
                if entry.disputed.take().is_some() {
                    self.dirty.insert(id);
                    self.touched.push(batch_id);
                }
                false
            }
            Place::Planning(_) | Place::InFlight(_) => false,
        }
    }

    /// Takes an entry out, with all that refers to it.
    pub(super) fn remove(&mut self, batch_id: BatchId) {
        self.leave_chain(batch_id);
        let Some((id, position)) = self.place(batch_id) else {
            return;
        };
        self.places.remove(&batch_id);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.remove_entry(&position);
        }
        self.release(batch_id);
        for kind in [AlarmKind::BoundElsewhere, AlarmKind::Unlocated] {
            self.alarms.clear_for(kind, batch_id);
        }
        self.dirty.insert(id);
    }

    /// The source's proofs were checked.
    pub(super) fn proved(&mut self, commitment: &Commitment, answer: Result<(), ProofFailure>, now: Now) {
        self.proving = self.proving.saturating_sub(1);
        let (first, longest, recheck) = (
            self.config.retry_pause,
            self.config.retry_pause_max,
            self.config.quarantine_recheck,
        );
        let Some(entry) = self.entry_mut(commitment.batch_id) else {
            return;
        };
        if *entry.commitment != *commitment {
            // It was about a content that the source has replaced.
            entry.proofs = Proofs::Unchecked;
            return;
        }
        match answer {
            Ok(()) => {
                entry.proofs = Proofs::Fine;
                entry.pause.clear();
            }
            Err(ProofFailure::Unavailable { reason, proven }) => {
                if proven > entry.proven {
                    entry.pause.clear();
                }
                entry.proven = proven;
                entry.pause.fail(now, first, longest);
                entry.pause_reason = format!("the source gave no inclusion proof: {reason}");
                entry.proofs = Proofs::Unchecked;
            }
            Err(ProofFailure::Mismatch(reason)) => {
                entry.proofs = Proofs::Unchecked;
                entry.proven = 0;
                entry.lookup = Lookup::Unasked;
                entry.fault = Some(Fault {
                    cause: QuarantineCause::EventsRoot,
                    reason,
                    recheck: Some(now.at + recheck),
                });
            }
        }
    }
}

/// Ids that one list shows with different contents.
fn listed_differently(commitments: &[Commitment]) -> HashSet<BatchId> {
    let mut first = HashMap::with_capacity(commitments.len());
    let again = commitments.iter().filter(|commitment| {
        let shown = first.entry(commitment.batch_id).or_insert(*commitment);
        !difference(shown, commitment).is_empty()
    });
    again.map(|commitment| commitment.batch_id).collect()
}

/// Names the fields in which two listings of a batch differ; empty where they are the same. When it was
/// made is for people only, and does not count.
fn difference(before: &Commitment, now: &Commitment) -> String {
    let same_time = Commitment {
        committed_at: before.committed_at,
        ..now.clone()
    };
    if *before == same_time {
        return String::new();
    }
    let mut fields = Vec::new();
    let mut compare = |name: &str, before: &dyn Display, now: &dyn Display| {
        let (before, now) = (before.to_string(), now.to_string());
        if before != now {
            fields.push(format!("`{name}` was {before}, now {now}"));
        }
    };
    compare("tenant_id", &before.tenant_id, &now.tenant_id);
    compare("store_id", &before.store_id, &now.store_id);
    compare("events_root", &before.events_root, &now.events_root);
    compare("prev_state_root", &before.prev_state_root, &now.prev_state_root);
    compare("new_state_root", &before.new_state_root, &now.new_state_root);
    compare("sequence_start", &before.sequence_start, &now.sequence_start);
    compare("sequence_end", &before.sequence_end, &now.sequence_end);
    compare("event_count", &before.event_count, &now.event_count);
    fields.join(", ")
}
