//! What op-node calls safe and finalized, held against the node's own chain.
//!
//! op-node and the node are asked at different moments, and the node may be one of several. So op-node's word about a
//! block counts only where the node has that very block; else what was known before stays, as long as the node still
//! has it. The two views are never mixed.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;

use crate::{BlockRef, ChainView, OpNodeView};

/// The blocks in question: op-node's, and those of the view before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettledTags {
    safe: Candidates,
    finalized: Candidates,
}

#[derive(Debug, Clone, Copy)]
struct Candidates {
    told: Option<BlockRef>,
    kept: Option<BlockRef>,
}

/// What the node bears out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BorneOut {
    pub(crate) safe: Option<BlockRef>,
    pub(crate) finalized: Option<BlockRef>,
    /// op-node's word that the node contradicts, for the operator.
    pub(crate) contradiction: Option<String>,
}

impl SettledTags {
    pub(crate) fn new(op_node: &OpNodeView, last: &ChainView) -> Self {
        Self {
            safe: Candidates {
                told: op_node.status.safe_l2,
                kept: last.safe,
            },
            finalized: Candidates {
                told: op_node.status.finalized_l2,
                kept: last.finalized,
            },
        }
    }

    /// The heights to ask the node about: at most four, mostly two.
    pub(crate) fn numbers(&self) -> BTreeSet<u64> {
        let Self { safe, finalized } = self;
        let blocks = [safe.told, safe.kept, finalized.told, finalized.kept].into_iter();
        blocks.flatten().map(|block| block.number).collect()
    }

    /// Decides by the hashes that the node has at these heights.
    pub(crate) fn held_against(self, hashes: &BTreeMap<u64, B256>) -> BorneOut {
        let has = |block: &BlockRef| hashes.get(&block.number) == Some(&block.hash);
        let choose = |of: Candidates| of.told.filter(has).or_else(|| of.kept.filter(has));
        let contradicted = [("safe", self.safe.told), ("finalized", self.finalized.told)];
        let contradiction = contradicted.into_iter().find_map(|(tag, told)| {
            let BlockRef { number, hash, .. } = told.filter(|told| !has(told))?;
            Some(format!(
                "op-node calls block {number} ({hash}) {tag}, which the node does not have: are both of one chain, and \
                 has the node caught up?"
            ))
        });
        BorneOut {
            safe: choose(self.safe),
            finalized: choose(self.finalized),
            contradiction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64, fork: u8) -> BlockRef {
        BlockRef {
            number,
            hash: B256::from_slice(&[&[fork; 31][..], &[number as u8]].concat()),
            timestamp: 2 * number,
        }
    }

    fn tags(told: (Option<BlockRef>, Option<BlockRef>), kept: (Option<BlockRef>, Option<BlockRef>)) -> SettledTags {
        let (safe, finalized) = (told.0, told.1);
        SettledTags {
            safe: Candidates {
                told: safe,
                kept: kept.0,
            },
            finalized: Candidates {
                told: finalized,
                kept: kept.1,
            },
        }
    }

    fn chain(fork: u8, head: u64) -> BTreeMap<u64, B256> {
        (0..=head).map(|number| (number, block(number, fork).hash)).collect()
    }

    #[test]
    fn op_nodes_word_counts_where_the_node_has_the_block() {
        let asked = tags(
            (Some(block(8, 1)), Some(block(5, 1))),
            (Some(block(7, 1)), Some(block(5, 1))),
        );
        assert_eq!(asked.numbers(), BTreeSet::from([5, 7, 8]));
        let here = asked.held_against(&chain(1, 10));
        assert_eq!((here.safe, here.finalized), (Some(block(8, 1)), Some(block(5, 1))));
        assert_eq!(here.contradiction, None);
        // A node that is behind has nothing newer, and keeps what it has.
        let behind = asked.held_against(&chain(1, 7));
        assert_eq!((behind.safe, behind.finalized), (Some(block(7, 1)), Some(block(5, 1))));
        assert!(behind.contradiction.unwrap().contains("block 8"));
    }

    #[test]
    fn nothing_is_settled_that_the_node_does_not_have() {
        let asked = tags(
            (Some(block(8, 1)), Some(block(5, 1))),
            (Some(block(7, 1)), Some(block(5, 1))),
        );
        let elsewhere = asked.held_against(&chain(2, 10));
        assert_eq!((elsewhere.safe, elsewhere.finalized), (None, None));
        assert!(elsewhere.contradiction.is_some());
    }

    #[test]
    fn safe_falls_back_with_op_node() {
        let asked = tags((Some(block(4, 1)), None), (Some(block(7, 1)), Some(block(3, 1))));
        let here = asked.held_against(&chain(1, 10));
        assert_eq!((here.safe, here.finalized), (Some(block(4, 1)), Some(block(3, 1))));
    }
}
