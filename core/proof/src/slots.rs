//! Which storage slots of SetRegistry a proof consists of (`contracts/LAYOUT.md`, version 1).
//!
//! A prover does not know beforehand how a record is stored. It asks for all of [`asked`] in one `eth_getProof`, reads
//! the record's first and last word, and keeps the slots that [`proven`] then names: those, in that order, are what a
//! [`SettlementProof`](crate::SettlementProof) carries, and no other.

use alloy_primitives::{Address, B256, U256, keccak256};
use set_types::BatchId;

/// The slot of the status word, whose lowest byte is the layout's version.
pub const STATUS: B256 = B256::ZERO;

/// The mapping of records by batch id, three words each.
const RECORDS: u8 = 1;
/// The mapping of explicit previous state roots by batch id.
const EXPLICIT_PREVIOUS_ROOTS: u8 = 2;

/// The three slots of a record: its events root (zero where the record is in code), its new state root, and the word
/// with the rest (zero where there is no record).
pub fn record(batch_id: BatchId) -> [B256; 3] {
    let base = U256::from_be_bytes(in_mapping(batch_id, RECORDS).0);
    [0_u64, 1, 2].map(|word| B256::from(base.wrapping_add(U256::from(word))))
}

/// The slot of the previous state root, which counts where the record is in slots and names no predecessor.
pub fn explicit_previous_root(batch_id: BatchId) -> B256 {
    in_mapping(batch_id, EXPLICIT_PREVIOUS_ROOTS)
}

/// Every slot that a proof of this batch may need.
pub fn asked(batch_id: BatchId) -> [B256; 5] {
    let [root, state, content] = record(batch_id);
    [STATUS, root, state, content, explicit_previous_root(batch_id)]
}

/// The slots that a proof of this batch carries, in this order, given the first and the last word of its record.
///
/// In code: the status, and the two words that say so and where. In slots: the status, the whole record, and the
/// previous state root unless the record names its predecessor instead.
pub fn proven(batch_id: BatchId, root: U256, content: U256) -> Vec<B256> {
    let [first, second, third] = record(batch_id);
    if root.is_zero() {
        return vec![STATUS, first, third];
    }
    let mut slots = vec![STATUS, first, second, third];
    if predecessor(content).is_none() {
        slots.push(explicit_previous_root(batch_id));
    }
    slots
}

/// The contract whose code holds the record, given the first and the last word; `None` where the record is in slots,
/// and where there is no record.
pub fn data_contract(root: U256, content: U256) -> Option<Address> {
    (root.is_zero() && !content.is_zero()).then(|| Address::from_word(B256::from(content)))
}

/// The batch before, where a record in slots names it: its id is a UUID, the lower half of the last word.
pub(crate) fn predecessor(content: U256) -> Option<BatchId> {
    let id: U256 = content << 128;
    (!id.is_zero()).then(|| B256::from(id).into())
}

/// Where Solidity puts the value of `batch_id` in the mapping at `slot`.
fn in_mapping(batch_id: BatchId, slot: u8) -> B256 {
    let mut preimage = [0; 64];
    preimage[..32].copy_from_slice(batch_id.to_b256().as_slice());
    preimage[63] = slot;
    keccak256(preimage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> BatchId {
        B256::repeat_byte(7).into()
    }

    #[test]
    fn what_is_proven_was_asked_for() {
        let asked = asked(batch());
        for (root, content) in [(0, 1 << 9), (1, 1), (1, 1 << 9)] {
            let content = U256::from(content) << (128 * (content & 1));
            for slot in proven(batch(), U256::from(root), content) {
                assert!(asked.contains(&slot), "{root} {content}");
            }
        }
    }

    #[test]
    fn a_named_predecessor_stands_for_the_previous_root() {
        let in_slots = U256::from(1);
        let unnamed = U256::from(5) << 128;
        assert_eq!(
            proven(batch(), in_slots, unnamed).last(),
            Some(&explicit_previous_root(batch()))
        );
        let named = unnamed | U256::from(9);
        assert!(!proven(batch(), in_slots, named).contains(&explicit_previous_root(batch())));
        let id = predecessor(named).unwrap();
        assert_eq!(id.to_b256()[..16], [&[0_u8; 15][..], &[9]].concat());
        assert!(id.to_uuid().is_some());
    }
}
