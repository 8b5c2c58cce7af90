//! One proof from a commerce event to Ethereum, and its verification.
//!
//! A [`SettlementProof`] is a chain of links, each of which follows from the one before it by hashing alone:
//!
//! ```text
//! claim        a dispute game on L1 claims an output root for an L2 block
//! output root  the claim is the hash of the block's hash, its state root and its message passer's storage root
//! header       hashes to the block's hash; holds the state root
//! account      the registry's account, proven against the state root; holds the storage root
//! storage      the registry's words, proven against the storage root
//! code         where the words say that a data contract holds the record: its account and its code
//! record       what words and code say: events root, event count, sequence numbers, state root
//! inclusion    the path from the leaf to the events root
//! leaf         the hash of the signed event at its place in the stream
//! event        the payload, where it is given, is the one that was signed
//! ```
//!
//! [`SettlementProof::verify`] goes down these links and trusts no value that does not follow from the one above it.
//! What remains is the first of them: that L1 holds such a game, and that its claim can be relied on. That takes a node
//! of L1, and is not in this crate, which knows no network and no clock.
//!
//! There is one way in for a proof that somebody hands over, [`SettlementProof::from_json`], and one way to write each
//! proof: what it reads, it would write again, value by value.

mod assemble;
mod broken;
mod encoding;
mod json;
mod output_root;
mod proof;
mod record;
pub mod slots;
mod trie;
mod verify;

pub use assemble::{DataContractEvidence, Evidence};
pub use broken::{BrokenLink, Link};
pub use json::FormatError;
pub use output_root::OutputRoot;
pub use proof::{AccountProof, DataContract, FormatVersion, GameClaim, Inclusion, SettlementProof, StorageSlot};
pub use record::{Previous, Record};
pub use verify::{Chain, ProvenBlock, ProvenEvent, Verified};
