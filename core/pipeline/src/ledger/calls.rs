//! Calls on their way: what the transaction manager says of them, and what they settled.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use set_chain::{BlockRef, SettlementTag};
use set_index::QuarantineCause;
use set_txmgr::{CallId, TxEvent};
use set_types::{BatchId, CandidateCall, Commitment, Log, SettleOutcome, SettleRequest, Settlement};

use super::{
    CallKey, Ledger,
    anchors::REORG_AFTER_REPORT,
    entry::{Anchor, Place, ReportStep},
    work::Failure,
};
use crate::{
    clock::{Backoff, Now},
    status::AlarmKind,
};

/// A planned call, from plan to settlement.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) candidate: CandidateCall,
    /// What it commits: the contents as they were planned, in the order of the candidate's batches.
    commitments: Vec<Arc<Commitment>>,
    pub(super) id: Option<CallId>,
    /// Hash of the version that was sent last, or included.
    pub(super) hash: Option<B256>,
    pub(super) step: CallStep,
    /// Counts inclusions, so that a late answer about an undone one is known.
    pub(super) inclusion: u64,
    /// How settled its block is, by the transaction manager's word.
    pub(super) settled: Option<SettlementTag>,
    /// A pause after its outcome could not be read.
    pub(super) pause: Backoff,
    /// Whether the transaction manager has let it go.
    let_go: bool,
}

/// Where a call stands.
#[derive(Debug)]
pub(super) enum CallStep {
    /// Not in a block.
    Pending,
    /// In a block; its outcome is to be read, or is being read.
    Included { inclusion: Inclusion, reading: bool },
    /// In a block, and its outcome is known.
    Read,
}

/// A call's place in a block.
#[derive(Debug, Clone)]
pub(super) struct Inclusion {
    hash: B256,
    pub(super) block: BlockRef,
    succeeded: bool,
    gas_used: u64,
    logs: Vec<Log>,
}

impl Call {
    pub(super) fn new(candidate: CandidateCall, commitments: Vec<Arc<Commitment>>) -> Self {
        Self {
            candidate,
            commitments,
            id: None,
            hash: None,
            step: CallStep::Pending,
            inclusion: 0,
            settled: None,
            pause: Backoff::default(),
            let_go: false,
        }
    }

    /// Whether it commits this content.
    fn commits(&self, commitment: &Commitment) -> bool {
        self.commitments.iter().any(|planned| **planned == *commitment)
    }

    /// Whether its outcome is not known yet.
    pub(super) const fn is_unsettled(&self) -> bool {
        !matches!(self.step, CallStep::Read)
    }

    /// Whether the transaction manager will say so if its block is undone.
    pub(super) const fn is_watched(&self) -> bool {
        !self.let_go
    }
}

impl Ledger {
    /// The transaction manager says something.
    pub(super) fn tx_event(&mut self, event: TxEvent, now: Now) {
        let id = event.id();
        if id.is_recovered() {
            self.recovered_event(&event);
            return;
        }
        let Some(key) = self.call_keys.get(&id).copied() else {
            if self.submitting {
                self.early.push(event);
            }
            return;
        };
        match event {
            TxEvent::Sent { hash, .. } => {
                if let Some(call) = self.calls.get_mut(&key)
                    && matches!(call.step, CallStep::Pending)
                {
                    call.hash = Some(hash);
                }
            }
            TxEvent::Included {
                hash,
                block,
                succeeded,
                gas_used,
                logs,
                ..
            } => {
                let watch = self.watched_until;
                if let Some(call) = self.calls.get_mut(&key) {
                    call.hash = Some(hash);
                    call.inclusion += 1;
                    call.settled = Some(SettlementTag::Included);
                    call.let_go = watch == SettlementTag::Included;
                    call.pause.clear();
                    let inclusion = Inclusion {
                        hash,
                        block,
                        succeeded,
                        gas_used,
                        logs,
                    };
                    call.step = CallStep::Included {
                        inclusion,
                        reading: false,
                    };
                }
            }
            TxEvent::Settled { tag, .. } => self.call_settled(key, tag, now),
            TxEvent::Reorged { .. } => self.call_reorged(key, now),
            TxEvent::Superseded { nonce, .. } => {
                tracing::warn!(
                    call = key,
                    nonce,
                    "another transaction used a call's nonce; planning anew"
                );
                self.withdraw(key, true, None, now);
            }
            TxEvent::Dropped { reason, .. } => {
                tracing::warn!(call = key, reason, "a call was not sent; planning anew");
                self.withdraw(key, false, Some(reason), now);
            }
        }
    }

