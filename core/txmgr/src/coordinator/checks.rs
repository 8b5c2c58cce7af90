//! What is looked after at every head, and said before it hurts.

use alloy_primitives::U256;

use super::{
    Coordinator,
    jobs::{Done, Job},
};
use crate::{AlarmKind, Wei, fees::FeeTerms};

impl Coordinator {
    /// Counts the fees beside gas too: neither has a cap in the transaction, and the pool asks for both.
    pub(super) fn check_balance(&mut self, balance: U256) {
        self.metrics.gauge("set_tx_balance_wei").set(f64::from(balance));
        let fresh = self.view.latest.and_then(|head| FeeTerms::fresh(&head, &self.config));
        let gas_price = fresh.map_or(self.config.max_fee.0, |terms| terms.cap);
        let largest = U256::from(gas_price)
            .saturating_mul(U256::from(self.config.max_gas))
            .saturating_add(self.data_fees.total());
        let floor = U256::from(self.config.balance_alarm.0).max(largest);
        if balance < floor {
            let shown = |wei: U256| Wei(u128::try_from(wei).unwrap_or(u128::MAX));
            self.alarms.raise(
                AlarmKind::LowBalance,
                format!(
                    "{} holds {}, below {}; send ether to it",
                    self.account,
                    shown(balance),
                    shown(floor)
                ),
            );
        } else {
            self.alarms.clear(AlarmKind::LowBalance);
        }
    }

    /// Nodes take one transaction at a time from an account that carries code (geth's legacy pool,
    /// EIP-7702), so it is held to that.
    pub(super) fn check_code(&mut self) {
        if self.has_code {
            self.alarms.raise(
                AlarmKind::HasCode,
                format!(
                    "{} carries code (an EIP-7702 delegation), so only one transaction at a time is sent from it; clear the delegation, or send from another account",
                    self.account
                ),
            );
        } else {
            self.alarms.clear(AlarmKind::HasCode);
        }
    }

    /// Tries whether the journal can be written again, where no call does so by itself.
    pub(super) fn check_journal(&mut self) {
        if self.alarms.is_on(AlarmKind::Journal) && !self.waits_for_journal() {
            let journal = self.journal.clone();
            self.spawn(
                Job::CheckJournal,
                async move { Done::JournalChecked(journal.check().await) },
            );
        }
    }

    /// The journal was tried.
    pub(super) fn on_journal_checked(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.alarms.clear(AlarmKind::Journal),
            Err(problem) => self.alarms.raise(AlarmKind::Journal, problem),
        }
    }

    pub(super) fn check_stuck(&mut self) {
        let mut open = self.ledger.open().iter();
        let stuck = open.find(|(_, slot)| slot.created.elapsed() >= self.config.stuck_after);
        match stuck.map(|(nonce, slot)| (*nonce, slot.hashes().len())) {
            Some((nonce, versions)) => self.alarms.raise(
                AlarmKind::Stuck,
                format!("the transaction at nonce {nonce} is in no block yet, after {versions} versions of it"),
            ),
            None => self.alarms.clear(AlarmKind::Stuck),
        }
    }
}
