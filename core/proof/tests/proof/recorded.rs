//! A stream of three batches, of 1, 3 and 8 signed events, as the sequencer made them.

use serde_json::Value;
use set_proof::Inclusion;
use set_types::Commitment;
use set_ves::SignedEvent;

/// A batch with its events.
pub(crate) struct Batch {
    pub(crate) commitment: Commitment,
    /// Each event, and what proves that it is in the batch.
    pub(crate) events: Vec<(SignedEvent, Inclusion)>,
}

/// The three batches, each of which continues the one before it.
pub(crate) fn batches() -> Vec<Batch> {
    let recording: Value = serde_json::from_str(include_str!("../../../ves/vectors/ves.json")).unwrap();
    let batches = recording["batches"].as_array().unwrap().iter();
    batches
        .map(|batch| {
            let proofs = batch["proofs"].as_array().unwrap().iter();
            let leaves = batch["leaves"].as_array().unwrap();
            let event = |(proof, leaf): (&Value, &Value)| {
                let inclusion = Inclusion {
                    sequence: proof["sequence_number"].as_u64().unwrap(),
                    leaf: serde_json::from_value(proof["leaf_hash"].clone()).unwrap(),
                    path: serde_json::from_value(proof["proof_path"].clone()).unwrap(),
                };
                (serde_json::from_value(leaf["event"].clone()).unwrap(), inclusion)
            };
            Batch {
                commitment: serde_json::from_value(batch["pending"].clone()).unwrap(),
                events: proofs.zip(leaves).map(event).collect(),
            }
        })
        .collect()
}
