//! The newest nonce, until the node has its transaction.

use std::time::Duration;

use alloy_primitives::B256;
use set_chain::Head;
use tokio::time::Instant;

use super::{Coordinator, Job, Submission, lead::LEASE_LOST};
use crate::{
    AlarmKind, Call, CallSize, TxEvent, Wei,
    block_budget::Bounds,
    classify::{Outcome, Rejection},
    fees::FeeTerms,
    journal::Keep,
    slot::{self, Progress, Slot, Version},
};

/// The call whose nonce is provisional.
#[derive(Debug)]
pub(super) struct Front {
    nonce: u64,
    call: Call,
    /// Why the node refused the last try.
    refused: Option<Rejection>,
    /// Not before.
    pub(super) retry_at: Option<Instant>,
    pause: Duration,
}

impl Front {
    /// Waits before the next try, longer each time.
    fn delay(&mut self, longest: Duration) {
        self.retry_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(longest);
    }
}

/// What to try next.
enum Attempt {
    Sign(FeeTerms),
    Send(B256, Option<Keep>),
    /// Not now; the alarm says why.
    Wait(String),
}

impl Coordinator {
    /// Gives the next call its nonce, or goes on with the one that has it.
    pub(super) fn advance_front(&mut self, head: &Head, now: Instant) {
        // What was signed before goes first.
        if self.ledger.open().values().any(|slot| slot.resend.is_some()) {
            return;
        }
        if self.front.is_none() {
            self.take_next(head);
        }
        let Some(front) = &mut self.front else {
            return;
        };
        if front.retry_at.is_some_and(|at| at > now) {
            return;
        }
        let Some(slot) = self.ledger.get(front.nonce).filter(|slot| !slot.busy) else {
            return;
        };
        let retried = front.retry_at.take().is_some();
        let attempt = attempt(front, slot.versions.last(), head, &self.config, retried);
        let nonce = front.nonce;
        match attempt {
            Attempt::Sign(terms) => {
                let tx = slot::unsigned(&front.call, nonce, self.chain_id, terms);
                if !self.sign(nonce, tx)
                    && let Some(front) = &mut self.front
                {
                    front.delay(self.config.publish_retry_max);
                }
            }
            Attempt::Send(hash, keep) => self.send(nonce, hash, keep),
            Attempt::Wait(reason) => {
                front.delay(self.config.publish_retry_max);
                self.alarms.raise(AlarmKind::FeeCeiling, reason);
            }
        }
    }

    /// Gives a nonce to the next call, or to a filler where a gap holds up others and no call is there
    /// to close it.
    fn take_next(&mut self, head: &Head) {
        // A nonce that is given out again must not be forgotten after its new bytes are kept.
        self.return_what_is_too_large();
        let forgetting = self.running.values().any(|job| matches!(job, Job::Forget));
        let one_at_a_time = self.has_code && !self.ledger.open().is_empty();
        if forgetting || one_at_a_time || !self.ledger.can_assign() {
            return;
        }
        let (call, slot) = if let Some(next) = self.queue.front() {
            let bounds = Bounds::of(self.config.max_block_share, head);
            let Some(share) = self.budget.admit(next.size, bounds) else {
                return;
            };
            let Some(next) = self.queue.pop_front() else {
                return;
            };
            let Submission { id, call, size, place } = next;
            let slot = Slot {
                _place: Some(place),
                share: Some(share),
                ..Slot::new(Some(id), size)
            };
            (call, slot)
        } else if self.ledger.has_gap() {
            tracing::info!(account = %self.account, "filling a gap between nonces");
            let filler = slot::filler(self.account);
            let slot = Slot::new(None, CallSize::of(&filler));
            (filler, slot)
        } else {
            return;
        };
        self.front = self.ledger.assign(slot).map(|nonce| Front {
            nonce,
            call,
            refused: None,
            retry_at: None,
            pause: self.config.publish_retry,
        });
    }

