//! From what may go to calls: what is handed to the submitter for an account, and what becomes of its plan.

use std::time::Instant;

use alloy_primitives::Address;
use set_index::QuarantineCause;
use set_txmgr::CallId;
use set_types::{BatchId, CandidateCall, Commitment, StreamHead};

use super::{
    CallKey, Ledger,
    accounts::Room,
    calls::{Call, fingerprint},
    entry::Place,
    stream::Stream,
    work::{Failure, Plan},
};
use crate::{clock::Now, status::AlarmKind};

/// Commitments that one call can hold at most: a call's gas over the least that a commitment costs.
const PER_CALL: usize = 400;

/// Commitments that could not be planned, one after the other, before planning pauses as a whole.
const UNPLANNABLE_IN_A_ROW: u32 = 8;

/// What an alarm says of commitments that the submitter cannot plan.
const UNPLANNABLE: &str = "the submitter cannot plan these commitments, each alone; they wait and are tried again";

/// What may go into the next plan.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) commitments: Vec<Commitment>,
    pub(super) heads: Vec<StreamHead>,
    pub(super) calls: u32,
}

/// How large plans may be after one that the submitter refused: the one commitment that it cannot plan is
/// found by halving, so that it keeps nobody else back.
#[derive(Debug, Default)]
pub(super) struct Caution {
    /// Commitments in one plan, at most.
    most: Option<usize>,
    /// Commitments that were found to be unplannable since a plan succeeded.
    found: u32,
    /// Whether what could not be planned before has its turn.
    again: bool,
    /// When it may be tried next.
    again_at: Option<Instant>,
}

