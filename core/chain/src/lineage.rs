//! Recent blocks of the chain that is followed: they tell a node that is behind from a reorg.

use std::collections::BTreeMap;

use alloy_primitives::B256;

use crate::{BlockRef, Head};

/// Blocks remembered; nodes that are further behind than that are syncing.
const REMEMBERED: usize = 512;

/// What a head means beside the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is the newest block of the chain, which may have been reorganised on the way.
    Newest,
    /// The chain had it before: whoever names it is so many blocks behind.
    Behind(u64),
}

/// The chain's recent blocks, by number.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    hashes: BTreeMap<u64, B256>,
}

impl Lineage {
    /// Takes a head, or finds that it is behind.
    ///
    /// A lower number alone is no reorg: only another hash at a height that is remembered is. A head at a
    /// height that is not remembered proves nothing, and the chain grows past it soon.
    pub(crate) fn take(&mut self, head: &Head) -> Progress {
        while self.hashes.len() >= REMEMBERED {
            self.hashes.pop_first();
        }
        let BlockRef { number, hash, .. } = head.block;
        let parent = number.checked_sub(1).map(|number| (number, head.parent_hash));
        let newest = self.hashes.last_key_value().map_or(0, |(newest, _)| *newest);
        if number < newest
            && !self.contradicts((number, hash))
            && !parent.is_some_and(|parent| self.contradicts(parent))
        {
            self.hashes.insert(number, hash);
            return Progress::Behind(newest - number);
        }
        // Whatever stood above is gone, or was never known.
        self.hashes.split_off(&number);
        self.hashes.insert(number, hash);
        if let Some((number, hash)) = parent {
            if self.contradicts((number, hash)) {
                self.hashes.retain(|known, _| *known > number);
            }
            self.hashes.insert(number, hash);
        }
        Progress::Newest
    }

    fn contradicts(&self, (number, hash): (u64, B256)) -> bool {
        self.hashes.get(&number).is_some_and(|known| *known != hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::head;

    /// A head of `fork`; forks share what is below 10.
    fn at(number: u64, fork: u8) -> Head {
        let hash = |number: u64| match number {
            0..10 => B256::with_last_byte(number as u8),
            _ => B256::with_last_byte(number as u8) | B256::repeat_byte(fork << 4),
        };
        head(number, hash(number), hash(number.saturating_sub(1)))
    }

    fn followed(fork: u8) -> Lineage {
        let mut lineage = Lineage::default();
        for number in 5..20 {
            assert_eq!(lineage.take(&at(number, fork)), Progress::Newest);
        }
        lineage
    }

    #[test]
    fn a_lower_head_of_the_same_chain_is_behind() {
        let mut lineage = followed(1);
        assert_eq!(lineage.take(&at(19, 1)), Progress::Newest);
        assert_eq!(lineage.take(&at(15, 1)), Progress::Behind(4));
        // Below everything remembered.
        assert_eq!(lineage.take(&at(2, 1)), Progress::Behind(17));
        assert_eq!(lineage.take(&at(20, 1)), Progress::Newest);
    }

    #[test]
    fn a_lower_head_of_another_fork_is_a_reorg() {
        let mut lineage = followed(1);
        assert_eq!(lineage.take(&at(12, 2)), Progress::Newest);
        // The old fork is not remembered any more, nor taken for the chain again unless it wins.
        assert_eq!(lineage.take(&at(11, 2)), Progress::Behind(1));
        assert_eq!(lineage.take(&at(13, 1)), Progress::Newest);
    }

    #[test]
    fn a_gap_proves_nothing_until_it_is_filled() {
        let mut lineage = Lineage::default();
        lineage.take(&at(8, 1));
        lineage.take(&at(30, 1));
        assert_eq!(lineage.take(&at(20, 2)), Progress::Behind(10));
        assert_eq!(lineage.take(&at(29, 2)), Progress::Newest);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut lineage = Lineage::default();
        for number in 0..2_000 {
            lineage.take(&head(number, B256::with_last_byte(1), B256::with_last_byte(1)));
        }
        assert!(lineage.hashes.len() <= REMEMBERED + 1, "{}", lineage.hashes.len());
    }
}