    /// A transaction of the run before: the chain says what it did.
    fn recovered_event(&mut self, event: &TxEvent) {
        let resolved = match event {
            TxEvent::Included { id, .. } | TxEvent::Superseded { id, .. } | TxEvent::Dropped { id, .. } => id,
            TxEvent::Reorged { .. } => {
                self.suspect_all();
                return;
            }
            TxEvent::Sent { .. } | TxEvent::Settled { .. } => return,
        };
        self.recovered.remove(resolved);
        self.reread_all();
    }

    fn reread_all(&mut self) {
        for stream in self.streams.values_mut() {
            stream.reread();
            self.dirty.insert(stream.id);
        }
    }

    /// Waits no longer for transactions of the run before.
    pub(super) fn end_recovery(&mut self) {
        self.recovery_ends = None;
        self.recovered.clear();
        self.reread_all();
    }

    fn call_settled(&mut self, key: CallKey, tag: SettlementTag, now: Now) {
        let watch = self.watched_until;
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.settled = call.settled.max(Some(tag));
        call.let_go |= tag >= watch;
        for batch_id in call.candidate.batches.clone() {
            if self.entry(batch_id).is_some_and(|entry| entry.call() == Some(key)) {
                self.settled_at(batch_id, tag, now);
            }
        }
    }

