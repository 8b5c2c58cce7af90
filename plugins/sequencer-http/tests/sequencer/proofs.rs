//! Inclusion proofs.

use futures::future::{Either, select};
use serde_json::json;
use set_plugin_sdk::prelude::*;
use set_testkit::Sequencer;
use uuid::Uuid;

use crate::fixture::{ALL, simple, start};

fn of(commitment: &Commitment, sequence: u64) -> InclusionProofRequest {
    InclusionProofRequest {
        stream: commitment.stream(),
        batch_id: commitment.batch_id,
        sequence,
    }
}

#[tokio::test]
async fn proofs_lead_from_the_event_to_the_root() {
    let (sequencer, plugin) = simple().await;
    let stream = sequencer.streams()[0];
    for events in [1, 5] {
        let made = sequencer.commit(stream, events);
        for sequence in made.sequence_start..=made.sequence_end {
            let proof = plugin.inclusion_proof(&of(&made, sequence)).await.unwrap();
            assert_eq!((proof.batch_id, proof.sequence), (made.batch_id, sequence));
            assert_eq!(proof.events_root, made.events_root);
            let (event, _) = sequencer.event(made.batch_id, sequence).unwrap();
            assert_eq!(proof.leaf, event.leaf(sequence));
            let count = made.event_count;
            set_ves::verify_inclusion(proof.leaf, proof.leaf_index, &proof.path, count, made.events_root).unwrap();
        }
    }
}

#[tokio::test]
async fn a_refused_proof_says_why_and_troubles_nobody() {
    let (sequencer, plugin) = start(Sequencer::builder().streams(2), json!({})).await;
    let made = sequencer.commit(sequencer.streams()[0], 3);
    let unknown = InclusionProofRequest {
        batch_id: Uuid::from_u128(5).into(),
        ..of(&made, 1)
    };
    let of_another = InclusionProofRequest {
        stream: sequencer.streams()[1],
        ..of(&made, 1)
    };
    for (request, expected) in [
        (
            of(&made, 4),
            "400 Bad Request: the sequence number is outside the batch",
        ),
        (unknown, "404 Not Found: no batch "),
        (of_another, "403 Forbidden: the batch belongs to another stream"),
    ] {
        let error = plugin.inclusion_proof(&request).await.unwrap_err();
        assert!(!error.retryable && error.message.contains(expected), "{error}");
    }
    plugin.health().await.unwrap();
    sequencer.set_faults(|faults| faults.internal_errors = 1);
    assert!(plugin.inclusion_proof(&of(&made, 1)).await.unwrap_err().retryable);
}

#[tokio::test]
async fn proofs_that_hang_keep_nobody_from_polling() {
    let budget = json!({ "proof_concurrency": 1, "proof_queue": 0 });
    let (sequencer, plugin) = start(Sequencer::builder(), budget).await;
    let made = sequencer.commit(sequencer.streams()[0], 2);
    sequencer.set_faults(|faults| faults.silence_ms = Some(30_000));
    let (one, two) = (of(&made, 1), of(&made, 2));
    let (one, two) = (plugin.inclusion_proof(&one), plugin.inclusion_proof(&two));
    // Whichever comes second is refused at once, so the other one is under way.
    let (Either::Left((refused, _)) | Either::Right((refused, _))) = select(Box::pin(one), Box::pin(two)).await;
    let error = refused.unwrap_err();
    assert!(error.retryable && error.message.contains("`proof_queue`"), "{error}");
    sequencer.heal();
    assert_eq!(plugin.poll(&ALL).await.unwrap().commitments.len(), 1);
    plugin.stop().await;
}
