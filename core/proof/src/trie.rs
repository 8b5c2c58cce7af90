//! Ways through Ethereum's tries (Merkle-Patricia, keys hashed), as `eth_getProof` lists them.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles,
    nodes::{RlpNode, TrieNode},
};

use crate::encoding::{EncodingError, decode_canonical};

/// Bytes of a hash. A node that is shorter stands inside of its parent and has no hash.
const HASH: usize = 32;

/// Why a list of nodes proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrieError {
    /// The way goes on.
    #[error("the proof ends after {0} nodes, before the end of the way")]
    Missing(usize),
    /// The way goes elsewhere.
    #[error("node {position} hashes to {computed}, and the way leads to {expected}")]
    Hash {
        /// Its position in the list, from 0.
        position: usize,
        /// Its hash.
        computed: B256,
        /// The hash that the node before it, or the root, names.
        expected: B256,
    },
    /// It is no node.
    #[error("node {position} {cause}")]
    Node {
        /// Its position in the list, from 0.
        position: usize,
        /// What is wrong with it.
        cause: EncodingError,
    },
    /// Its place in the trie is one that no such node can have.
    #[error("node {0} cannot stand where it does")]
    Place(usize),
    /// The way ends earlier.
    #[error("{given} nodes are given, and the way has {used}")]
    Superfluous {
        /// Nodes in the list.
        given: usize,
        /// Nodes on the way.
        used: usize,
    },
}

/// What a node leads to.
enum Next {
    Child(RlpNode),
    End(Option<Vec<u8>>),
}

/// Goes from `root` towards `key`, and returns what stands there; `None` where the nodes prove that nothing does.
///
/// # Errors
/// See [`TrieError`]: every node is used, each has the hash that leads to it, and each is in its canonical encoding.
pub(crate) fn value_at(root: B256, key: &[u8], nodes: &[Bytes]) -> Result<Option<Vec<u8>>, TrieError> {
    let mut used = 0;
    let value = if root == EMPTY_ROOT_HASH {
        None
    } else {
        walk(root, &Nibbles::unpack(keccak256(key)), nodes, &mut used)?
    };
    if used != nodes.len() {
        return Err(TrieError::Superfluous {
            given: nodes.len(),
            used,
        });
    }
    Ok(value)
}

fn walk(root: B256, path: &Nibbles, nodes: &[Bytes], used: &mut usize) -> Result<Option<Vec<u8>>, TrieError> {
    let mut depth = 0;
    let mut pointer = RlpNode::word_rlp(&root);
    loop {
        let position = used.saturating_sub(usize::from(!pointer.is_hash()));
        let node = if pointer.is_hash() {
            let bytes = nodes.get(position).ok_or(TrieError::Missing(position))?;
            let expected = B256::from_slice(&pointer[1..]);
            let computed = keccak256(bytes);
            if computed != expected {
                return Err(TrieError::Hash {
                    position,
                    computed,
                    expected,
                });
            }
            // The root alone has a hash at any length.
            if bytes.len() < HASH && position > 0 {
                return Err(TrieError::Place(position));
            }
            *used += 1;
            decode_canonical(bytes)
        } else {
            decode_canonical(&pointer)
        };
        let node = node.map_err(|cause| TrieError::Node { position, cause })?;
        match step(node, path, &mut depth).ok_or(TrieError::Place(position))? {
            Next::Child(child) => pointer = child,
            Next::End(value) => return Ok(value),
        }
    }
}

