//! Alarms: said once when they start, and shown until their cause is gone.

use std::collections::{BTreeMap, BTreeSet};

use set_types::{BatchId, Timestamp};

use crate::{
    clock::Now,
    status::{Alarm, AlarmKind},
};

/// Commitments that an alarm names.
const NAMED: usize = 100;
/// Commitments that an alarm counts.
const COUNTED: usize = 10_000;

/// The alarms that are on.
#[derive(Debug, Default)]
pub(super) struct Alarms(BTreeMap<AlarmKind, Active>);

#[derive(Debug)]
struct Active {
    message: String,
    batches: BTreeSet<BatchId>,
    since: Timestamp,
}

impl Alarms {
    /// Turns an alarm on for a commitment, or for none in particular.
    pub(super) fn raise(&mut self, kind: AlarmKind, batch_id: Option<BatchId>, message: &str, now: Now) {
        let active = self.0.entry(kind).or_insert_with(|| {
            metrics::gauge!("set_pipeline_alarm", "kind" => kind.label()).set(1.0);
            Active {
                message: String::new(),
                batches: BTreeSet::new(),
                since: now.wall,
            }
        });
        let fresh = match batch_id {
            Some(batch_id) if active.batches.len() < COUNTED => active.batches.insert(batch_id),
            Some(_) => false,
            None => active.message != message,
        };
        if fresh {
            match batch_id {
                Some(batch) => tracing::error!(alarm = kind.label(), %batch, "{message}"),
                None => tracing::error!(alarm = kind.label(), "{message}"),
            }
        }
        active.message = message.to_owned();
    }

    /// Turns an alarm on that names no commitment, or gives it the newest words without saying them again.
    pub(super) fn renew(&mut self, kind: AlarmKind, message: &str, now: Now) {
        match self.0.get_mut(&kind) {
            Some(active) => message.clone_into(&mut active.message),
            None => self.raise(kind, None, message, now),
        }
    }

    /// Turns an alarm off.
    pub(super) fn clear(&mut self, kind: AlarmKind) {
        if self.0.remove(&kind).is_some() {
            metrics::gauge!("set_pipeline_alarm", "kind" => kind.label()).set(0.0);
            tracing::info!(alarm = kind.label(), "alarm over");
        }
    }

    /// Turns an alarm off for one commitment.
    pub(super) fn clear_for(&mut self, kind: AlarmKind, batch_id: BatchId) {
        let Some(active) = self.0.get_mut(&kind) else {
            return;
        };
        active.batches.remove(&batch_id);
        if active.batches.is_empty() {
            self.clear(kind);
        }
    }

    /// The alarms that are on.
    pub(super) fn list(&self) -> Vec<Alarm> {
        self.0
            .iter()
            .map(|(kind, active)| Alarm {
                kind: *kind,
                message: active.message.clone(),
                batches: active.batches.iter().take(NAMED).copied().collect(),
                count: active.batches.len(),
                since: active.since,
            })
            .collect()
    }
}
