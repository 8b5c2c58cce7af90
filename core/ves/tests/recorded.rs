//! Recordings of a running sequencer, recomputed: every hash, signature, root and proof.

#![allow(clippy::unwrap_used)]

use alloy_primitives::B256;
use serde::Deserialize;
use set_types::Commitment;
use set_ves::{EventTree, SignedEvent, pad_leaf, state_root, verify_inclusion};

#[derive(Deserialize)]
struct Recording {
    pad_leaf: B256,
    agent_public_key: B256,
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Batch {
    pending: Commitment,
    proofs: Vec<Proof>,
    leaves: Vec<Leaf>,
}

#[derive(Deserialize)]
struct Proof {
    leaf_hash: String,
    leaf_index: u64,
    merkle_root: String,
    proof_path: Vec<String>,
}

#[derive(Deserialize)]
struct Leaf {
    sequence_number: u64,
    event: SignedEvent,
    event_signing_hash: B256,
    leaf_hash: B256,
}

fn recording() -> Recording {
    serde_json::from_str(include_str!("../vectors/ves.json")).unwrap()
}

fn word(digits: &str) -> B256 {
    B256::from_slice(&hex::decode(digits).unwrap())
}

#[test]
fn events_hash_and_verify() {
    let recording = recording();
    for leaf in recording.batches.iter().flat_map(|batch| &batch.leaves) {
        leaf.event.check_payload().unwrap();
        leaf.event.verify_signature(&recording.agent_public_key).unwrap();
        assert_eq!(leaf.event.signing_hash(), leaf.event_signing_hash);
        assert_eq!(leaf.event.leaf(leaf.sequence_number), leaf.leaf_hash);
    }
}

#[test]
fn a_changed_event_is_refused() {
    let recording = recording();
    let mut event = recording.batches[0].leaves[0].event.clone();
    event.entity_id.push('0');
    assert!(event.verify_signature(&recording.agent_public_key).is_err());
    event.payload = Some(serde_json::json!({"amount_cents": 1}));
    assert!(
        event
            .check_payload()
            .unwrap_err()
            .to_string()
            .contains("payload_plain_hash")
    );
}

#[test]
fn trees_states_and_proofs_agree() {
    let recording = recording();
    assert_eq!(pad_leaf(), recording.pad_leaf);
    for batch in &recording.batches {
        let commitment = &batch.pending;
        commitment.check_shape().unwrap();
        assert_eq!(state_root(commitment), Some(commitment.new_state_root));

        let tree = EventTree::new(batch.leaves.iter().map(|leaf| leaf.leaf_hash).collect()).unwrap();
        assert_eq!(tree.root(), commitment.events_root);
        assert_eq!(batch.proofs.len(), batch.leaves.len());
        for proof in &batch.proofs {
            let path: Vec<B256> = proof.proof_path.iter().map(|digits| word(digits)).collect();
            assert_eq!(tree.proof(usize::try_from(proof.leaf_index).unwrap()).unwrap(), path);
            assert_eq!(word(&proof.merkle_root), commitment.events_root);
            let leaf = word(&proof.leaf_hash);
            verify_inclusion(
                leaf,
                proof.leaf_index,
                &path,
                commitment.event_count,
                commitment.events_root,
            )
            .unwrap();
        }
    }
}
