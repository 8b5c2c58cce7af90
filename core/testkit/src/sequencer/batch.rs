//! One batch: what it claims, what it really holds, and how the two APIs write it.

use std::time::{Duration, Instant};

use alloy_primitives::{B256, hex};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::Serialize;
use serde_json::{Value, json};
use set_types::Commitment;
use set_ves::EventTree;

/// A batch of one store's events.
#[derive(Debug)]
pub(super) struct Batch {
    /// What the sequencer claims, flawed or not.
    pub(super) commitment: Commitment,
    /// Position of its stream.
    pub(super) stream: usize,
    /// The sequence number that its first leaf was really made with.
    pub(super) first_sequence: u64,
    /// When its events were made, as they say it.
    pub(super) created_at: String,
    /// Its tree's leaves.
    pub(super) leaves: Vec<B256>,
    /// Where it was anchored, once that was reported.
    pub(super) anchor: Option<Anchor>,
}

/// A report that was recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    pub(super) tx_hash: B256,
    pub(super) chain_id: u64,
    pub(super) block_number: Option<u64>,
    pub(super) gas_used: Option<u64>,
    pub(super) anchored_at: Timestamp,
    pub(super) recorded: Instant,
}

/// How `/v1/commitments/pending` writes a commitment.
#[derive(Debug, Serialize)]
pub(super) struct PendingEntry {
    batch_id: String,
    chain_tx_hash: Option<String>,
    committed_at: String,
    event_count: u32,
    events_root: B256,
    new_state_root: B256,
    prev_state_root: B256,
    sequence_end: u64,
    sequence_start: u64,
    store_id: String,
    tenant_id: String,
}

impl From<&Commitment> for PendingEntry {
    fn from(commitment: &Commitment) -> Self {
        Self {
            batch_id: commitment.batch_id.to_string(),
            chain_tx_hash: None,
            committed_at: rfc3339(commitment.committed_at),
            event_count: commitment.event_count,
            events_root: commitment.events_root,
            new_state_root: commitment.new_state_root,
            prev_state_root: commitment.prev_state_root,
            sequence_end: commitment.sequence_end,
            sequence_start: commitment.sequence_start,
            store_id: commitment.store_id.to_string(),
            tenant_id: commitment.tenant_id.to_string(),
        }
    }
}

impl Batch {
    /// The anchor as a reader sees it who is `stale` behind.
    pub(super) fn visible_anchor(&self, stale: Duration) -> Option<Anchor> {
        self.anchor.filter(|anchor| anchor.recorded.elapsed() >= stale)
    }

    /// How `/api/v1/ves/commitments` writes it: other names, and hex without 0x.
    pub(super) fn ves_entry(&self, stale: Duration) -> Value {
        let commitment = &self.commitment;
        let anchor = self.visible_anchor(stale);
        let depth = set_ves::tree_depth(u32::try_from(self.leaves.len()).unwrap_or(u32::MAX));
        json!({
            "batch_id": commitment.batch_id,
            "tenant_id": commitment.tenant_id,
            "store_id": commitment.store_id,
            "ves_version": 1,
            "merkle_root": hex::encode(commitment.events_root),
            "prev_state_root": hex::encode(commitment.prev_state_root),
            "new_state_root": hex::encode(commitment.new_state_root),
            "sequence_start": commitment.sequence_start,
            "sequence_end": commitment.sequence_end,
            "leaf_count": commitment.event_count,
            "padded_leaf_count": self.leaves.len().next_power_of_two(),
            "tree_depth": depth,
            "committed_at": rfc3339(commitment.committed_at),
            "is_anchored": anchor.is_some(),
            "chain_tx_hash": anchor.map(|anchor| hex::encode(anchor.tx_hash)),
            "chain_id": anchor.map(|anchor| anchor.chain_id),
            "chain_block_number": anchor.and_then(|anchor| anchor.block_number),
            "gas_used": anchor.and_then(|anchor| anchor.gas_used),
            "anchored_at": anchor.map(|anchor| rfc3339(anchor.anchored_at)),
        })
    }

    /// The proof of the leaf at `index`, as `/api/v1/ves/proofs` writes it. `None` outside the batch.
    pub(super) fn proof(&self, index: u64) -> Option<Proof> {
        let position = usize::try_from(index).ok()?;
        let leaf = *self.leaves.get(position)?;
        let path = EventTree::new(self.leaves.clone())?.proof(position)?;
        Some(Proof { leaf, index, path })
    }
}

/// An inclusion proof of this batch's tree.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) leaf: B256,
    index: u64,
    path: Vec<B256>,
}

impl Proof {
    pub(super) fn entry(&self, batch: &Batch) -> Value {
        json!({
            "batch_id": batch.commitment.batch_id,
            "sequence_number": batch.first_sequence.saturating_add(self.index),
            "merkle_root": hex::encode(batch.commitment.events_root),
            "leaf_hash": hex::encode(self.leaf),
            "leaf_index": self.index,
            "proof_path": self.path.iter().map(hex::encode).collect::<Vec<_>>(),
            // True where the sibling is on the right.
            "directions": (0..self.path.len()).map(|depth| self.index >> depth & 1 == 0).collect::<Vec<_>>(),
        })
    }
}

/// RFC 3339 with microseconds, and without trailing zeros in groups of three: 0, 3 or 6 digits.
pub(super) fn rfc3339(time: Timestamp) -> String {
    let digits = match time.subsec_microsecond() {
        0 => 0,
        micros if micros % 1000 == 0 => 3,
        _ => 6,
    };
    format!("{:.*}", digits, floor(time, Unit::Microsecond))
}

/// Rounds down; a time that has no such neighbour (the end of year 9999) stays as it is.
pub(super) fn floor(time: Timestamp, unit: Unit) -> Timestamp {
    time.round(TimestampRound::new().smallest(unit).mode(RoundMode::Floor))
        .unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_three_or_six_digits() {
        for (time, text) in [
            ("2026-11-22T10:58:10Z", "2026-11-22T10:58:10Z"),
            ("2026-11-22T10:58:10.5Z", "2026-11-22T10:58:10.500Z"),
            ("2026-11-22T10:58:10.049Z", "2026-11-22T10:58:10.049Z"),
            ("2026-11-22T10:58:10.04943Z", "2026-11-22T10:58:10.049430Z"),
            ("2026-11-22T10:58:10.000000999Z", "2026-11-22T10:58:10Z"),
        ] {
            assert_eq!(rfc3339(time.parse().unwrap()), text);
        }
    }
}