/// Goes through one node; `None` where such a node cannot be at this depth.
fn step(node: TrieNode, path: &Nibbles, depth: &mut usize) -> Option<Next> {
    let rest = path.slice(*depth..);
    Some(match node {
        // An empty trie is known by its root; within another trie nothing is written for one.
        TrieNode::EmptyRoot => return None,
        TrieNode::Leaf(leaf) => Next::End((rest == leaf.key).then_some(leaf.value)),
        TrieNode::Extension(extension) if extension.key.is_empty() => return None,
        TrieNode::Extension(extension) if rest.starts_with(&extension.key) => {
            *depth += extension.key.len();
            Next::Child(extension.child)
        }
        TrieNode::Extension(_) => Next::End(None),
        TrieNode::Branch(branch) => {
            let nibble = rest.first()?;
            *depth += 1;
            let branch = branch.as_ref();
            let child = branch.children().find(|(index, _)| *index == nibble);
            let child = child.and_then(|(_, child)| child.cloned());
            child.map_or(Next::End(None), Next::Child)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy_trie::{HashBuilder, proof::ProofRetainer};
    use proptest::prelude::*;

    use super::*;

    /// The root of a trie over this content, and the way to `key`.
    fn trie(content: &BTreeMap<Vec<u8>, Vec<u8>>, key: &[u8]) -> (B256, Vec<Bytes>) {
        let hashed: BTreeMap<_, _> = content.iter().map(|(key, value)| (keccak256(key), value)).collect();
        let target = Nibbles::unpack(keccak256(key));
        let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(vec![target]));
        for (key, value) in hashed {
            builder.add_leaf(Nibbles::unpack(key), value);
        }
        let root = builder.root();
        let nodes = builder.take_proof_nodes().into_nodes_sorted();
        (root, nodes.into_iter().map(|(_, node)| node).collect())
    }

    proptest! {
        #[test]
        fn a_way_shows_what_is_there_and_no_other_list_of_nodes_does(
            content in prop::collection::btree_map(
                prop::collection::vec(any::<u8>(), 1..8), prop::collection::vec(1_u8.., 33..40), 1..60,
            ),
            pick: prop::sample::Index, absent in prop::collection::vec(any::<u8>(), 9..12),
            node: prop::sample::Index, byte: prop::sample::Index, bit in 0..8_u8,
        ) {
            let present = content.keys().nth(pick.index(content.len())).cloned().unwrap();
            for key in [present, absent] {
                let (root, nodes) = trie(&content, &key);
                let value = value_at(root, &key, &nodes).unwrap();
                prop_assert_eq!(value.as_ref(), content.get(&key));

                let mut changed = nodes.clone();
                let at = node.index(nodes.len());
                let mut bytes = nodes[at].to_vec();
                let place = byte.index(bytes.len());
                bytes[place] ^= 1 << bit;
                changed[at] = bytes.into();
                prop_assert!(value_at(root, &key, &changed).is_err());
                prop_assert_eq!(
                    value_at(root, &key, &nodes[..nodes.len() - 1]), Err(TrieError::Missing(nodes.len() - 1))
                );
                let longer = [&nodes[..], &nodes[..1]].concat();
                prop_assert_eq!(
                    value_at(root, &key, &longer),
                    Err(TrieError::Superfluous { given: nodes.len() + 1, used: nodes.len() })
                );
            }
        }

        #[test]
        fn bytes_that_hash_right_and_are_no_node_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            // Most are no nodes at all; none may be taken for one that writes itself otherwise, and nothing may panic.
            if let Ok(Some(value)) = value_at(keccak256(&bytes), b"key", &[bytes.clone().into()]) {
                prop_assert_eq!(alloy_rlp::encode(decode_canonical::<TrieNode>(&bytes).unwrap()), bytes);
                prop_assert!(!value.is_empty());
            }
        }
    }

    #[test]
    fn an_empty_trie_holds_nothing_and_needs_no_nodes() {
        assert_eq!(value_at(EMPTY_ROOT_HASH, b"key", &[]), Ok(None));
        let node = Bytes::from_static(&[0x80]);
        let superfluous = TrieError::Superfluous { given: 1, used: 0 };
        assert_eq!(value_at(EMPTY_ROOT_HASH, b"key", &[node]), Err(superfluous));
    }

    #[test]
    fn a_node_inside_of_its_parent_is_gone_through() {
        // Two leaves so short that the branch above them holds them both.
        let path = Nibbles::unpack(keccak256(b"key"));
        let nibble = path.get(63).unwrap();
        let other = (nibble + 1) % 16;
        let leaf = |value: u8| [0xc2, 0x20, value];
        let mut payload = vec![];
        for index in 0..16 {
            match index {
                _ if index == nibble => payload.extend(leaf(7)),
                _ if index == other => payload.extend(leaf(9)),
                _ => payload.push(0x80),
            }
        }
        payload.push(0x80);
        let branch = [vec![0xc0 + u8::try_from(payload.len()).unwrap()], payload].concat();
        let extension = alloy_trie::nodes::ExtensionNode::new(path.slice(..63), RlpNode::from_rlp(&branch));
        let extension = Bytes::from(alloy_rlp::encode(&extension));
        let (root, nodes) = (keccak256(&extension), [extension]);
        assert!(branch.len() < HASH);
        assert_eq!(value_at(root, b"key", &nodes), Ok(Some(vec![7])));
        assert_eq!(value_at(root, b"no key", &nodes), Ok(None));
    }
}
