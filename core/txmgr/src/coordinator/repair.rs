//! What is sent and in no block: sent again, or replaced.

use alloy_primitives::B256;
use set_chain::Head;
use tokio::time::Instant;

use super::Coordinator;
use crate::{
    AlarmKind, TxEvent, Wei,
    classify::{Outcome, Rejection},
    fees::FeeTerms,
    slot::{self, Progress, Slot, Version},
};

/// Repairs that run at once.
const MAX_REPAIRS: usize = 8;

/// What helps a transaction into a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    /// Send a version again: the pool may have dropped it.
    Resend(B256),
    /// Sign it anew at a higher price.
    Replace,
}

impl Coordinator {
    /// When a sent transaction is due for repair, if the chain does not take it before.
    pub(super) fn repair_deadline(&self, slot: &Slot) -> Option<Instant> {
        let waits = slot.progress == Progress::Committed && !slot.busy;
        waits.then(|| slot.waiting_since() + self.config.resubmission_timeout)
    }

    /// Starts what is due, lowest nonces first.
    pub(super) fn start_repairs(&mut self, head: &Head, now: Instant) {
        let busy = self.ledger.slots().values().filter(|slot| slot.busy).count();
        let due: Vec<_> = self
            .ledger
            .slots()
            .iter()
            .filter_map(|(nonce, slot)| self.due(*nonce, slot, head, now).map(|repair| (*nonce, repair)))
            .take(MAX_REPAIRS.saturating_sub(busy))
            .collect();
        for (nonce, repair) in due {
            match repair {
                Repair::Resend(hash) => self.resend(nonce, hash),
                Repair::Replace => self.replace(nonce, head),
            }
        }
    }

    fn due(&self, nonce: u64, slot: &Slot, head: &Head, now: Instant) -> Option<Repair> {
        // Below the account's nonce it is in a block, or never will be; the next sweep tells which.
        let account_nonce = self.account_nonce?;
        if slot.progress != Progress::Committed || slot.busy || nonce < account_nonce {
            return None;
        }
        if let Some(hash) = slot.resend {
            return Some(Repair::Resend(hash));
        }
        let last = slot.versions.last()?;
        if slot.bump {
            return Some(Repair::Replace);
        }
        if now < slot.waiting_since() + self.config.resubmission_timeout {
            return None;
        }
        // Behind a missing predecessor a higher price changes nothing, unless it is too low anyway.
        let price_matters = nonce == account_nonce || !last.terms().pays_for(head);
        Some(if price_matters || (slot.cancel && !last.is_filler(self.account)) {
            Repair::Replace
        } else {
            Repair::Resend(last.hash)
        })
    }

    fn resend(&mut self, nonce: u64, hash: B256) {
        if let Some(slot) = self.ledger.get_mut(nonce) {
            slot.resend = None;
        }
        self.metrics.counter("set_tx_resent_total").increment(1);
        tracing::debug!(nonce, %hash, "sending the same bytes again");
        self.send(nonce, hash, None);
    }