impl Ledger {
    /// Commitments that are worth judging and planning for an account.
    pub(super) fn capacity(&self, room: &Room, now: Now) -> usize {
        let Some(account) = self.accounts.get(&room.account) else {
            return 0;
        };
        if self.draining
            || !self.leading()
            || !account.is_free()
            || room.calls == 0
            || !self.view.reachable
            || self.recovery_ends.is_some()
            || !self.plan_backoff.is_over(now)
            || self.gathering_until().is_some_and(|until| until > now.at)
        {
            return 0;
        }
        let mut holds = self.unavailable.iter().chain(&account.not_authorised).peekable();
        if holds.peek().is_some() {
            return usize::from(holds.all(|hold| hold.may_probe(now)));
        }
        let most = room.calls.saturating_mul(PER_CALL);
        self.caution.most.map_or(most, |cautious| cautious.min(most))
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
    pub(super) fn select(&mut self, room: &Room, now: Now) -> Option<Selection> {
        let capacity = self.capacity(room, now);
        if capacity == 0 || self.judging {
            return None;
        }
        let mut selection = Selection::default();
        let mut unplannable: Option<&Stream> = None;
        for (_, id) in &self.ready {
            if selection.commitments.len() == capacity {
                break;
            }
            let Some(stream) = self
                .streams
                .get(id)
                .filter(|stream| self.may_carry(stream, room.account))
            else {
                continue;
            };
            if first_is_unplannable(stream) {
                let allowed = allowed(stream, now).next().is_some();
                unplannable = unplannable.or(allowed.then_some(stream));
                continue;
            }
            let left = capacity - selection.commitments.len();
            let before = selection.commitments.len();
            selection.commitments.extend(allowed(stream, now).take(left));
            if selection.commitments.len() > before {
                selection.heads.push(stream.ready_head);
            }
        }
        let may_try = self.caution.again_at.is_none_or(|at| at <= now.at);
        if let Some(stream) = unplannable
            && may_try
            && (self.caution.again || selection.commitments.is_empty())
        {
            selection.commitments = allowed(stream, now).take(1).collect();
            selection.heads = vec![stream.ready_head];
            self.caution.again = false;
        } else {
            self.caution.again = true;
        }
        if selection.commitments.is_empty() {
            return None;
        }
        for commitment in &selection.commitments {
            if let Some(entry) = self.entry_mut(commitment.batch_id) {
                entry.move_to(Place::Planning(room.account), now);
            }
        }
        if let Some(account) = self.accounts.get_mut(&room.account) {
            account.planning = true;
        }
        selection.calls = match self.begin_probe(room.account) {
            true => 1,
            false => u32::try_from(room.calls).unwrap_or(u32::MAX),
        };
        Some(selection)
    }

    /// The submitter planned for an account, or failed to.
    pub(super) fn planned(&mut self, account: Address, asked: Vec<BatchId>, answer: Result<Plan, Failure>, now: Now) {
        if let Some(account) = self.accounts.get_mut(&account) {
            account.planning = false;
        }
        let plan = match answer {
            Ok(plan) if plan.calls.is_empty() && plan.excluded.is_empty() => Err(Failure {
                permanent: true,
                ..Failure::new(format!("the submitter planned no call for {} commitments", asked.len()))
            }),
            answer => answer,
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(failure) => {
                self.requeue_all(&asked, now);
                self.refused_to_plan(&asked, &failure, now);
                self.probe_not_planned(account, now);
                return;
            }
        };
        let changed = asked.iter().any(|batch_id| {
            self.entry(*batch_id)
                .is_none_or(|entry| !matches!(entry.place, Place::Planning(_)) || entry.disputed.is_some())
        });
        let active = self
            .accounts
            .get(&account)
            .is_some_and(super::accounts::Account::is_active);
        if changed || self.draining || !self.leading() || !active {
            self.requeue_all(&asked, now);
            self.probe_not_planned(account, now);
            return;
        }
        self.alarms.clear(AlarmKind::SubmitterViolation);
        self.plan_backoff.clear();
        self.caution.found = 0;
        self.caution.again_at = None;
        self.caution.most = self
            .caution
            .most
            .and_then(|most| most.checked_mul(2))
            .filter(|most| *most < 100 * PER_CALL);
        let recheck = Some(now.at + self.config.quarantine_recheck);
        for exclusion in plan.excluded {
            let reason = format!("the submitter cannot express it: {}", exclusion.reason);
            self.quarantine(exclusion.batch_id, QuarantineCause::Excluded, reason, recheck, now);
        }
        if plan.calls.is_empty() {
            self.probe_not_planned(account, now);
        }
        for candidate in plan.calls {
            self.plan_call(account, candidate, now);
        }
        // What did not fit stays for the next plan; it was allowed, and still is.
        for batch_id in asked {
            if let Some(entry) = self.entry_mut(batch_id)
                && matches!(entry.place, Place::Planning(_))
            {
                let allowed = entry.allowed_until;
                entry.requeue(false, now);
                entry.allowed_until = allowed;
            }
        }
    }

    fn plan_call(&mut self, account: Address, candidate: CandidateCall, now: Now) {
        let key = self.next_call;
        self.next_call += 1;
        let mut contents = Vec::with_capacity(candidate.batches.len());
        for batch_id in &candidate.batches {
            let Some(entry) = self.entry_mut(*batch_id) else {
                contents.push(0);
                continue;
            };
            let was_unplannable = std::mem::take(&mut entry.unplannable);
            entry.move_to(Place::InFlight(key), now);
            contents.push(fingerprint(&entry.commitment));
            if was_unplannable {
                self.alarms.clear_for(AlarmKind::Unplannable, *batch_id);
            }
        }
        self.probe_planned(account, key);
        tracing::debug!(
            call = key,
            %account,
            commitments = candidate.batches.len(),
            gas = candidate.gas_limit,
            "planned"
        );
        self.calls.insert(key, Call::new(account, candidate, contents));
        self.open.insert(key);
        self.to_submit.push(key);
    }

    /// The submitter planned nothing. Where it will not plan these commitments, however often it is asked,
    /// fewer are tried until the one that it cannot plan is known.
    fn refused_to_plan(&mut self, asked: &[BatchId], failure: &Failure, now: Now) {
        match asked {
            [batch_id] if failure.permanent => {
                let (first, longest) = (self.config.retry_pause, self.config.retry_pause_max);
                let mut news = false;
                if let Some(entry) = self.entry_mut(*batch_id) {
                    news = !std::mem::replace(&mut entry.unplannable, true);
                    entry.pause.fail(now, first, longest);
                    entry.pause_reason = failure.message.clone();
                }
                self.caution.again_at = Some(now.at + first);
                let message = format!("{UNPLANNABLE}: {}", failure.message);
                self.alarms
                    .raise(AlarmKind::Unplannable, Some(*batch_id), &message, now);
                self.caution.found += u32::from(news);
                if news && self.caution.found >= UNPLANNABLE_IN_A_ROW {
                    self.plan_failed(failure, now);
                }
            }
            many if failure.permanent && many.len() > 1 => self.caution.most = Some(many.len() / 2),
            _ => self.plan_failed(failure, now),
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
                && matches!(entry.place, Place::Planning(_))
            {
                entry.requeue(false, now);
            }
        }
    }

    /// Calls of one account to hand to its transaction manager, in order.
    pub(super) fn calls_to_submit(&mut self) -> Option<(Address, Vec<(CallKey, CandidateCall)>)> {
        let first = self.to_submit.iter().find_map(|key| self.calls.get(key));
        let account = first.map(|call| call.account)?;
        let mut calls = Vec::new();
        self.to_submit.retain(|key| match self.calls.get(key) {
            Some(call) if call.account == account => {
                calls.push((*key, call.candidate.clone()));
                false
            }
            Some(_) => true,
            None => false,
        });
        if let Some(account) = self.accounts.get_mut(&account) {
            account.submitting = true;
        }
        Some((account, calls))
    }

    /// An account's transaction manager took the calls, or did not.
    pub(super) fn submitted(&mut self, account: Address, results: Vec<(CallKey, Result<CallId, Failure>)>, now: Now) {
        if let Some(account) = self.accounts.get_mut(&account) {
            account.submitting = false;
        }
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
}

/// What of a stream's next commitments the policies allow, in order, up to one that goes alone or not at all.
fn allowed(stream: &Stream, now: Now) -> impl Iterator<Item = Commitment> + '_ {
    stream.ready.iter().enumerate().map_while(move |(index, position)| {
        let entry = stream.entries.get(position)?;
        let allowed = entry.allowed_until.is_some_and(|until| until > now.at);
        (allowed && (index == 0 || !entry.unplannable)).then(|| (*entry.commitment).clone())
    })
}

fn first_is_unplannable(stream: &Stream) -> bool {
    let first = stream.ready.first().and_then(|position| stream.entries.get(position));
    first.is_some_and(|entry| entry.unplannable)
}
