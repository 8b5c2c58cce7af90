//! Ways through Merkle-Patricia tries, by the hashes of their nodes.

use std::collections::HashMap;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::TrieNode};
use set_index::StoreError;

/// Bytes by their keccak256: trie nodes, contracts' code, block headers. What has a hash that is trusted can be
/// trusted itself, wherever it comes from.
pub(crate) trait Parts {
    /// What has this hash, or `None` where it is not here. Never anything else than what has it.
    fn part(&self, hash: B256) -> Result<Option<Bytes>, StoreError>;
}

/// Parts in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartMap(HashMap<B256, Bytes>);

impl PartMap {
    /// Adds bytes, and says what their hash is.
    pub(crate) fn add(&mut self, bytes: Bytes) -> B256 {
        let hash = keccak256(&bytes);
        self.0.insert(hash, bytes);
        hash
    }

    /// Every part with its hash, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&B256, &Bytes)> {
        self.0.iter()
    }
}

impl Parts for PartMap {
    fn part(&self, hash: B256) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.get(&hash).cloned())
    }
}

/// Why a way through a trie cannot be gone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    /// A part on the way is not here.
    #[error("the part with hash {0} is missing")]
    Missing(B256),
    /// A part on the way is not what it has to be.
    #[error("the part with hash {hash} is {what}")]
    Malformed {
        /// Its hash.
        hash: B256,
        /// What is wrong with it.
        what: String,
    },
    /// The parts cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A way from a trie's root as far as a key leads: its Merkle proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// The nodes that have a hash, the root first, each in RLP.
    pub(crate) nodes: Vec<Bytes>,
    /// What stands under the key, in RLP; `None` where the nodes prove that nothing does.
    pub(crate) value: Option<Bytes>,
}

/// A part that has to be here.
pub(crate) fn part(parts: &impl Parts, hash: B256) -> Result<Bytes, WalkError> {
    parts.part(hash)?.ok_or(WalkError::Missing(hash))
}

/// Goes from `root` towards `key`, whose hash is the path ("secure" tries, as Ethereum's are).
pub(crate) fn walk(parts: &impl Parts, root: B256, key: &[u8]) -> Result<Way, WalkError> {
    let path = Nibbles::unpack(keccak256(key));
    let mut way = Way {
        nodes: vec![],
        value: None,
    };
    if root == EMPTY_ROOT_HASH {
        return Ok(way);
    }
    let (mut next, mut depth) = (root, 0);
    loop {
        let node = part(parts, next)?;
        way.nodes.push(node.clone());
        match step(next, &node, &path, &mut depth)? {
            Step::Node(hash) => next = hash,
            Step::End(value) => {
                way.value = value;
                return Ok(way);
            }
        }
    }
}

/// Where a node leads.
enum Step {
    /// To the node with this hash.
    Node(B256),
    /// To a value, or to none.
    End(Option<Bytes>),
}

/// Goes through one node and those that are written inside of it. `hash` is the node's, for errors.
fn step(hash: B256, node: &[u8], path: &Nibbles, depth: &mut usize) -> Result<Step, WalkError> {
    let malformed = |what: String| WalkError::Malformed { hash, what };
    let mut inner = node.to_vec();
    loop {
        let mut rest = inner.as_slice();
        let decoded = TrieNode::decode(&mut rest).map_err(|error| malformed(format!("no trie node: {error}")))?;
        let child = match decoded {
            TrieNode::EmptyRoot => return Ok(Step::End(None)),
            TrieNode::Leaf(leaf) => {
                let reached = path.slice(*depth..) == leaf.key;
                return Ok(Step::End(reached.then(|| leaf.value.into())));
            }
            TrieNode::Extension(extension) => {
                if !path.slice(*depth..).starts_with(&extension.key) {
                    return Ok(Step::End(None));
                }
                *depth += extension.key.len();
                extension.child
            }
            TrieNode::Branch(branch) => {
                let Some(nibble) = path.get(*depth) else {
                    return Err(malformed("a branch below the end of every key".to_owned()));
                };
                *depth += 1;
                let children = branch.as_ref();
                let child = children.children().find(|(index, _)| *index == nibble);
                match child.and_then(|(_, child)| child.cloned()) {
                    Some(child) => child,
                    None => return Ok(Step::End(None)),
                }
            }
        };
        // A child that is shorter than a hash is written out in its place.
        match child.as_hash() {
            Some(hash) => return Ok(Step::Node(hash)),
            None => inner = child.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_trie::{HashBuilder, proof::ProofRetainer};
    use proptest::prelude::*;

    use super::*;

    /// A trie over these keys: its root, and every node that some key's proof needs.
    fn trie(content: &BTreeMap<Vec<u8>, Vec<u8>>, asked: &[Vec<u8>]) -> (B256, PartMap) {
        let hashed: BTreeMap<_, _> = content.iter().map(|(key, value)| (keccak256(key), value)).collect();
        let targets = asked.iter().map(|key| Nibbles::unpack(keccak256(key))).collect();
        let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(targets));
        for (key, value) in hashed {
            builder.add_leaf(Nibbles::unpack(key), value);
        }
        let root = builder.root();
        let mut parts = PartMap::default();
        for (_, node) in builder.take_proof_nodes().into_inner() {
            parts.add(node);
        }
        (root, parts)
    }

    proptest! {
        #[test]
        fn a_way_is_a_proof_of_what_is_there_and_of_what_is_not(
            content in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..8), prop::collection::vec(1u8.., 1..40), 1..60),
            absent in prop::collection::vec(any::<u8>(), 9..12),
        ) {
            let mut asked: Vec<_> = content.keys().cloned().collect();
            asked.push(absent);
            let (root, parts) = trie(&content, &asked);
            for key in &asked {
                let way = walk(&parts, root, key).unwrap();
                let value = content.get(key).cloned();
                prop_assert_eq!(way.value.as_ref().map(|value| value.to_vec()), value.clone());
                alloy_trie::proof::verify_proof(root, Nibbles::unpack(keccak256(key)), value, &way.nodes).unwrap();
            }
        }
    }

    #[test]
    fn a_missing_node_is_named() {
        let content = (0u8..40).map(|byte| (vec![byte], vec![byte; 33])).collect();
        let (root, parts) = trie(&content, &[vec![7]]);
        let way = walk(&parts, root, &[7]).unwrap();
        let mut rest = PartMap::default();
        for node in &way.nodes[..way.nodes.len() - 1] {
            rest.add(node.clone());
        }
        let missing = keccak256(way.nodes.last().unwrap());
        assert!(matches!(walk(&rest, root, &[7]), Err(WalkError::Missing(hash)) if hash == missing));
    }

    #[test]
    fn an_empty_trie_holds_nothing() {
        let way = walk(&PartMap::default(), EMPTY_ROOT_HASH, b"key").unwrap();
        assert_eq!((way.nodes.len(), way.value), (0, None));
    }
}