    fn replace(&mut self, nonce: u64, head: &Head) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        slot.bump = false;
        let Some(last) = slot.versions.last() else {
            return;
        };
        let (hash, old) = (last.hash, last.terms());
        let terms = FeeTerms::fresh(head, &self.config).and_then(|fresh| old.replacement(fresh, &self.config));
        match (terms, slot.replacement_call(self.account)) {
            (Some(terms), Some(call)) => {
                tracing::info!(nonce, %hash, tip = %Wei(terms.tip), fee_cap = %Wei(terms.cap), "replacing a transaction");
                self.metrics.counter("set_tx_replaced_total").increment(1);
                self.alarms.clear(AlarmKind::FeeCeiling);
                let tx = slot::unsigned(&call, nonce, self.chain_id, terms);
                self.sign(nonce, tx);
            }
            _ => {
                self.alarm_ceiling(nonce, old);
                self.resend(nonce, hash);
            }
        }
    }

    fn alarm_ceiling(&mut self, nonce: u64, offered: FeeTerms) {
        self.alarms.raise(
            AlarmKind::FeeCeiling,
            format!(
                "the transaction at nonce {nonce} offers {} per gas, and more is above the ceiling of `txmgr`; the same bytes go out again",
                Wei(offered.cap)
            ),
        );
    }

    /// A send ended.
    pub(super) fn on_sent(&mut self, nonce: u64, hash: B256, first_time: bool, outcome: Outcome) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        slot.busy = false;
        match slot.progress {
            Progress::Provisional => return self.on_front_sent(nonce, hash, outcome),
            Progress::Included { .. } => return,
            Progress::Committed => {}
        }
        slot.touched = Instant::now();
        let (rejection, cause) = match outcome {
            Outcome::Accepted | Outcome::Ambiguous(_) => {
                let accepted = outcome == Outcome::Accepted;
                slot.accepted |= accepted;
                if let Some(id) = slot.id.filter(|_| first_time) {
                    self.emit(TxEvent::Sent { id, nonce, hash });
                }
                if accepted {
                    self.clear_refusals();
                }
                return;
            }
            Outcome::Rejected(rejection, cause) => (rejection, cause),
        };
        tracing::debug!(nonce, %hash, %cause, "the node refuses the transaction");
        match rejection {
            Rejection::NonceTooLow => self.sweeping.wanted = true,
            // Kept, so it goes out with the next lease.
            Rejection::NotLeading => slot.resend = Some(hash),
            // A higher bid of ours lies in the pool, unless this was the highest.
            Rejection::ReplacementUnderpriced => slot.bump = first_time,
            // At the ceiling there is nothing more to offer: the same bytes wait for their next turn.
            Rejection::Underpriced => {
                let fresh = self.view.latest.and_then(|head| FeeTerms::fresh(&head, &self.config));
                let offered = slot.versions.last().map(Version::terms);
                let higher = fresh.and_then(|fresh| offered?.replacement(fresh, &self.config));
                slot.bump = higher.is_some();
                if let (None, Some(offered)) = (higher, offered) {
                    self.alarm_ceiling(nonce, offered);
                }
            }
            Rejection::Invalid if slot.accepted || slot.cancel => {}
            Rejection::Invalid => {
                tracing::warn!(nonce, %cause, "no node takes the transaction; its nonce is filled with an empty one");
                slot.cancel = true;
                slot.bump = true;
            }
            Rejection::NotJournaled => {
                // It never left; what was sent before it stands.
                slot.versions.retain(|version| version.hash != hash);
                self.alarm_refusal(rejection, &cause);
            }
            Rejection::InsufficientFunds | Rejection::PoolLimit | Rejection::NodeFeeCap | Rejection::Refused => {
                self.alarm_refusal(rejection, &cause);
            }
        }
    }

    /// Turns on the alarm that goes with a refusal.
    pub(super) fn alarm_refusal(&mut self, rejection: Rejection, cause: &str) {
        let account = self.account;
        match rejection {
            Rejection::InsufficientFunds => self.alarms.raise(
                AlarmKind::InsufficientFunds,
                format!("{account} cannot pay for its next transaction ({cause}); send ether to it, and sending goes on by itself"),
            ),
            Rejection::NotJournaled => self.alarms.raise(AlarmKind::Journal, cause),
            Rejection::ReplacementUnderpriced => {}
            _ => self.alarms.raise(
                AlarmKind::Refused,
                format!("the node takes no transaction of {account} for now: {cause}"),
            ),
        }
    }

    /// The node takes transactions again.
    pub(super) fn clear_refusals(&mut self) {
        for kind in [AlarmKind::InsufficientFunds, AlarmKind::Refused, AlarmKind::Journal] {
            self.alarms.clear(kind);
        }
    }
}