    /// A version was signed, or not.
    pub(super) fn on_signed(&mut self, nonce: u64, result: Result<Version, String>) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        slot.busy = false;
        if slot.progress == Progress::Provisional && !self.lead.is_leading() {
            return self.return_front(nonce, LEASE_LOST);
        }
        let version = match result {
            Ok(version) => version,
            Err(problem) => {
                slot.touched = Instant::now();
                slot.bump = false;
                if slot.progress == Progress::Provisional
                    && let Some(front) = &mut self.front
                {
                    front.delay(self.config.publish_retry_max);
                }
                self.alarms.raise(AlarmKind::Signer, problem);
                return;
            }
        };
        self.alarms.clear(AlarmKind::Signer);
        let hash = version.hash;
        let keep = match slot.progress {
            Progress::Provisional => {
                // The earlier ones were all refused; they can never be included.
                slot.versions.clear();
                slot.known.clear();
                Keep::First
            }
            Progress::Committed => Keep::Replacement,
        };
        if version.is_filler(self.account) {
            slot.size = CallSize::of(&version.call());
        }
        slot.versions.push(version);
        self.send(nonce, hash, Some(keep));
    }

    /// Tries the front again at once, whatever it waits for.
    pub(super) fn retry_front(&mut self) {
        if let Some(front) = &mut self.front {
            front.retry_at = Some(Instant::now());
        }
    }

    /// Whether a call waits for its bytes to be kept.
    pub(super) fn waits_for_journal(&self) -> bool {
        self.front
            .as_ref()
            .is_some_and(|front| front.refused == Some(Rejection::NotJournaled))
    }

    /// A block made room in the pool: what waits for that need not wait longer.
    pub(super) fn room_in_the_pool(&mut self) {
        let full = Some(Rejection::PoolLimit);
        if self.front.as_ref().is_some_and(|front| front.refused == full) {
            self.retry_front();
        }
    }

    /// The first send of a provisional nonce ended.
    pub(super) fn on_front_sent(&mut self, nonce: u64, hash: B256, outcome: Outcome) {
        let (rejection, cause) = match outcome {
            Outcome::Accepted => return self.commit_front(nonce, hash, true),
            Outcome::Ambiguous(cause) => {
                tracing::warn!(nonce, %hash, %cause, "unknown whether the node has the transaction; it counts as sent");
                return self.commit_front(nonce, hash, false);
            }
            Outcome::Rejected(rejection, cause) => (rejection, cause),
        };
        tracing::debug!(nonce, %hash, %cause, "the node refuses the transaction");
        match rejection {
            Rejection::NonceTooLow => {
                // Somebody used the nonce, perhaps an earlier run of ours: the chain knows what is in it.
                self.front = None;
                let slot = self.ledger.remove(nonce);
                self.spending.closed(nonce);
                self.forget(vec![nonce]);
                self.sweeping.wanted = true;
                if let Some(id) = slot.and_then(|slot| slot.id) {
                    self.metrics.counter("set_tx_superseded_total").increment(1);
                    tracing::warn!(nonce, %id, "nonce is used already; its call is to be planned anew");
                    self.emit(TxEvent::Superseded { id, nonce });
                }
            }
            Rejection::NotLeading => self.return_front(nonce, LEASE_LOST),
            Rejection::Invalid => {
                self.front = None;
                let slot = self.ledger.release(nonce);
                self.spending.closed(nonce);
                self.forget(vec![nonce]);
                if let Some(id) = slot.and_then(|slot| slot.id) {
                    self.metrics.counter("set_tx_dropped_total").increment(1);
                    tracing::warn!(nonce, %id, %cause, "the node refuses the transaction for good");
                    self.emit(TxEvent::Dropped { id, reason: cause });
                }
            }
            _ => {
                let Some(front) = &mut self.front else {
                    return;
                };
                front.refused = Some(rejection);
                // Outbidding what lies in the pool at this nonce need not wait.
                if rejection != Rejection::ReplacementUnderpriced {
                    front.delay(self.config.publish_retry_max);
                }
                // A full pool while others of ours lie in it is nothing that a block does not cure.
                let own_share = rejection == Rejection::PoolLimit && self.ledger.open().len() > 1;
                if !own_share {
                    self.alarm_refusal(rejection, &cause);
                }
            }
        }
    }

    /// The node has it, or may have it: the nonce is this call's.
    fn commit_front(&mut self, nonce: u64, hash: B256, accepted: bool) {
        self.front = None;
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        slot.progress = Progress::Committed;
        slot.accepted = accepted;
        slot.touched = Instant::now();
        if let Some(id) = slot.id {
            tracing::debug!(%id, nonce, %hash, "transaction sent");
            self.emit(TxEvent::Sent { id, nonce, hash });
        }
        if accepted {
            self.clear_refusals();
            self.alarms.clear(AlarmKind::FeeCeiling);
        }
    }
}

/// Prices the next try.
fn attempt(front: &Front, last: Option<&Version>, head: &Head, config: &crate::TxConfig, retried: bool) -> Attempt {
    let Some(fresh) = FeeTerms::fresh(head, config) else {
        return Attempt::Wait(format!(
            "the next block asks {} per gas and a tip, above `txmgr.max_fee` ({}); raise it, or wait until fees fall",
            Wei(head.next_base_fee),
            config.max_fee
        ));
    };
    let Some(last) = last else {
        return Attempt::Sign(fresh);
    };
    match front.refused {
        Some(Rejection::Underpriced | Rejection::ReplacementUnderpriced) => {
            match last.terms().replacement(fresh, config) {
                Some(terms) => Attempt::Sign(terms),
                None if retried => Attempt::Send(last.hash, None),
                None => Attempt::Wait(format!(
                    "the pool holds a transaction at nonce {} that {} per gas does not outbid, and more is above the ceiling of `txmgr`; it is tried again",
                    front.nonce,
                    Wei(last.terms().cap)
                )),
            }
        }
        Some(Rejection::NotJournaled) if last.terms().pays_for(head) => Attempt::Send(last.hash, Some(Keep::First)),
        Some(Rejection::InsufficientFunds) if fresh.cap < last.terms().cap => Attempt::Sign(fresh),
        _ if last.terms().pays_for(head) => Attempt::Send(last.hash, None),
        _ => Attempt::Sign(fresh),
    }
}
