//! What the contract says against everything: it takes nothing at present, from nobody or from one account.
//! Such a hold counts no strikes, and ends by itself: now and then one commitment tries.

use std::time::Instant;

use alloy_primitives::Address;
use set_types::Timestamp;

use super::{CallKey, Ledger};
use crate::clock::{Backoff, Now};

/// The contract takes nothing.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) reason: String,
    pub(super) since: Timestamp,
    /// The newest block in which it was so.
    block: u64,
    /// The next attempt, with one commitment.
    probe: Backoff,
    /// The attempt that is on its way.
    probing: Option<Probe>,
}

/// An attempt to commit one commitment while everything is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// It is being planned for this account.
    Planning(Address),
    /// It is this call.
    Call(CallKey),
}

/// Whom the contract refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Everybody,
    Sender,
}

impl Hold {
    /// Whether an attempt may be made now.
    pub(super) fn may_probe(&self, now: Now) -> bool {
        self.probing.is_none() && self.probe.is_over(now)
    }

    /// When the next attempt is due.
    pub(super) const fn next_probe(&self) -> Option<Instant> {
        self.probe.until()
    }
}

impl Ledger {
    /// The contract took nothing of a call: hold everything, or everything of its account, and try again with
    /// little.
    pub(super) fn contract_refuses(&mut self, key: CallKey, scope: Scope, reason: &str, block: u64, now: Now) {
        let (first, longest) = (self.config.retry_pause, self.config.retry_pause_max);
        let account = self.calls.get(&key).map(|call| call.account);
        let place = match scope {
            Scope::Everybody => &mut self.unavailable,
            Scope::Sender => match account.and_then(|account| self.accounts.get_mut(&account)) {
                Some(account) => &mut account.not_authorised,
                None => return,
            },
        };
        let hold = place.get_or_insert_with(|| {
            tracing::warn!(reason, account = ?account, everybody = scope == Scope::Everybody, "the contract takes nothing");
            let mut probe = Backoff::default();
            probe.fail(now, first, longest);
            Hold {
                reason: String::new(),
                since: now.wall,
                block,
                probe,
                probing: None,
            }
        });
        reason.clone_into(&mut hold.reason);
        hold.block = hold.block.max(block);
    }

    /// The contract decided on a commitment of a call by its content, in this block.
    pub(super) fn contract_takes(&mut self, key: CallKey, block: u64) {
        let over = |hold: &mut Option<Hold>| {
            let over = hold.as_ref().is_some_and(|hold| hold.block < block);
            if over {
                tracing::info!(call = key, "the contract takes commitments again");
                *hold = None;
            }
        };
        over(&mut self.unavailable);
        let account = self.calls.get(&key).map(|call| call.account);
        if let Some(account) = account.and_then(|account| self.accounts.get_mut(&account)) {
            over(&mut account.not_authorised);
        }
    }

    /// Notes that what is now being planned for an account is an attempt; says whether it is.
    pub(super) fn begin_probe(&mut self, account: Address) -> bool {
        let of_account = self.accounts.get_mut(&account);
        let of_account = of_account.and_then(|account| account.not_authorised.as_mut());
        let mut probing = false;
        for hold in self.unavailable.as_mut().into_iter().chain(of_account) {
            hold.probing = Some(Probe::Planning(account));
            probing = true;
        }
        probing
    }

    /// An attempt became a call.
    pub(super) fn probe_planned(&mut self, account: Address, key: CallKey) {
        for hold in self.holds_of_contract() {
            if hold.probing == Some(Probe::Planning(account)) {
                hold.probing = Some(Probe::Call(key));
            }
        }
    }

    /// An attempt did not become a call.
    pub(super) fn probe_not_planned(&mut self, account: Address, now: Now) {
        self.finish_probe(Probe::Planning(account), now);
    }

    /// An attempt came to its end, whatever it was.
    pub(super) fn end_probe(&mut self, key: CallKey, now: Now) {
        self.finish_probe(Probe::Call(key), now);
    }

    fn finish_probe(&mut self, probe: Probe, now: Now) {
        let (first, longest) = (self.config.retry_pause, self.config.retry_pause_max);
        for hold in self.holds_of_contract() {
            if hold.probing == Some(probe) {
                hold.probing = None;
                hold.probe.fail(now, first, longest);
            }
        }
    }

    fn holds_of_contract(&mut self) -> impl Iterator<Item = &mut Hold> {
        let of_accounts = self
            .accounts
            .values_mut()
            .filter_map(|account| account.not_authorised.as_mut());
        self.unavailable.as_mut().into_iter().chain(of_accounts)
    }
}
