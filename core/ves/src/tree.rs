//! The tree over a batch's leaves, and inclusion proofs.

use alloy_primitives::B256;

use crate::hash::Transcript;

/// What fills a tree up to the next power of two.
pub fn pad_leaf() -> B256 {
    Transcript::new("VES_PAD_LEAF_V1").finish()
}

fn node(left: B256, right: B256) -> B256 {
    Transcript::new("VES_NODE_V1").bytes(left).bytes(right).finish()
}

/// Depth of the tree over `event_count` leaves: `ceil(log2(event_count))`; 0 for one leaf.
pub const fn tree_depth(event_count: u32) -> u32 {
    // The number of bits of the highest index is the depth of the padded tree.
    u32::BITS - event_count.saturating_sub(1).leading_zeros()
}

/// A batch's tree, with every level kept so that proofs are look-ups.
#[derive(Debug, Clone)]
pub struct EventTree {
    /// Leaves (padded) first, the root alone last.
    levels: Vec<Vec<B256>>,
    event_count: usize,
}

impl EventTree {
    /// Builds the tree over leaves in sequence order; `None` for no leaves, since a batch holds at
    /// least one event.
    pub fn new(mut leaves: Vec<B256>) -> Option<Self> {
        let event_count = leaves.len();
        if event_count == 0 {
            return None;
        }
        leaves.resize(event_count.next_power_of_two(), pad_leaf());
        let mut levels = vec![];
        let mut level = leaves;
        while level.len() > 1 {
            let above = level.chunks_exact(2).map(|pair| node(pair[0], pair[1])).collect();
            levels.push(level);
            level = above;
        }
        levels.push(level);
        Some(Self { levels, event_count })
    }

    /// The events root. For one leaf it is the leaf itself.
    pub fn root(&self) -> B256 {
        self.levels[self.levels.len() - 1][0]
    }

    /// The siblings from the leaf at `index` up to the root; `None` from the event count on, so that
    /// no pad is ever proven.
    pub fn proof(&self, index: usize) -> Option<Vec<B256>> {
        if index >= self.event_count {
            return None;
        }
        let below_root = &self.levels[..self.levels.len() - 1];
        Some(
            below_root
                .iter()
                .enumerate()
                .map(|(depth, level)| level[(index >> depth) ^ 1])
                .collect(),
        )
    }
}

/// Why an inclusion proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// The index names no event: it would be a pad, or nothing.
    #[error("leaf index {index} is not below the event count {event_count}")]
    Index {
        /// The index.
        index: u64,
        /// Number of events in the batch.
        event_count: u32,
    },
    /// An inner node of the tree passes for a leaf of a shorter path, so the length must be exact.
    #[error("the path has {length} entries; a tree of {event_count} events needs {expected}")]
    PathLength {
        /// Entries given.
        length: usize,
        /// Entries needed.
        expected: u32,
        /// Number of events in the batch.
        event_count: u32,
    },
    /// The path leads elsewhere.
    #[error("the path leads to {computed}, not to the events root {expected}")]
    Root {
        /// Where the path leads.
        computed: B256,
        /// The batch's root.
        expected: B256,
    },
}

/// Checks that `leaf` is event number `index` of a batch with `event_count` events under `root`.
///
/// # Errors
/// Says what does not fit; see [`InclusionError`]. `event_count` and `root` must come from where the
/// caller trusts them (the chain), never from the proof.
pub fn verify_inclusion(
    leaf: B256,
    index: u64,
    path: &[B256],
    event_count: u32,
    root: B256,
) -> Result<(), InclusionError> {
    if index >= u64::from(event_count) {
        return Err(InclusionError::Index { index, event_count });
    }
    let expected = tree_depth(event_count);
    if u32::try_from(path.len()) != Ok(expected) {
        return Err(InclusionError::PathLength {
            length: path.len(),
            expected,
            event_count,
        });
    }
    let computed = path.iter().enumerate().fold(leaf, |below, (depth, sibling)| {
        if index >> depth & 1 == 0 {
            node(below, *sibling)
        } else {
            node(*sibling, below)
        }
    });
    if computed != root {
        return Err(InclusionError::Root {
            computed,
            expected: root,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: usize) -> Vec<B256> {
        (0..count)
            .map(|index| B256::from(alloy_primitives::U256::from(index + 1)))
            .collect()
    }

    #[test]
    fn depth_is_the_rounded_up_logarithm() {
        let cases = [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4), (u32::MAX, 32)];
        for (count, depth) in cases {
            assert_eq!(tree_depth(count), depth, "{count} events");
        }
    }

    #[test]
    fn a_pad_is_not_an_event() {
        let tree = EventTree::new(leaves(3)).unwrap();
        assert_eq!(tree.proof(3), None);
        let sibling_of_the_pad = tree.proof(2).unwrap();
        let forged = [leaves(3)[2], sibling_of_the_pad[1]];
        let error = verify_inclusion(pad_leaf(), 3, &forged, 3, tree.root()).unwrap_err();
        assert_eq!(
            error,
            InclusionError::Index {
                index: 3,
                event_count: 3
            }
        );
        verify_inclusion(pad_leaf(), 3, &forged, 4, tree.root()).expect("only the event count keeps the pad out");
    }

    #[test]
    fn an_inner_node_is_not_an_event() {
        let leaves = leaves(4);
        let tree = EventTree::new(leaves.clone()).unwrap();
        let (left, right) = (node(leaves[0], leaves[1]), node(leaves[2], leaves[3]));
        let error = verify_inclusion(left, 0, &[right], 4, tree.root()).unwrap_err();
        assert!(matches!(
            error,
            InclusionError::PathLength {
                length: 1,
                expected: 2,
                ..
            }
        ));
    }

    proptest! {
        #[test]
        fn every_leaf_is_proven_and_no_changed_bit_is(
            count in 1usize..40, pick: prop::sample::Index, bit in 0usize..256, place: prop::sample::Index,
        ) {
            let leaves = leaves(count);
            let tree = EventTree::new(leaves.clone()).unwrap();
            let index = pick.index(count);
            let path = tree.proof(index).unwrap();
            let events = u32::try_from(count).unwrap();
            let check = |leaf, index, path: &[B256], root| verify_inclusion(leaf, index, path, events, root);
            check(leaves[index], index as u64, &path, tree.root()).unwrap();

            let flip = |word: B256| { let mut word = word; word[bit / 8] ^= 1 << (bit % 8); word };
            prop_assert!(check(flip(leaves[index]), index as u64, &path, tree.root()).is_err());
            prop_assert!(check(leaves[index], index as u64, &path, flip(tree.root())).is_err());
            prop_assert!(check(leaves[index], index as u64 ^ 1 << (bit % 64), &path, tree.root()).is_err());
            if !path.is_empty() {
                let mut changed = path.clone();
                let at = place.index(path.len());
                changed[at] = flip(changed[at]);
                prop_assert!(check(leaves[index], index as u64, &changed, tree.root()).is_err());
                prop_assert!(check(leaves[index], index as u64, &path[1..], tree.root()).is_err());
            }
            prop_assert!(check(leaves[index], index as u64, &[&path[..], &[pad_leaf()]].concat(), tree.root()).is_err());
        }
    }
}
