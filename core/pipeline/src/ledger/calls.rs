//! Calls on their way: what the transaction manager says of them, and what they settled.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock},
};

use alloy_primitives::{Address, B256, Bytes};
use set_chain::{BlockRef, SettlementTag};
use set_txmgr::{CallId, TxEvent};
use set_types::{BatchId, CandidateCall, Commitment, Log};

use super::{
    CallKey, Ledger,
    anchors::REORG_AFTER_REPORT,
    entry::{Anchor, Place, ReportStep},
};
use crate::{
    clock::{Backoff, Now},
    status::AlarmKind,
};

/// A planned call, from plan to settlement.
#[derive(Debug)]
pub(super) struct Call {
    /// The account that sends it.
    pub(super) account: Address,
    /// As it was planned; without calldata once its outcome was read.
    pub(super) candidate: CandidateCall,
    /// Fingerprints of the contents that it commits, in the order of the candidate's batches.
    contents: Vec<u64>,
    /// Where it was included, once its outcome was read.
    pub(super) anchor: Option<Arc<Anchor>>,
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
    pub(super) hash: B256,
    pub(super) block: BlockRef,
    pub(super) succeeded: bool,
    pub(super) gas_used: u64,
    pub(super) logs: Vec<Log>,
}

impl Call {
    pub(super) fn new(account: Address, candidate: CandidateCall, contents: Vec<u64>) -> Self {
        Self {
            account,
            candidate,
            contents,
            anchor: None,
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
    pub(super) fn commits(&self, commitment: &Commitment) -> bool {
        let mut planned = self.candidate.batches.iter().zip(&self.contents);
        let content = planned.find(|(batch_id, _)| **batch_id == commitment.batch_id);
        content.is_some_and(|(_, content)| *content == fingerprint(commitment))
    }

    /// Keeps only what is needed until it is settled: hundreds of calls wait for that.
    pub(super) fn read(&mut self, anchor: Anchor) {
        self.step = CallStep::Read;
        self.anchor = Some(Arc::new(anchor));
        self.candidate.data = Bytes::new();
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
            if self.accounts.values().any(|account| account.submitting) {
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
                let inclusion = Inclusion {
                    hash,
                    block,
                    succeeded,
                    gas_used,
                    logs,
                };
                self.call_included(key, inclusion, now);
            }
            TxEvent::Settled { tag, .. } => self.call_settled(key, tag, now),
            TxEvent::Reorged { .. } => self.call_reorged(key, now),
            TxEvent::Superseded { nonce, .. } => {
                tracing::warn!(
                    call = key,
                    nonce,
                    "a call's nonce was used by something else; planning anew"
                );
                self.withdraw(key, true, None, now);
            }
            TxEvent::Returned { reason, .. } => {
                tracing::info!(call = key, reason, "a call was given back unsent; planning anew");
                self.withdraw(key, false, None, now);
            }
            TxEvent::Dropped { reason, .. } => {
                tracing::warn!(call = key, reason, "a call was not sent; planning anew");
                self.withdraw(key, false, Some(reason), now);
            }
        }
    }

    fn call_included(&mut self, key: CallKey, inclusion: Inclusion, now: Now) {
        let watch = self.watched_until(key);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.hash = Some(inclusion.hash);
        call.inclusion += 1;
        call.settled = Some(SettlementTag::Included);
        call.let_go = watch == SettlementTag::Included;
        call.pause.clear();
        if call.anchor.is_none() {
            call.step = CallStep::Included {
                inclusion,
                reading: false,
            };
            return;
        }
        // It is included anew after a reorg, and what the submitter would read it by is not kept: the chain
        // says what it holds.
        call.step = CallStep::Read;
        let batches = call.candidate.batches.clone();
        self.open.remove(&key);
        let carried: Vec<_> = batches
            .iter()
            .copied()
            .filter(|of| self.is_in_flight(*of, key))
            .collect();
        let share = inclusion.gas_used / (carried.len() as u64).max(1);
        for batch_id in carried {
            if let Some(entry) = self.entry_mut(batch_id) {
                entry.moved = Some((inclusion.hash, share));
            }
        }
        self.look_up_unresolved(key, &batches, now);
        self.rejoin(&batches, now);
        self.end_probe(key, now);
        self.forget_call(key);
    }

    fn is_in_flight(&self, batch_id: BatchId, key: CallKey) -> bool {
        matches!(self.entry(batch_id).map(|entry| &entry.place), Some(Place::InFlight(of)) if *of == key)
    }

    /// What a call did not settle is for the chain to say.
    pub(super) fn look_up_unresolved(&mut self, key: CallKey, batches: &[BatchId], now: Now) {
        for batch_id in batches.iter().copied() {
            if self.is_in_flight(batch_id, key)
                && let Some(entry) = self.entry_mut(batch_id)
            {
                entry.requeue(true, now);
                let stream = entry.commitment.stream();
                self.reread(stream, false);
            }
        }
    }

    /// A transaction of the run before: the chain says what it did.
    fn recovered_event(&mut self, event: &TxEvent) {
        let resolved = match event {
            TxEvent::Included { id, .. }
            | TxEvent::Superseded { id, .. }
            | TxEvent::Returned { id, .. }
            | TxEvent::Dropped { id, .. } => id,
            TxEvent::Reorged { .. } => {
                self.suspect_all();
                return;
            }
            TxEvent::Sent { .. } | TxEvent::Settled { .. } => return,
        };
        self.recovered.remove(resolved);
        self.reread_all();
    }

    pub(super) fn reread_all(&mut self) {
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

    /// Until when a call's transaction manager watches it.
    fn watched_until(&self, key: CallKey) -> SettlementTag {
        let account = self.calls.get(&key).and_then(|call| self.accounts.get(&call.account));
        account.map_or(SettlementTag::Finalized, |account| account.watch_until)
    }

    fn call_settled(&mut self, key: CallKey, tag: SettlementTag, now: Now) {
        let watch = self.watched_until(key);
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.settled = call.settled.max(Some(tag));
        call.let_go |= tag >= watch;
        let batches = call.candidate.batches.clone();
        for batch_id in batches {
            let rests = self.resting(batch_id).map(|resting| resting.anchor.call == Some(key));
            if rests == Some(true) && self.settles_at_rest(batch_id, tag, now) || rests == Some(false) {
                continue;
            }
            self.rouse(batch_id);
            if self.entry(batch_id).is_some_and(|entry| entry.call() == Some(key)) {
                self.settled_at(batch_id, tag, now);
            }
        }
        self.forget_call(key);
    }

    /// A call's block is no longer canonical; the same bytes are being sent again.
    fn call_reorged(&mut self, key: CallKey, now: Now) {
        let Some(call) = self.calls.get_mut(&key) else {
            return;
        };
        call.step = CallStep::Pending;
        self.open.insert(key);
        call.settled = None;
        call.inclusion += 1;
        call.let_go = false;
        for batch_id in call.candidate.batches.clone() {
            self.rouse(batch_id);
            let Some(entry) = self.entry(batch_id) else {
                continue;
            };
            // What the undone inclusion did not commit may be committed by the next.
            let waits = match &entry.place {
                Place::Waiting(_) | Place::Planning(_) => true,
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
        self.open.remove(&key);
        if let Some(id) = call.id {
            self.call_keys.remove(&id);
        }
        self.end_probe(key, now);
        let (first, longest) = (self.config.retry_pause, self.config.retry_pause_max);
        for batch_id in call.candidate.batches.iter().copied() {
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
        self.rejoin(&call.candidate.batches, now);
    }

    /// After reorgs more than one call on its way can hold a commitment. One that a call gave back is left
    /// to the next of them.
    pub(super) fn rejoin(&mut self, batches: &[BatchId], now: Now) {
        for batch_id in batches {
            let Some(entry) = self.entry(*batch_id) else {
                continue;
            };
            if !matches!(entry.place, Place::Waiting(_)) || entry.fault.is_some() {
                continue;
            }
            let open = self.open.iter().find(|key| {
                self.calls.get(key).is_some_and(|call| {
                    matches!(call.step, CallStep::Pending) && call.id.is_some() && call.commits(&entry.commitment)
                })
            });
            if let Some(key) = open.copied()
                && let Some(entry) = self.entry_mut(*batch_id)
            {
                entry.move_to(Place::InFlight(key), now);
            }
        }
    }

    /// Drops a call of which nothing more will be heard. What it committed and is not reported yet is looked
    /// for in the index from then on.
    pub(super) fn forget_call(&mut self, key: CallKey) {
        let done = |call: &&Call| matches!(call.step, CallStep::Read) && call.let_go;
        if self.calls.get(&key).filter(done).is_none() {
            return;
        }
        let Some(call) = self.calls.remove(&key) else {
            return;
        };
        if let Some(id) = call.id {
            self.call_keys.remove(&id);
        }
        for batch_id in call.candidate.batches {
            let rests = self.resting(batch_id).filter(|resting| resting.reported().is_none());
            let awake = || match self.entry(batch_id).map(|entry| &entry.place) {
                Some(Place::OnChain(on_chain)) if on_chain.report == ReportStep::NotYet => on_chain.anchor,
                _ => None,
            };
            let anchor = rests.map(|resting| *resting.anchor).or_else(awake);
            if let Some(anchor) = anchor.filter(|anchor| anchor.call == Some(key)) {
                self.unsettled.insert((anchor.block.number, batch_id));
            }
        }
    }
}

/// A short word for a content. It is compared with what this run planned, and is not kept.
pub(super) fn fingerprint(commitment: &Commitment) -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEYS.hash_one((
        [commitment.tenant_id.to_b256(), commitment.store_id.to_b256()],
        [
            commitment.events_root,
            commitment.prev_state_root,
            commitment.new_state_root,
        ],
        [
            commitment.sequence_start,
            commitment.sequence_end,
            u64::from(commitment.event_count),
        ],
    ))
}
