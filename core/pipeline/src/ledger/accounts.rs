//! Sending accounts: which of them may be planned for, and which have nothing on their way any more.

use std::time::Instant;

use alloy_primitives::Address;
use set_chain::SettlementTag;
use set_txmgr::CallId;

use super::{Ledger, calls::Call, contract::Hold};
use crate::clock::Now;

/// What an account's transaction manager can take, at the moment when work is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// The account.
    pub(crate) account: Address,
    /// Calls that it takes at once.
    pub(crate) calls: usize,
    /// Until when it watches a call.
    pub(crate) watch_until: SettlementTag,
}

/// One sending account.
#[derive(Debug)]
pub(super) struct Account {
    /// Until when its transaction manager watches a call.
    pub(super) watch_until: SettlementTag,
    /// Whether it gets no new calls.
    retiring: bool,
    /// Whether the submitter is planning for it.
    pub(super) planning: bool,
    /// Whether calls are being handed to its transaction manager.
    pub(super) submitting: bool,
    /// Set while the contract takes nothing from it.
    pub(super) not_authorised: Option<Hold>,
}

impl Account {
    pub(super) const fn new() -> Self {
        Self {
            watch_until: SettlementTag::Finalized,
            retiring: false,
            planning: false,
            submitting: false,
            not_authorised: None,
        }
    }

    /// Whether a new plan may be made for it, as far as it is concerned.
    pub(super) const fn is_free(&self) -> bool {
        !self.retiring && !self.planning && !self.submitting
    }

    /// Whether it still takes calls.
    pub(super) const fn is_active(&self) -> bool {
        !self.retiring
    }
}

impl Ledger {
    /// Takes in one more account, or takes back one that was retired and is still watched; `recovered` is
    /// what an earlier run left of it.
    pub(crate) fn admit(&mut self, account: Address, recovered: Vec<CallId>, now: Now) {
        self.accounts.entry(account).or_insert(Account::new()).retiring = false;
        self.release_bound(account);
        self.expect(recovered, now);
    }

    /// Waits for transactions that an earlier run left, before anything is planned.
    pub(super) fn expect(&mut self, recovered: Vec<CallId>, now: Now) {
        if !recovered.is_empty() {
            self.recovered.extend(recovered);
            self.recovery_ends = Some(now.at + self.config.recovery_wait);
            self.recovery_since = Some(now.wall);
        }
    }

    /// Whether the account is known, retired or not.
    pub(crate) fn knows(&self, account: Address) -> bool {
        self.accounts.contains_key(&account)
    }

    /// Plans nothing for an account any more.
    pub(crate) fn retire(&mut self, account: Address) {
        if let Some(account) = self.accounts.get_mut(&account) {
            account.retiring = true;
        }
    }

    /// Whether nothing of a retired account is on its way to a block.
    pub(crate) fn is_retired(&self, account: Address) -> bool {
        self.accounts
            .get(&account)
            .is_none_or(|known| known.retiring && !self.is_busy(account))
    }

    /// Forgets a retired account once nothing more will be heard of its calls; says whether it did.
    pub(crate) fn forget_account(&mut self, account: Address) -> bool {
        let watched = || {
            let mut calls = self.calls.values().filter(|call| call.account == account);
            calls.any(Call::is_watched)
        };
        let gone = self.is_retired(account) && !watched();
        if gone {
            self.accounts.remove(&account);
        }
        gone
    }

    /// Calls whose outcome is not known yet.
    pub(super) fn open_calls(&self) -> impl Iterator<Item = &Call> {
        self.open.iter().filter_map(|key| self.calls.get(key))
    }

    /// Whether something of an account is being planned, or is on its way to a block.
    fn is_busy(&self, account: Address) -> bool {
        self.accounts
            .get(&account)
            .is_some_and(|account| account.planning || account.submitting)
            || self.open_calls().any(|call| call.account == account)
    }

    /// Takes in what the transaction managers say of themselves, and whether this process may send at all: in
    /// which term of the lease.
    pub(super) fn look_around(&mut self, rooms: &[Room], term: Option<u64>) {
        for room in rooms {
            if let Some(account) = self.accounts.get_mut(&room.account) {
                account.watch_until = room.watch_until;
            }
        }
        if self.term != term {
            if term.is_some() {
                // Somebody else may have moved every head meanwhile.
                self.reread_all();
            } else {
                self.dirty.extend(self.streams.keys());
            }
            tracing::info!(term, "{}", if term.is_some() { "sending" } else { "standing by" });
        }
        self.term = term;
    }

    /// Whether this process may send.
    pub(super) const fn leading(&self) -> bool {
        self.term.is_some()
    }

    /// Accounts for which something may be planned now, those with the most room first.
    pub(super) fn free_accounts(&self, rooms: &[Room], now: Now) -> Vec<Room> {
        let mut free: Vec<_> = rooms
            .iter()
            .filter(|room| self.capacity(room, now) > 0)
            .copied()
            .collect();
        free.sort_by_key(|room| std::cmp::Reverse(room.calls));
        free
    }

    /// When an account that the contract refused is tried again.
    pub(super) fn next_probe(&self) -> impl Iterator<Item = Option<Instant>> + '_ {
        let of_accounts = self.accounts.values().map(|account| account.not_authorised.as_ref());
        std::iter::once(self.unavailable.as_ref())
            .chain(of_accounts)
            .map(|hold| hold.and_then(Hold::next_probe))
    }
}
