//! VES v1: how the stateset-sequencer hashes signed events, trees of them, and states.
//!
//! Everything is SHA-256 with a domain prefix. `||` concatenates, a UUID is its 16 bytes, integers are
//! big-endian, `str(s)` is a u32 byte length and the UTF-8 bytes:
//!
//! ```text
//! payload_plain_hash = H("VES_PAYLOAD_PLAIN_V1" || RFC8785(payload))
//! signing_hash = H("VES_EVENTSIG_V1" || u32(ves_version) || tenant || store || event || agent || u32(agent_key_id)
//!                  || str(entity_type) || str(entity_id) || str(event_type) || str(created_at)
//!                  || u32(payload_kind) || payload_plain_hash || payload_cipher_hash)
//! leaf  = H("VES_LEAF_V1" || tenant || store || u64(sequence) || signing_hash || agent_signature)
//! pad   = H("VES_PAD_LEAF_V1")
//! node  = H("VES_NODE_V1" || left || right)
//! stream_id  = H("VES_STREAM_V1" || tenant || store)
//! state_root = H("VES_STATE_ROOT_V1" || stream_id || prev_state_root || events_root
//!                || u64(start) || u64(end) || u32(count))
//! ```
//!
//! ```
//! use set_ves::{EventTree, verify_inclusion};
//! use set_types::alloy_primitives::B256;
//!
//! let leaves: Vec<B256> = (1..=3).map(B256::repeat_byte).collect();
//! let tree = EventTree::new(leaves.clone()).expect("there are leaves");
//! let path = tree.proof(2).expect("the index is below the count");
//! verify_inclusion(leaves[2], 2, &path, 3, tree.root()).expect("the leaf is in the tree");
//! ```

mod event;
mod hash;
mod state;
mod tree;

pub use event::{EventError, SignedEvent, payload_plain_hash};
pub use hash::leaf_hash;
pub use state::state_root;
pub use tree::{EventTree, InclusionError, pad_leaf, tree_depth, verify_inclusion};
