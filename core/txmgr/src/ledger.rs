//! Who has which nonce. Pure bookkeeping of one account; the coordinator alone owns it.

use std::collections::{BTreeMap, BTreeSet};

use crate::slot::{Included, Progress, Slot};

/// Gaps that are looked for at once. However absurd a nonce a node once named, no more is kept.
const MAX_GAPS: usize = 64;

/// An account's nonces. At most one of them, the newest, is provisional: the next is given out only
/// when everything before it is sent, so that a refused call leaves no gap.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Taken and in no block.
    open: BTreeMap<u64, Slot>,
    /// In a block that is not settled enough.
    included: BTreeMap<u64, Included>,
    /// The lowest nonce that was never given out; `None` until the chain was asked.
    next: Option<u64>,
    /// Nonces below `next` that nobody has and the chain has not used.
    free: BTreeSet<u64>,
}

/// Nonces that nobody has, although something waits for them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Gaps {
    /// Those below one that is taken, the lowest first.
    pub(crate) nonces: Vec<u64>,
    /// Whether the next nonce is above what anything stands for.
    pub(crate) beyond: bool,
}

impl Gaps {
    pub(crate) const fn is_empty(&self) -> bool {
        self.nonces.is_empty() && !self.beyond
    }
}

impl Ledger {
    /// Takes over what an earlier run signed.
    pub(crate) fn recovered(slots: impl IntoIterator<Item = (u64, Slot)>) -> Self {
        Self {
            open: slots.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) const fn next(&self) -> Option<u64> {
        self.next
    }

    /// Nonces that are taken and in no block.
    pub(crate) const fn open(&self) -> &BTreeMap<u64, Slot> {
        &self.open
    }

    /// Nonces in a block that is not settled enough.
    pub(crate) const fn included(&self) -> &BTreeMap<u64, Included> {
        &self.included
    }

    pub(crate) fn get_mut(&mut self, nonce: u64) -> Option<&mut Slot> {
        self.open.get_mut(&nonce)
    }

    /// All of them, to be changed.
    pub(crate) fn open_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.open.values_mut()
    }

    pub(crate) fn get(&self, nonce: u64) -> Option<&Slot> {
        self.open.get(&nonce)
    }

    pub(crate) fn included_mut(&mut self, nonce: u64) -> Option<&mut Included> {
        self.included.get_mut(&nonce)
    }

    /// Takes in the account's nonce at the head: what is below it is used.
    pub(crate) fn sync(&mut self, account_nonce: u64) {
        let floor = self.floor(account_nonce);
        self.next = Some(self.next.map_or(floor, |next| next.max(floor)));
        self.free.retain(|nonce| *nonce >= account_nonce);
    }

    /// The lowest nonce above everything that is used or taken.
    fn floor(&self, account_nonce: u64) -> u64 {
        let last = self.last_taken().map_or(0, |last| last.saturating_add(1));
        account_nonce.max(last)
    }

    fn last_taken(&self) -> Option<u64> {
        let open = self.open.keys().next_back();
        open.max(self.included.keys().next_back()).copied()
    }

    fn is_taken(&self, nonce: u64) -> bool {
        self.open.contains_key(&nonce) || self.included.contains_key(&nonce)
    }

    /// Nonces that the chain waits for and nobody has: given up because a node called them used, used by
    /// a transaction that a reorg took away, or skipped because a node named a nonce that was never so.
    pub(crate) fn gaps(&self, account_nonce: u64) -> Gaps {
        let Some(next) = self.next else {
            return Gaps::default();
        };
        let nonces = account_nonce..self.last_taken().unwrap_or(account_nonce);
        Gaps {
            nonces: nonces
                .filter(|nonce| !self.is_taken(*nonce) && !self.free.contains(nonce))
                .take(MAX_GAPS)
                .collect(),
            beyond: next > self.floor(account_nonce),
        }
    }

    /// Closes gaps: the next calls get their nonces.
    pub(crate) fn close(&mut self, gaps: &Gaps, account_nonce: u64) {
        let open = gaps.nonces.iter().filter(|nonce| !self.is_taken(**nonce));
        let open: Vec<u64> = open.copied().collect();
        self.free.extend(open);
        let floor = self.floor(account_nonce);
        if gaps.beyond && self.next.is_some_and(|next| next > floor) {
            self.next = Some(floor);
        }
        let next = self.next.unwrap_or(floor);
        self.free.retain(|nonce| *nonce < next);
        self.lower_next();
    }

