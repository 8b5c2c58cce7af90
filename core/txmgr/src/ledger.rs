//! Who has which nonce. Pure bookkeeping of one account; the coordinator alone owns it.

use std::collections::{BTreeMap, BTreeSet};

use crate::slot::{Progress, Slot};

/// An account's nonces. At most one of them, the newest, is provisional: the next is given out only
/// when everything before it is sent, so that a refused call leaves no gap.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    slots: BTreeMap<u64, Slot>,
    /// The lowest nonce that was never given out; `None` until the chain was asked.
    next: Option<u64>,
    /// Nonces below `next` that nobody has and the chain has not used.
    free: BTreeSet<u64>,
}

impl Ledger {
    /// Takes over what an earlier run signed.
    pub(crate) fn recovered(slots: impl IntoIterator<Item = (u64, Slot)>) -> Self {
        Self {
            slots: slots.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) const fn next(&self) -> Option<u64> {
        self.next
    }

    pub(crate) const fn slots(&self) -> &BTreeMap<u64, Slot> {
        &self.slots
    }

    pub(crate) fn get_mut(&mut self, nonce: u64) -> Option<&mut Slot> {
        self.slots.get_mut(&nonce)
    }

    pub(crate) fn get(&self, nonce: u64) -> Option<&Slot> {
        self.slots.get(&nonce)
    }

    /// Takes in the account's nonce at the head: what is below it is used.
    pub(crate) fn sync(&mut self, account_nonce: u64) {
        let taken = self.slots.keys().next_back().map_or(0, |last| last + 1);
        let floor = account_nonce.max(taken);
        self.next = Some(self.next.map_or(floor, |next| next.max(floor)));
        self.free.retain(|nonce| *nonce >= account_nonce);
    }

    /// Nonces that the chain waits for and nobody has: given up because a node called them used, or
    /// used by a transaction that a reorg took away.
    pub(crate) fn gaps(&self, account_nonce: u64) -> impl Iterator<Item = u64> + '_ {
        (account_nonce..self.next.unwrap_or(account_nonce))
            .filter(|nonce| !self.slots.contains_key(nonce) && !self.free.contains(nonce))
    }

    /// Frees gaps, so that the next calls fill them.
    pub(crate) fn free(&mut self, gaps: impl IntoIterator<Item = u64>) {
        for nonce in gaps {
            if !self.slots.contains_key(&nonce) && self.next.is_some_and(|next| nonce < next) {
                self.free.insert(nonce);
            }
        }
        self.lower_next();
    }

    /// Whether a free nonce lies below one that is taken, so that the latter waits for it.
    pub(crate) fn has_gap(&self) -> bool {
        let last = self.slots.keys().next_back();
        matches!((self.free.first(), last), (Some(free), Some(last)) if free < last)
    }

    /// Whether a nonce can be given out.
    pub(crate) fn can_assign(&self) -> bool {
        self.next.is_some() && self.provisional().is_none()
    }

    /// The nonce that is provisional.
    pub(crate) fn provisional(&self) -> Option<u64> {
        let mut slots = self.slots.iter();
        slots
            .find(|(_, slot)| slot.progress == Progress::Provisional)
            .map(|(nonce, _)| *nonce)
    }

    /// Gives out the lowest nonce that nobody has; `None` while the chain was not asked or a nonce is
    /// provisional.
    pub(crate) fn assign(&mut self, slot: Slot) -> Option<u64> {
        if !self.can_assign() {
            return None;
        }
        let nonce = match self.free.pop_first() {
            Some(nonce) => nonce,
            None => {
                let next = self.next.as_mut()?;
                *next += 1;
                *next - 1
            }
        };
        self.slots.insert(nonce, slot);
        Some(nonce)
    }

    /// Takes back a provisional nonce; the next call gets it.
    pub(crate) fn release(&mut self, nonce: u64) -> Option<Slot> {
        let slot = self.remove(nonce)?;
        self.free.insert(nonce);
        self.lower_next();
        Some(slot)
    }

    /// Lets a nonce go that the chain has used.
    pub(crate) fn remove(&mut self, nonce: u64) -> Option<Slot> {
        self.slots.remove(&nonce)
    }

