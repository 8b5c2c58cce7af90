//! What a mined call settled, by the submitter's word.

use set_chain::SettlementTag;
use set_index::QuarantineCause;
use set_types::{BatchId, SettleOutcome, SettleRequest, Settlement};

use super::{
    CallKey, Ledger,
    calls::CallStep,
    contract::Scope,
    entry::{Anchor, Place},
    work::Failure,
};
use crate::clock::Now;

impl Ledger {
    /// The next call whose outcome is to be read.
    pub(super) fn call_to_settle(&mut self, now: Now) -> Option<(CallKey, u64, SettleRequest)> {
        let unread = |key: &&CallKey| {
            self.calls.get(key).is_some_and(|call| {
                matches!(call.step, CallStep::Included { reading: false, .. }) && call.pause.is_over(now)
            })
        };
        let key = self.open.iter().find(unread).copied()?;
        let call = self.calls.get_mut(&key)?;
        let CallStep::Included { inclusion, reading } = &mut call.step else {
            return None;
        };
        *reading = true;
        let request = SettleRequest {
            call: call.candidate.clone(),
            succeeded: inclusion.succeeded,
            gas_used: inclusion.gas_used,
            block_number: inclusion.block.number,
            from: call.account,
            logs: inclusion.logs.clone(),
        };
        Some((key, call.inclusion, request))
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
        let committed = settlements
            .iter()
            .filter(|settlement| settlement.outcome == SettleOutcome::Committed)
            .count() as u64;
        let anchor = Anchor {
            tx_hash: included.hash,
            block: included.block,
            gas_used: Some(included.gas_used / committed.max(1)),
            call: Some(key),
        };
        call.read(anchor);
        self.open.remove(&key);
        let settled = call.settled;
        let batches = call.candidate.batches.clone();
        for settlement in settlements {
            self.outcome(key, &settlement, anchor, settled, now);
        }
        // What the submitter did not mention is for the chain to say.
        self.look_up_unresolved(key, &batches, now);
        self.rejoin(&batches, now);
        self.end_probe(key, now);
        self.forget_call(key);
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
                let recheck = now.at + self.refusal_pause(batch_id, now);
                self.quarantine(batch_id, QuarantineCause::Refused, reason, Some(recheck), now);
                self.reread(stream, false);
            }
            SettleOutcome::OutOfOrder { reason } => self.strike(batch_id, reason, now),
            SettleOutcome::Unavailable { reason } => {
                if let Some(entry) = self.entry_mut(batch_id) {
                    entry.requeue(false, now);
                }
                self.contract_refuses(key, Scope::Everybody, reason, anchor.block.number, now);
                self.reread(stream, false);
            }
            SettleOutcome::NotAuthorised { reason } => {
                if let Some(entry) = self.entry_mut(batch_id) {
                    entry.requeue(false, now);
                }
                self.contract_refuses(key, Scope::Sender, reason, anchor.block.number, now);
                self.reread(stream, false);
            }
            SettleOutcome::Bound { account, reason } => {
                self.bound_to(batch_id, *account, reason, now);
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
        let refused = matches!(
            settlement.outcome,
            SettleOutcome::Unavailable { .. } | SettleOutcome::NotAuthorised { .. }
        );
        if !refused {
            self.contract_takes(key, anchor.block.number);
        }
    }

    /// A call committed a commitment.
    fn committed(&mut self, key: CallKey, batch_id: BatchId, anchor: Anchor, settled: Option<SettlementTag>, now: Now) {
        self.contract_takes(key, anchor.block.number);
        self.rouse(batch_id);
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
        self.took_stream(key, head.stream);
        tracing::info!(
            batch = %batch_id, stream = %head.stream, tx = %anchor.tx_hash, block = anchor.block.number,
            gas = anchor.gas_used, "committed"
        );
        self.place_on_chain(batch_id, Some(anchor), settled, now);
        if let Some(stream) = self.streams.get_mut(&head.stream) {
            stream.advance(head);
        }
    }

    /// Whether an earlier commitment of its stream is not on chain.
    pub(super) fn has_open_predecessor(&self, batch_id: BatchId) -> bool {
        let Some((stream, position)) = self.place(batch_id) else {
            return false;
        };
        self.streams.get(&stream).is_some_and(|stream| {
            let mut earlier = stream.entries.range(..position);
            earlier.any(|(_, entry)| matches!(entry.place, Place::Waiting(_) | Place::Planning(_) | Place::InFlight(_)))
        })
    }

    /// A commitment did not continue its stream's head.
    fn strike(&mut self, batch_id: BatchId, reason: &str, now: Now) {
        // What comes behind something that failed fails for that reason, not for its own.
        let counts = self.view.reachable && self.source.healthy && !self.has_open_predecessor(batch_id);
        let limit = self.config.strikes;
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        entry.requeue(false, now);
        let stream = entry.commitment.stream();
        if counts {
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
}

const fn label(outcome: &SettleOutcome) -> &'static str {
    match outcome {
        SettleOutcome::Committed => "committed",
        SettleOutcome::AlreadyCommitted => "already_committed",
        SettleOutcome::Conflict { .. } => "conflict",
        SettleOutcome::OutOfOrder { .. } => "out_of_order",
        SettleOutcome::Refused { .. } => "refused",
        SettleOutcome::Unavailable { .. } => "unavailable",
        SettleOutcome::NotAuthorised { .. } => "not_authorised",
        SettleOutcome::Bound { .. } => "bound",
        SettleOutcome::Retry { .. } => "retry",
    }
}