    /// A call's block is no longer canonical; the same bytes are being sent again.
    fn call_reorged(&mut self, key: CallKey, now: Now) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.step = CallStep::Pending;
        call.settled = None;
        call.inclusion += 1;
        call.let_go = false;
        for batch_id in call.candidate.batches.clone() {
            let Some(entry) = self.entry(batch_id) else {
                continue;
            };
            // What the undone inclusion did not commit may be committed by the next.
            let waits = match &entry.place {
                Place::Waiting(_) | Place::Planning => true,
                // Somebody else committed it, in a block that may be undone as well.
                Place::OnChain(on_chain) => {
                    on_chain.report == ReportStep::NotYet && on_chain.anchor.is_none_or(|anchor| anchor.call.is_none())
                }
                _ => false,
            };
            let same = self.calls.get(&key).is_some_and(|call| call.commits(&entry.commitment));
            if !(waits && same) && entry.call() != Some(key) {
                continue;
            }
            let stream = entry.commitment.stream();
            let reported = matches!(entry.place, Place::Reported { .. }) || entry.recorded.is_some();
            if reported {
                self.alarms
                    .raise(AlarmKind::ReorgAfterReport, Some(batch_id), REORG_AFTER_REPORT, now);
            }
            self.leave_chain(batch_id);
            if let Some(entry) = self.entry_mut(batch_id) {
                entry.fault = None;
                entry.move_to(Place::InFlight(key), now);
            }
            self.reread(stream, true);
        }
    }

    /// A call will never be included: its commitments go back into their queues.
    pub(super) fn withdraw(&mut self, key: CallKey, lookup: bool, failure: Option<String>, now: Now) {
        let Some(call) = self.calls.remove(&key) else {
            return;
        };
        if let Some(id) = call.id {
            self.call_keys.remove(&id);
        }
        self.end_probe(key, now);
        let (first, longest) = (self.config.retry_pause, self.config.retry_pause_max);
        for batch_id in call.candidate.batches {
            if self.entry(batch_id).is_none_or(|entry| entry.call() != Some(key)) {
                continue;
            }
            self.leave_chain(batch_id);
            let Some(entry) = self.entry_mut(batch_id) else {
                continue;
            };
            entry.requeue(lookup, now);
            if let Some(failure) = &failure {
                entry.pause.fail(now, first, longest);
                entry.pause_reason = format!("its transaction could not be sent: {failure}");
            }
            let stream = entry.commitment.stream();
            self.reread(stream, lookup);
        }
    }

    /// The next call whose outcome is to be read.
    pub(super) fn call_to_settle(&mut self, from: Address, now: Now) -> Option<(CallKey, u64, SettleRequest)> {
        let (key, call) = self.calls.iter_mut().find(|(_, call)| {
            matches!(call.step, CallStep::Included { reading: false, .. }) && call.pause.is_over(now)
        })?;
        let CallStep::Included { inclusion, reading } = &mut call.step else {
            return None;
        };
        *reading = true;
        let request = SettleRequest {
            call: call.candidate.clone(),
            succeeded: inclusion.succeeded,
            gas_used: inclusion.gas_used,
            block_number: inclusion.block.number,
            from,
            logs: inclusion.logs.clone(),
        };
        Some((*key, call.inclusion, request))
    }

    /// The submitter says what a call did, or fails to.
    pub(super) fn outcomes(
        &mut self,
        key: CallKey,
        inclusion: u64,
        answer: Result<Vec<Settlement>, Failure>,
        now: Now,
    ) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        if call.inclusion != inclusion {
            return;
        }
        let CallStep::Included {
            inclusion: included,
            reading,
        } = &mut call.step
        else {
            return;
        };
        let settlements = match answer {
            Ok(settlements) => settlements,
            Err(failure) => {
                *reading = false;
                call.pause
                    .fail(now, self.config.retry_pause, self.config.retry_pause_max);
                self.settle_reason.clone_from(&failure.message);
                tracing::warn!(call = key, error = %failure.message, "a call's outcome cannot be read");
                return;
            }
        };
        let included = included.clone();
        call.step = CallStep::Read;
        let committed = settlements
            .iter()
            .filter(|settlement| settlement.outcome == SettleOutcome::Committed)
            .count() as u64;
        let anchor = Anchor {
            tx_hash: included.hash,
            block: included.block,
            gas_used: included.gas_used / committed.max(1),
            call: Some(key),
        };
        let settled = call.settled;
        let batches = call.candidate.batches.clone();
        for settlement in settlements {
            self.outcome(key, &settlement, anchor, settled, now);
        }
        // What the submitter did not mention is for the chain to say.
        for batch_id in batches {
            let unresolved =
                matches!(self.entry(batch_id).map(|entry| &entry.place), Some(Place::InFlight(of)) if *of == key);
            if unresolved && let Some(entry) = self.entry_mut(batch_id) {
                entry.requeue(true, now);
                let stream = entry.commitment.stream();
                self.reread(stream, false);
            }
        }
        self.end_probe(key, now);
    }

    fn outcome(
        &mut self,
        key: CallKey,
        settlement: &Settlement,
        anchor: Anchor,
        settled: Option<SettlementTag>,
        now: Now,
    ) {
        let batch_id = settlement.batch_id;
        metrics::counter!("set_pipeline_outcomes_total", "outcome" => label(&settlement.outcome)).increment(1);
        if settlement.outcome == SettleOutcome::Committed {
            self.committed(key, batch_id, anchor, settled, now);
            return;
        }
        // Whatever else it says, it says of this call only.
        let Some(entry) = self.entry(batch_id) else {
            return;
        };
        if !matches!(entry.place, Place::InFlight(of) if of == key) {
            return;
        }
        let stream = entry.commitment.stream();
        let (first, longest) = (self.config.retry_pause, self.config.retry_pause_max);
        match &settlement.outcome {
            SettleOutcome::Committed => {}
            SettleOutcome::AlreadyCommitted => {
                self.found_on_chain(batch_id, now);
                self.reread(stream, false);
            }
            SettleOutcome::Conflict { reason } => {
                let recheck = now.at + self.config.quarantine_recheck;
                if let Some(entry) = self.entry_mut(batch_id) {
                    entry.requeue(false, now);
                }
                self.conflicts_with_chain(batch_id, reason, recheck, now);
                self.reread(stream, false);
            }
            SettleOutcome::Refused { reason } => {
                let reason = format!("the contract refused it: {reason}");
                self.quarantine(batch_id, QuarantineCause::Refused, reason, None, now);
                self.reread(stream, false);
            }
            SettleOutcome::OutOfOrder { reason } => self.strike(batch_id, reason, now),
            SettleOutcome::Unavailable { reason } => {
                if let Some(entry) = self.entry_mut(batch_id) {
                    entry.requeue(false, now);
                }
                self.contract_unavailable(key, reason, anchor.block.number, now);
                self.reread(stream, false);
            }
            SettleOutcome::Retry { reason } => {
                if let Some(entry) = self.entry_mut(batch_id) {
                    entry.requeue(false, now);
                    entry.pause.fail(now, first, longest);
                    entry.pause_reason = format!("its transaction failed: {reason}");
                }
                self.reread(stream, false);
            }
        }
        if !matches!(settlement.outcome, SettleOutcome::Unavailable { .. }) {
            self.contract_available(anchor.block.number);
        }
    }

    /// A call committed a commitment.
    fn committed(&mut self, key: CallKey, batch_id: BatchId, anchor: Anchor, settled: Option<SettlementTag>, now: Now) {
        self.contract_available(anchor.block.number);
        let Some(entry) = self.entry(batch_id) else {
            return;
        };
        if !self.calls.get(&key).is_some_and(|call| call.commits(&entry.commitment)) {
            // The source lists another content by now; the chain says which one it holds.
            self.leave_chain(batch_id);
            if let Some(entry) = self.entry_mut(batch_id) {
                entry.requeue(true, now);
            }
            return;
        }
        let head = entry.commitment.head();
        tracing::info!(
            batch = %batch_id, stream = %head.stream, tx = %anchor.tx_hash, block = anchor.block.number,
            gas = anchor.gas_used, "committed"
        );
        self.place_on_chain(batch_id, Some(anchor), settled, now);
        if let Some(stream) = self.streams.get_mut(&head.stream) {
            stream.advance(head);
        }
    }

    /// A commitment did not continue its stream's head.
    fn strike(&mut self, batch_id: BatchId, reason: &str, now: Now) {
        let healthy = self.view.reachable && self.source.healthy;
        let limit = self.config.strikes;
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        entry.requeue(false, now);
        let stream = entry.commitment.stream();
        if healthy {
            entry.strikes += 1;
        }
        if entry.strikes >= limit {
            let reason = format!(
                "it was sent {} times and never continued the stream's head, which did not move: {reason}",
                entry.strikes
            );
            entry.strikes = 0;
            self.quarantine(batch_id, QuarantineCause::OutOfOrder, reason, None, now);
        }
        self.reread(stream, false);
    }

    /// Drops calls that nothing refers to, and of which nothing more will be heard.
    pub(super) fn forget_calls(&mut self) {
        let gone: Vec<CallKey> = self
            .calls
            .iter()
            .filter(|(key, call)| {
                matches!(call.step, CallStep::Read)
                    && call.let_go
                    && call
                        .candidate
                        .batches
                        .iter()
                        .all(|batch_id| self.entry(*batch_id).and_then(|entry| entry.call()) != Some(**key))
            })
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            if let Some(id) = self.calls.remove(&key).and_then(|call| call.id) {
                self.call_keys.remove(&id);
            }
        }
    }
}

const fn label(outcome: &SettleOutcome) -> &'static str {
    match outcome {
        SettleOutcome::Committed => "committed",
        SettleOutcome::AlreadyCommitted => "already_committed",
        SettleOutcome::Conflict { .. } => "conflict",
        SettleOutcome::OutOfOrder { .. } => "out_of_order",
        SettleOutcome::Refused { .. } => "refused",
        SettleOutcome::Unavailable { .. } => "unavailable",
        SettleOutcome::Retry { .. } => "retry",
    }
}
