//! From what may go to calls: what is handed to the submitter, and what becomes of its plan.

use std::time::Instant;

use set_index::QuarantineCause;
use set_txmgr::CallId;
use set_types::{BatchId, CandidateCall, Commitment, StreamHead, Timestamp};

use super::{
    CallKey, Ledger,
    calls::Call,
    entry::Place,
    work::{Failure, Plan},
};
use crate::{
    clock::{Backoff, Now},
    status::AlarmKind,
};

/// Commitments that one call can hold at most: a call's gas over the least that a commitment costs.
const PER_CALL: usize = 400;

/// The contract takes nothing from this account.
#[derive(Debug)]
pub(super) struct Unavailable {
    pub(super) reason: String,
    pub(super) since: Timestamp,
    /// The newest block in which it was so.
    block: u64,
    /// The next attempt, with one commitment.
    pub(super) probe: Backoff,
    /// The attempt that is on its way: its call, once that is planned.
    probing: Option<Option<CallKey>>,
}

/// What may go into the next plan.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) commitments: Vec<Commitment>,
    pub(super) heads: Vec<StreamHead>,
    pub(super) calls: u32,
}

impl Ledger {
    /// Commitments that are worth judging and planning while `room` calls may be sent.
    pub(super) fn capacity(&self, room: usize, now: Now) -> usize {
        if self.draining
            || self.planning
            || self.submitting
            || room == 0
            || !self.view.reachable
            || self.recovery_ends.is_some()
            || !self.plan_backoff.is_over(now)
            || self.gathering_until().is_some_and(|until| until > now.at)
        {
            return 0;
        }
        match &self.unavailable {
            None => room.saturating_mul(PER_CALL),
            Some(hold) if hold.probing.is_none() && hold.probe.is_over(now) => 1,
            Some(_) => 0,
        }
    }

    /// While more is being checked, what is ready waits a little, so that fewer calls take it all. Gives
    /// how long.
    pub(super) fn gathering_until(&self) -> Option<Instant> {
        let checking = self.heads.is_busy() || self.lookups.is_busy() || self.proving > 0 || !self.unproven.is_empty();
        if !checking {
            return None;
        }
        Some(self.ready_since? + self.config.poll_interval)
    }

    /// Takes what the policies allow out of the queues, the oldest streams first.
    pub(super) fn select(&mut self, room: usize, now: Now) -> Option<Selection> {
        let capacity = self.capacity(room, now);
        if capacity == 0 || self.judging {
            return None;
        }
        let mut selection = Selection::default();
        let mut taken: Vec<BatchId> = Vec::new();
        for (_, id) in &self.ready {
            let Some(stream) = self.streams.get(id) else {
                continue;
            };
            let before = taken.len();
            for position in &stream.ready {
                let allowed = stream
                    .entries
                    .get(position)
                    .filter(|entry| entry.allowed_until.is_some_and(|until| until > now.at));
                let Some(entry) = allowed else {
                    break;
                };
                if taken.len() == capacity {
                    break;
                }
                selection.commitments.push((*entry.commitment).clone());
                taken.push(entry.batch_id());
            }
            if taken.len() > before {
                selection.heads.push(stream.ready_head);
            }
            if taken.len() == capacity {
                break;
            }
        }
        if taken.is_empty() {
            return None;
        }
        for batch_id in &taken {
            if let Some(entry) = self.entry_mut(*batch_id) {
                entry.move_to(Place::Planning, now);
            }
        }
        self.planning = true;
        selection.calls = u32::try_from(room).unwrap_or(u32::MAX);
        if let Some(hold) = &mut self.unavailable {
            hold.probing = Some(None);
            selection.calls = 1;
        }
        Some(selection)
    }

