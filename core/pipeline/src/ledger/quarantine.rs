//! Keeping what is quarantined over restarts.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use set_index::{QuarantineCause, QuarantineEntry, ReportConflict};
use set_types::{BatchId, StreamId};

use super::{
    Ledger,
    entry::{Place, Standing},
    listing::MALFORMED_KEPT,
    work::{Failure, Record},
};
use crate::{clock::Now, status::AlarmKind};

/// Longest pause before what the contract refused is sent again.
const REFUSAL_PAUSE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is yet to be written: the newest word on each commitment.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    /// To be kept, or (`None`) to be released.
    quarantine: HashMap<BatchId, Option<QuarantineEntry>>,
    /// To be kept, or (`None`) to be forgotten.
    conflicts: HashMap<BatchId, Option<ReportConflict>>,
    reported: Vec<BatchId>,
}

impl Unrecorded {
    pub(super) fn conflict(&mut self, conflict: ReportConflict) {
        self.conflicts.insert(conflict.batch_id, Some(conflict));
    }

    pub(super) fn forget_conflicts(&mut self, batches: impl Iterator<Item = BatchId>) {
        self.conflicts.extend(batches.map(|batch_id| (batch_id, None)));
    }

    pub(super) fn reported(&mut self, batch_id: BatchId) {
        self.reported.push(batch_id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.quarantine.is_empty() && self.conflicts.is_empty() && self.reported.is_empty()
    }

    /// Everything, to be written at once.
    pub(super) fn take(&mut self) -> Record {
        let mut record = Record {
            reported: std::mem::take(&mut self.reported),
            ..Record::default()
        };
        for (batch_id, entry) in self.quarantine.drain() {
            match entry {
                Some(entry) => record.quarantine.push(entry),
                None => record.release.push(batch_id),
            }
        }
        for (batch_id, conflict) in self.conflicts.drain() {
            match conflict {
                Some(conflict) => record.conflicts.push(conflict),
                None => record.forget_conflicts.push(batch_id),
            }
        }
        record
    }

    /// Takes back what could not be written; newer words win.
    fn put_back(&mut self, record: Record) {
        for entry in record.quarantine {
            self.quarantine.entry(entry.batch_id).or_insert(Some(entry));
        }
        for batch_id in record.release {
            self.quarantine.entry(batch_id).or_insert(None);
        }
        for conflict in record.conflicts {
            self.conflicts.entry(conflict.batch_id).or_insert(Some(conflict));
        }
        for batch_id in record.forget_conflicts {
            self.conflicts.entry(batch_id).or_insert(None);
        }
        self.reported.extend(record.reported);
    }
}

impl Ledger {
    /// Keeps what is quarantined in a stream, and releases what is not any more.
    pub(super) fn keep_quarantine(&mut self, id: StreamId, now: Now) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        for entry in stream.entries.values_mut() {
            let batch_id = entry.commitment.batch_id;
            let quarantined = match &entry.place {
                Place::Waiting(Standing::Quarantined(cause, reason)) => Some((*cause, reason)),
                // The contract has not taken back what it said.
                Place::Waiting(Standing::Ready) | Place::Planning(_) | Place::InFlight(_)
                    if entry.refused && entry.disputed.is_none() =>
                {
                    continue;
                }
                Place::Waiting(Standing::Ready) => None,
                // Not decided yet: what was kept stays kept.
                Place::Waiting(_) => continue,
                _ => entry.disputed.as_ref().map(|reason| (QuarantineCause::Changed, reason)),
            };
            let kept = self.kept.get(&batch_id);
            let Some((cause, reason)) = quarantined else {
                if kept.is_some() {
                    tracing::info!(batch = %batch_id, stream = %id, "released from quarantine");
                    self.kept.remove(&batch_id);
                    self.to_record.quarantine.insert(batch_id, None);
                }
                continue;
            };
            let same_cause = kept.filter(|kept| kept.cause == cause);
            if let Some(kept) = same_cause {
                entry.since = kept.since;
                if kept.reason == *reason && kept.commitment.as_ref() == Some(&*entry.commitment) {
                    continue;
                }
            } else {
                metrics::counter!("set_pipeline_quarantined_total", "cause" => cause.label()).increment(1);
                tracing::warn!(batch = %batch_id, stream = %id, cause = cause.label(), reason, "quarantined");
            }
            let record = QuarantineEntry {
                batch_id,
                stream: Some(id),
                cause,
                reason: reason.clone(),
                since: same_cause.map_or(now.wall, |kept| kept.since),
                commitment: Some((*entry.commitment).clone()),
            };
            self.kept.insert(batch_id, record.clone());
            self.to_record.quarantine.insert(batch_id, Some(record));
        }
    }