    /// Free nonces at the top are not gaps: the next one moves down.
    fn lower_next(&mut self) {
        while let Some(next) = self.next
            && next > 0
            && self.free.last() == Some(&(next - 1))
        {
            self.free.pop_last();
            self.next = Some(next - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slot() -> Slot {
        Slot::new(None, None, None)
    }

    fn commit(ledger: &mut Ledger, nonce: u64) {
        ledger.get_mut(nonce).unwrap().progress = Progress::Committed;
    }

    #[test]
    fn gives_nothing_before_the_chain_was_asked() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.assign(slot()), None);
        ledger.sync(5);
        assert_eq!(ledger.assign(slot()), Some(5));
    }

    #[test]
    fn a_provisional_nonce_holds_back_the_next_and_is_recycled() {
        let mut ledger = Ledger::default();
        ledger.sync(5);
        ledger.assign(slot());
        assert_eq!(ledger.assign(slot()), None);
        ledger.release(5);
        assert_eq!(ledger.assign(slot()), Some(5));
        commit(&mut ledger, 5);
        assert_eq!(ledger.assign(slot()), Some(6));
    }

    #[test]
    fn new_nonces_come_after_recovered_ones_and_fill_their_gaps() {
        let mut ledger = Ledger::recovered([(4, slot()), (6, slot()), (7, slot())]);
        for nonce in [4, 6, 7] {
            commit(&mut ledger, nonce);
        }
        ledger.sync(3);
        assert_eq!(ledger.next(), Some(8));
        let gaps: Vec<_> = ledger.gaps(3).collect();
        assert_eq!(gaps, [3, 5]);
        ledger.free(gaps);
        assert!(ledger.has_gap());
        let mut given = Vec::new();
        for _ in 0..3 {
            let nonce = ledger.assign(slot()).unwrap();
            commit(&mut ledger, nonce);
            given.push(nonce);
        }
        assert_eq!(given, [3, 5, 8]);
        assert!(!ledger.has_gap());
    }

    #[test]
    fn foreign_use_moves_the_next_nonce() {
        let mut ledger = Ledger::default();
        ledger.sync(5);
        ledger.sync(9);
        assert_eq!(ledger.assign(slot()), Some(9));
    }

    /// What can happen to a ledger.
    #[derive(Debug, Clone)]
    enum Step {
        Assign,
        Sent,
        Refused,
        /// The node said that the provisional nonce is used.
        Stale,
        /// The chain includes the lowest so many nonces that are sent.
        Mine(usize),
        /// Somebody else uses the account's next nonces.
        Foreign(u64),
        /// The chain lost so many nonces again, and gaps were found.
        Reorg(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Assign),
            4 => Just(Step::Sent),
            1 => Just(Step::Refused),
            1 => Just(Step::Stale),
            2 => (1usize..4).prop_map(Step::Mine),
            1 => (1u64..3).prop_map(Step::Foreign),
            1 => (1u64..3).prop_map(Step::Reorg),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        /// The chain's side is kept as one number, the account's nonce. No nonce is given twice while
        /// it is taken or used, and once gaps are freed, everything between the account's nonce and
        /// the next one is taken or free: nothing that is sent can wait for ever.
        #[test]
        fn no_gap_no_reuse(steps in steps()) {
            let mut ledger = Ledger::default();
            let mut account_nonce = 3u64;
            ledger.sync(account_nonce);
            for step in steps {
                match step {
                    Step::Assign => {
                        let provisional = ledger.provisional();
                        let taken: Vec<u64> = ledger.slots().keys().copied().collect();
                        match ledger.assign(slot()) {
                            Some(nonce) => {
                                prop_assert!(provisional.is_none());
                                prop_assert!(!taken.contains(&nonce));
                                prop_assert!(nonce >= account_nonce);
                            }
                            None => prop_assert!(provisional.is_some()),
                        }
                    }
                    Step::Sent => if let Some(nonce) = ledger.provisional() { commit(&mut ledger, nonce) },
                    Step::Refused => if let Some(nonce) = ledger.provisional() { ledger.release(nonce); },
                    Step::Stale => if let Some(nonce) = ledger.provisional() {
                        ledger.remove(nonce);
                        account_nonce = account_nonce.max(nonce + 1);
                        ledger.sync(account_nonce);
                    },
                    Step::Mine(count) => {
                        for _ in 0..count {
                            let sent = ledger.get(account_nonce)
                                .is_some_and(|slot| slot.progress == Progress::Committed);
                            if sent {
                                ledger.remove(account_nonce);
                                account_nonce += 1;
                            }
                        }
                        ledger.sync(account_nonce);
                    }
                    Step::Foreign(count) => {
                        for _ in 0..count {
                            ledger.remove(account_nonce);
                            account_nonce += 1;
                        }
                        ledger.sync(account_nonce);
                    }
                    Step::Reorg(depth) => {
                        account_nonce = account_nonce.saturating_sub(depth);
                        let gaps: Vec<_> = ledger.gaps(account_nonce).collect();
                        ledger.free(gaps);
                    }
                }
                let next = ledger.next().unwrap();
                prop_assert!(next >= account_nonce);
                prop_assert!(ledger.slots().keys().all(|nonce| *nonce < next));
                prop_assert!(ledger.slots().values().filter(|slot| slot.progress == Progress::Provisional).count() <= 1);
            }
            let gaps: Vec<_> = ledger.gaps(account_nonce).collect();
            ledger.free(gaps);
            prop_assert_eq!(ledger.gaps(account_nonce).count(), 0);
        }
    }
}
