//! What is sent and in no block: sent again, or replaced.

use std::time::Duration;

use alloy_primitives::B256;
use set_chain::Head;
use tokio::time::Instant;

use super::Coordinator;
use crate::{
    AlarmKind, CallSize, TxEvent, Wei,
    classify::{Outcome, Rejection},
    fees::FeeTerms,
    slot::{self, Passing, Progress, Slot, Version},
};

/// Repairs that run at once.
const MAX_REPAIRS: usize = 8;
/// What was in a block once keeps its hash for so many times the time-out, as long as it pays enough.
const KEEPS_HASH: u32 = 10;

/// What helps a transaction into a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    /// Read a version's bytes, to send them again.
    Recall(B256),
    /// Send a version again: the pool may have dropped it.
    Resend(B256),
    /// Sign it anew at a higher price.
    Replace,
}

impl Coordinator {
    /// When a sent transaction is due for repair, if the chain does not take it before.
    pub(super) fn repair_deadline(&self, slot: &Slot) -> Option<Instant> {
        let waits = slot.progress == Progress::Committed && !slot.busy;
        waits.then(|| slot.waiting_since() + self.patience(slot))
    }

    /// How long the chain and the node are left alone with a transaction.
    fn patience(&self, slot: &Slot) -> Duration {
        let timeout = self.config.resubmission_timeout;
        if slot.refused {
            self.config.publish_retry.min(timeout)
        } else {
            timeout
        }
    }

    /// Starts what is due, lowest nonces first.
    pub(super) fn start_repairs(&mut self, head: &Head, now: Instant) {
        let busy = self.ledger.open().values().filter(|slot| slot.busy).count();
        let due: Vec<_> = self
            .ledger
            .open()
            .iter()
            .filter_map(|(nonce, slot)| self.due(*nonce, slot, head, now).map(|repair| (*nonce, repair)))
            .take(MAX_REPAIRS.saturating_sub(busy))
            .collect();
        for (nonce, repair) in due {
            match repair {
                Repair::Recall(hash) => self.recall(nonce, hash),
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
        let send_again = |hash| match slot.version(hash) {
            Some(_) => Repair::Resend(hash),
            None => Repair::Recall(hash),
        };
        if let Some(hash) = slot.resend {
            return Some(send_again(hash));
        }
        let overdue = now >= slot.waiting_since() + self.patience(slot);
        let Some(last) = slot.versions.last() else {
            let newest = slot.known.last().filter(|_| overdue);
            return newest.map(|known| Repair::Recall(known.hash));
        };
        // Once a head, so that a market which runs away from us is followed, not flooded.
        let pays = last.terms().pays_for(head);
        let keeps_hash = pays && slot.undone && now < slot.created + KEEPS_HASH * self.config.resubmission_timeout;
        let outpaced = !keeps_hash
            && !last.terms().keeps_up_with(head)
            && slot.priced_at != head.block.hash
            && self.higher_bid(last.terms(), head).is_some();
        if slot.bump || outpaced {
            return Some(Repair::Replace);
        }
        if !overdue {
            return None;
        }
        // Behind a missing predecessor a higher price changes nothing, and neither does it where blocks
        // leave the transaction out that it does pay for, or where the node takes none for now.
        let futile = slot.passing != Passing::default() || slot.refused || keeps_hash;
        let price_matters = (nonce == account_nonce && !futile) || !pays;
        Some(if price_matters || (slot.cancel && !last.is_filler(self.account)) {
            Repair::Replace
        } else {
            Repair::Resend(last.hash)
        })
    }

    /// What a replacement would offer; `None` above the ceiling.
    fn higher_bid(&self, offered: FeeTerms, head: &Head) -> Option<FeeTerms> {
        let fresh = FeeTerms::fresh(head, &self.config)?;
        offered.replacement(fresh, &self.config)
    }

    /// A version's bytes were read from the journal, or not.
    pub(super) fn on_recalled(&mut self, nonce: u64, hash: B256, result: Result<Option<Version>, String>) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        slot.busy = false;
        let problem = match result {
            Ok(Some(version)) if version.hash == hash => {
                self.alarms.clear(AlarmKind::Journal);
                return self.at_hand(nonce, version);
            }
            Ok(_) => "it does not hold what was kept there".to_owned(),
            Err(problem) => problem,
        };
        slot.touched = Instant::now();
        slot.resend = None;
        self.alarms.raise(
            AlarmKind::Journal,
            format!("the transaction at nonce {nonce} cannot be read from the journal, to be sent again: {problem}"),
        );
    }

    /// The bytes of a version are there.
    pub(super) fn at_hand(&mut self, nonce: u64, version: Version) {
        let size = CallSize::of(&version.call());
        let share = self.budget.take(size);
        if let Some(slot) = self.ledger.get_mut(nonce) {
            slot.resend = Some(version.hash);
            slot.size = size;
            slot.share = Some(share);
            slot.versions.push(version);
        }
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
        slot.priced_at = head.block.hash;
        let Some(last) = slot.versions.last() else {
            return;
        };
        let (hash, old) = (last.hash, last.terms());
        let call = slot.replacement_call(self.account);
        match (self.higher_bid(old, head), call) {
            (Some(terms), Some(call)) => {
                tracing::info!(nonce, %hash, tip = %Wei(terms.tip), fee_cap = %Wei(terms.cap), "replacing a transaction");
                self.metrics.counter("set_tx_replaced_total").increment(1);
                self.alarms.clear(AlarmKind::FeeCeiling);
                let tx = slot::unsigned(&call, nonce, self.chain_id, terms);
                if !self.sign(nonce, tx) {
                    self.resend(nonce, hash);
                }
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
        // What the slot does not know belongs to whoever had the nonce before.
        let Some(slot) = self.ledger.get_mut(nonce).filter(|slot| slot.knows(hash)) else {
            return;
        };
        slot.busy = false;
        let kept = first_time && !matches!(outcome, Outcome::Rejected(Rejection::NotJournaled, _));
        if kept {
            self.alarms.clear(AlarmKind::Journal);
        }
        if slot.progress == Progress::Provisional {
            return self.on_front_sent(nonce, hash, outcome);
        }
        slot.touched = Instant::now();
        slot.refused = matches!(&outcome, Outcome::Rejected(rejection, _) if rejection.is_for_now());
        let (rejection, cause) = match outcome {
            Outcome::Accepted | Outcome::Ambiguous(_) => {
                let accepted = outcome == Outcome::Accepted;
                slot.accepted |= accepted;
                slot.passing.vouched = accepted && slot.passing.probed;
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
                let Some(offered) = slot.versions.last().map(Version::terms) else {
                    return;
                };
                let head = self.view.latest;
                let higher = head.and_then(|head| self.higher_bid(offered, &head)).is_some();
                if let Some(slot) = self.ledger.get_mut(nonce) {
                    slot.bump = higher;
                }
                if !higher {
                    self.alarm_ceiling(nonce, offered);
                }
            }
            // A node that took it before and would not any more: the block's gas shrank, for example.
            Rejection::Invalid if slot.accepted => slot.passing.vouched = slot.passing.probed,
            Rejection::Invalid if slot.cancel => {}
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
            // Its turn comes when a block has taken what is in front of it.
            Rejection::PoolLimit => {}
            Rejection::InsufficientFunds | Rejection::NodeFeeCap | Rejection::Refused => {
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
        for kind in [AlarmKind::InsufficientFunds, AlarmKind::Refused] {
            self.alarms.clear(kind);
        }
    }
}