    /// How long the contract's refusal stands before it is asked again, which costs gas: as long as it has
    /// stood already, so that the pauses double, and no restart makes them shorter for long.
    pub(super) fn refusal_pause(&self, batch_id: BatchId, now: Now) -> Duration {
        let kept = self
            .kept
            .get(&batch_id)
            .filter(|kept| kept.cause == QuarantineCause::Refused);
        let stood = kept.and_then(|kept| Duration::try_from(now.wall.duration_since(kept.since)).ok());
        let (first, longest) = self.refusal_pauses();
        stood.unwrap_or_default().clamp(first, longest)
    }

    /// The first and the longest pause before something is sent again that the contract refused.
    pub(super) fn refusal_pauses(&self) -> (Duration, Duration) {
        let first = self.config.quarantine_recheck;
        (first, REFUSAL_PAUSE_MAX.max(first))
    }

    /// Keeps an entry of the list that cannot be read, while there are not too many of them: nothing else
    /// bounds what a source sends while its list is never complete.
    pub(super) fn keep_malformed(&mut self, batch_id: BatchId, stream: Option<StreamId>, reason: String, now: Now) {
        let known = self
            .kept
            .get(&batch_id)
            .is_some_and(|kept| kept.cause == QuarantineCause::Malformed && kept.reason == reason);
        if known || self.places.contains_key(&batch_id) {
            return;
        }
        let unreadable = self.kept.values().filter(|kept| kept.commitment.is_none()).count();
        if unreadable >= MALFORMED_KEPT && !self.kept.contains_key(&batch_id) {
            return;
        }
        metrics::counter!("set_pipeline_quarantined_total", "cause" => QuarantineCause::Malformed.label()).increment(1);
        tracing::warn!(batch = %batch_id, reason, "an entry of the source's list cannot be read");
        let record = QuarantineEntry {
            batch_id,
            stream,
            cause: QuarantineCause::Malformed,
            reason,
            since: now.wall,
            commitment: None,
        };
        self.kept.insert(batch_id, record.clone());
        self.to_record.quarantine.insert(batch_id, Some(record));
    }

    /// Forgets that a commitment was quarantined.
    pub(super) fn release(&mut self, batch_id: BatchId) {
        if self.kept.remove(&batch_id).is_some() {
            self.to_record.quarantine.insert(batch_id, None);
        }
    }

    /// Forgets what was quarantined, before this run too, and is not in a list that shows everything.
    pub(super) fn release_unlisted(&mut self) {
        let malformed: HashSet<BatchId> = self
            .malformed
            .iter()
            .filter_map(|entry| entry.batch_id.as_deref()?.parse().ok())
            .collect();
        let gone: Vec<BatchId> = self
            .kept
            .keys()
            .filter(|batch_id| !self.places.contains_key(*batch_id) && !malformed.contains(batch_id))
            .copied()
            .collect();
        for batch_id in gone {
            self.release(batch_id);
        }
    }

    /// Something was written, or could not be.
    pub(super) fn recorded(&mut self, record: Record, answer: Result<(), Failure>, now: Now) {
        self.recording = false;
        match answer {
            Ok(()) => {
                self.record_backoff.clear();
                self.alarms.clear(AlarmKind::Store);
            }
            Err(failure) => {
                self.record_backoff
                    .fail(now, self.config.retry_pause, self.config.retry_pause_max);
                self.alarms.raise(AlarmKind::Store, None, &failure.message, now);
                self.to_record.put_back(record);
            }
        }
    }
}
