//! Checking every event's proof on chain.

use alloy::eips::BlockId;
use eyre::{Result, ensure};
use serde_json::json;
use set_chain::RegistryReader;
use set_types::{Commitment, InclusionProof};

use crate::network::Network;

/// Fetches every event's inclusion proof from the sidecar and asks the contract about it; returns how
/// many there were.
///
/// # Errors
/// Names the first event whose proof does not hold.
pub(crate) async fn verify(network: &Network, commitments: &[Commitment]) -> Result<usize> {
    let registry = RegistryReader::new(network.chain.provider().clone(), network.contracts.registry);
    let mut verified = 0;
    for commitment in commitments {
        let batch = commitment.batch_id;
        for sequence in commitment.sequence_start..=commitment.sequence_end {
            let answer = network
                .sidecar
                .call("set_getInclusionProof", json!([batch, sequence]))
                .await?;
            let proof = InclusionProof {
                batch_id: batch,
                sequence,
                leaf: serde_json::from_value(answer["leaf"].clone())?,
                leaf_index: serde_json::from_value(answer["leafIndex"].clone())?,
                path: serde_json::from_value(answer["path"].clone())?,
                events_root: serde_json::from_value(answer["eventsRoot"].clone())?,
            };
            let (event, _) = network
                .sequencer
                .event(batch, sequence)
                .ok_or_else(|| eyre::eyre!("no event {sequence}"))?;
            ensure!(
                event.leaf(sequence) == proof.leaf,
                "batch {batch}: the proof of event {sequence} is for another leaf"
            );
            let latest = BlockId::latest();
            let valid = registry
                .verify_inclusion(batch, proof.leaf, proof.path, proof.leaf_index, latest)
                .await?;
            ensure!(
                valid,
                "batch {batch}: the contract refuses the proof of event {sequence}"
            );
            verified += 1;
        }
    }
    Ok(verified)
}