    /// The submitter planned, or failed to.
    pub(super) fn planned(&mut self, asked: Vec<BatchId>, answer: Result<Plan, Failure>, now: Now) {
        self.planning = false;
        let plan = match answer {
            Ok(plan) => plan,
            Err(failure) => {
                self.plan_failed(&failure, now);
                self.requeue_all(&asked, now);
                self.forget_probe(now);
                return;
            }
        };
        let unchanged = asked
            .iter()
            .all(|batch_id| matches!(self.entry(*batch_id).map(|entry| &entry.place), Some(Place::Planning)))
            && !asked
                .iter()
                .any(|batch_id| self.entry(*batch_id).is_some_and(|entry| entry.disputed.is_some()));
        if !unchanged || self.draining {
            self.requeue_all(&asked, now);
            self.forget_probe(now);
            return;
        }
        self.alarms.clear(AlarmKind::SubmitterViolation);
        if plan.calls.is_empty() && plan.excluded.is_empty() {
            let failure = Failure::new(format!("the submitter planned no call for {} commitments", asked.len()));
            self.plan_failed(&failure, now);
        } else {
            self.plan_backoff.clear();
        }
        let recheck = Some(now.at + self.config.quarantine_recheck);
        for exclusion in plan.excluded {
            let reason = format!("the submitter cannot express it: {}", exclusion.reason);
            self.quarantine(exclusion.batch_id, QuarantineCause::Excluded, reason, recheck, now);
        }
        if plan.calls.is_empty() {
            self.forget_probe(now);
        }
        for candidate in plan.calls {
            let key = self.next_call;
            self.next_call += 1;
            let mut commitments = Vec::with_capacity(candidate.batches.len());
            for batch_id in &candidate.batches {
                if let Some(entry) = self.entry_mut(*batch_id) {
                    entry.move_to(Place::InFlight(key), now);
                    commitments.push(entry.commitment.clone());
                }
            }
            if let Some(hold) = &mut self.unavailable
                && hold.probing == Some(None)
            {
                hold.probing = Some(Some(key));
            }
            tracing::debug!(
                call = key,
                commitments = candidate.batches.len(),
                gas = candidate.gas_limit,
                "planned"
            );
            self.calls.insert(key, Call::new(candidate, commitments));
            self.to_submit.push(key);
        }
        // What did not fit stays for the next plan; it was allowed, and still is.
        for batch_id in asked {
            if let Some(entry) = self.entry_mut(batch_id)
                && matches!(entry.place, Place::Planning)
            {
                let allowed = entry.allowed_until;
                entry.requeue(false, now);
                entry.allowed_until = allowed;
            }
        }
    }

    fn plan_failed(&mut self, failure: &Failure, now: Now) {
        if self.plan_backoff.is_clear() {
            self.held_back_since = now.wall;
            tracing::warn!(error = %failure.message, "nothing could be planned");
        }
        if failure.violation {
            self.alarms
                .raise(AlarmKind::SubmitterViolation, None, &failure.message, now);
        }
        self.plan_reason.clone_from(&failure.message);
        self.plan_backoff
            .fail(now, self.config.retry_pause, self.config.retry_pause_max);
    }

    fn requeue_all(&mut self, batches: &[BatchId], now: Now) {
        for batch_id in batches {
            if let Some(entry) = self.entry_mut(*batch_id)
                && matches!(entry.place, Place::Planning)
            {
                entry.requeue(false, now);
            }
        }
    }

    /// Calls to hand to the transaction manager, in order.
    pub(super) fn calls_to_submit(&mut self) -> Vec<(CallKey, CandidateCall)> {
        let keys = std::mem::take(&mut self.to_submit);
        let calls: Vec<_> = keys
            .into_iter()
            .filter_map(|key| Some((key, self.calls.get(&key)?.candidate.clone())))
            .collect();
        self.submitting = !calls.is_empty();
        calls
    }

    /// The transaction manager took the calls, or did not.
    pub(super) fn submitted(&mut self, results: Vec<(CallKey, Result<CallId, Failure>)>, now: Now) {
        self.submitting = false;
        for (key, result) in results {
            match result {
                Ok(id) => {
                    if let Some(call) = self.calls.get_mut(&key) {
                        call.id = Some(id);
                        self.call_keys.insert(id, key);
                    }
                }
                Err(failure) => {
                    self.plan_failed(&failure, now);
                    self.withdraw(key, false, None, now);
                }
            }
        }
        for event in std::mem::take(&mut self.early) {
            self.tx_event(event, now);
        }
    }

    /// The contract took nothing of a call: hold everything, and try again with little.
    pub(super) fn contract_unavailable(&mut self, key: CallKey, reason: &str, block: u64, now: Now) {
        let (first, longest) = (self.config.retry_pause, self.config.retry_pause_max);
        let hold = self.unavailable.get_or_insert_with(|| {
            tracing::warn!(reason, "the contract takes nothing; everything is held");
            let mut probe = Backoff::default();
            probe.fail(now, first, longest);
            Unavailable {
                reason: String::new(),
                since: now.wall,
                block,
                probe,
                probing: None,
            }
        });
        reason.clone_into(&mut hold.reason);
        hold.block = hold.block.max(block);
        if hold.probing == Some(Some(key)) {
            hold.probing = None;
            hold.probe.fail(now, first, longest);
        }
    }

    /// The contract decided on a commitment by its content, in this block.
    pub(super) fn contract_available(&mut self, block: u64) {
        if self.unavailable.as_ref().is_some_and(|hold| hold.block < block) {
            tracing::info!("the contract takes commitments again");
            self.unavailable = None;
        }
    }

    /// An attempt came to its end, whatever it was.
    pub(super) fn end_probe(&mut self, key: CallKey, now: Now) {
        if let Some(hold) = &mut self.unavailable
            && hold.probing == Some(Some(key))
        {
            hold.probing = None;
            hold.probe
                .fail(now, self.config.retry_pause, self.config.retry_pause_max);
        }
    }

    /// An attempt did not become a call.
    fn forget_probe(&mut self, now: Now) {
        if let Some(hold) = &mut self.unavailable
            && hold.probing == Some(None)
        {
            hold.probing = None;
            hold.probe
                .fail(now, self.config.retry_pause, self.config.retry_pause_max);
        }
    }
}