    /// Whether a free nonce lies below one that is taken, so that the latter waits for it.
    pub(crate) fn has_gap(&self) -> bool {
        matches!((self.free.first(), self.last_taken()), (Some(free), Some(last)) if *free < last)
    }

    /// Whether a nonce can be given out.
    pub(crate) fn can_assign(&self) -> bool {
        self.next.is_some() && self.provisional().is_none()
    }

    /// The nonce that is provisional.
    pub(crate) fn provisional(&self) -> Option<u64> {
        let mut open = self.open.iter();
        open.find(|(_, slot)| slot.progress == Progress::Provisional)
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
                let nonce = *next;
                *next = nonce.checked_add(1)?;
                nonce
            }
        };
        self.open.insert(nonce, slot);
        Some(nonce)
    }

    /// Takes back a provisional nonce; the next call gets it.
    pub(crate) fn release(&mut self, nonce: u64) -> Option<Slot> {
        let slot = self.remove(nonce)?;
        self.free.insert(nonce);
        self.lower_next();
        Some(slot)
    }

    /// Lets an open nonce go that the chain has used.
    pub(crate) fn remove(&mut self, nonce: u64) -> Option<Slot> {
        self.open.remove(&nonce)
    }

    /// An open nonce got into a block.
    pub(crate) fn include(&mut self, nonce: u64, included: Included) {
        self.open.remove(&nonce);
        self.included.insert(nonce, included);
    }

    /// Lets a nonce in a block go: it is settled, or the block is gone.
    pub(crate) fn take_included(&mut self, nonce: u64) -> Option<Included> {
        self.included.remove(&nonce)
    }

    /// A nonce whose block is gone is open again.
    pub(crate) fn reopen(&mut self, nonce: u64, slot: Slot) {
        self.open.insert(nonce, slot);
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
    use crate::CallSize;

    fn slot() -> Slot {
        Slot::new(None, CallSize::default())
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
        let gaps = ledger.gaps(3);
        assert_eq!(gaps.nonces, [3, 5]);
        ledger.close(&gaps, 3);
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

    #[test]
    fn a_nonce_beyond_reason_is_forgotten_once_the_node_names_another() {
        let mut ledger = Ledger::default();
        ledger.sync(u64::MAX);
        assert_eq!(ledger.assign(slot()), None);
        ledger.sync(5);
        assert_eq!(ledger.next(), Some(u64::MAX));
        let gaps = ledger.gaps(5);
        assert_eq!((gaps.nonces.len(), gaps.beyond), (0, true));
        ledger.close(&gaps, 5);
        assert_eq!(ledger.assign(slot()), Some(5));
    }

    #[test]
    fn a_slot_far_above_the_rest_makes_no_endless_gap() {
        let mut ledger = Ledger::default();
        ledger.sync(1 << 60);
        assert_eq!(ledger.assign(slot()), Some(1 << 60));
        commit(&mut ledger, 1 << 60);
        ledger.sync(5);
        let gaps = ledger.gaps(5);
        assert!(gaps.nonces.iter().copied().eq(5..5 + MAX_GAPS as u64));
        ledger.close(&gaps, 5);
        assert_eq!(ledger.assign(slot()), Some(5));
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
                        let taken: Vec<u64> = ledger.open().keys().copied().collect();
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
                        let gaps = ledger.gaps(account_nonce);
                        ledger.close(&gaps, account_nonce);
                    }
                }
                let next = ledger.next().unwrap();
                prop_assert!(next >= account_nonce);
                prop_assert!(ledger.open().keys().all(|nonce| *nonce < next));
                prop_assert!(ledger.open().values().filter(|slot| slot.progress == Progress::Provisional).count() <= 1);
            }
            let gaps = ledger.gaps(account_nonce);
            ledger.close(&gaps, account_nonce);
            prop_assert!(ledger.gaps(account_nonce).is_empty());
        }
    }
}
