//! `set_getInclusionProof`, `set_verifyInclusion`.

use std::sync::Arc;

use alloy_primitives::B256;
use set_types::{BatchId, InclusionProofRequest, StreamId};

use super::{
    commitments::find,
    streams::{StreamParam, chain_unavailable},
};
use crate::{
    answer::{CheckAnswer, CommitmentAnswer, InclusionProofAnswer, VerifyInclusionAnswer},
    args::{Args, Number},
    error::RpcError,
    proofs::{Proven, Target},
    service::Service,
};

/// A tree of u32::MAX events is 32 deep.
const MAX_PATH: usize = 32;

pub(crate) async fn get_inclusion_proof(service: &Service, mut args: Args) -> Result<InclusionProofAnswer, RpcError> {
    let batch_id: BatchId = args.required()?;
    let Number(sequence) = args.required()?;
    let given: Option<StreamParam> = args.optional()?;
    let commitment = find(service, batch_id).await?;
    let stream = stream_of(service, &commitment, given).await?;
    let (target, proven) = prove_inclusion(service, &commitment, stream, sequence).await?;
    Ok(InclusionProofAnswer {
        batch_id,
        sequence,
        leaf: proven.leaf,
        leaf_index: target.leaf_index,
        path: proven.path.clone(),
        events_root: target.events_root,
        event_count: target.event_count,
        anchored: commitment.block_hash.is_some(),
        commitment,
    })
}

/// The source's proof of the event at `sequence`, checked, and what it leads to.
pub(super) async fn prove_inclusion(
    service: &Service,
    commitment: &CommitmentAnswer,
    stream: StreamId,
    sequence: u64,
) -> Result<(Target, Arc<Proven>), RpcError> {
    let batch_id = commitment.batch_id;
    let (start, end) = (commitment.sequence_start, commitment.sequence_end);
    if !(start..=end).contains(&sequence) {
        let message = format!("is {sequence}; the batch holds {start} to {end}");
        return Err(RpcError::InvalidParam {
            param: "sequence",
            message,
        });
    }
    let target = Target {
        batch_id,
        sequence,
        leaf_index: sequence - start,
        events_root: commitment.events_root,
        event_count: commitment.event_count,
    };
    let request = InclusionProofRequest {
        stream,
        batch_id,
        sequence,
    };
    let proven = service.proofs.get(target, request).await?;
    Ok((target, proven))
}

/// The ids of the batch's stream: known, or given by the caller and fitting the key.
pub(super) async fn stream_of(
    service: &Service,
    commitment: &CommitmentAnswer,
    given: Option<StreamParam>,
) -> Result<StreamId, RpcError> {
    let wrong = |message: String| RpcError::InvalidParam {
        param: "stream",
        message,
    };
    if let Some(given) = given {
        if given.key() != commitment.stream_key {
            return Err(wrong(format!(
                "is not the batch's, whose key is {}",
                commitment.stream_key
            )));
        }
        return given.ids(service).await;
    }
    match (commitment.tenant_id, commitment.store_id) {
        (Some(tenant_id), Some(store_id)) => Ok(StreamId { tenant_id, store_id }),
        _ => Err(wrong(
            "is needed: the chain does not tell the ids of this batch's stream".to_owned(),
        )),
    }
}

pub(crate) async fn verify_inclusion(service: &Service, mut args: Args) -> Result<VerifyInclusionAnswer, RpcError> {
    let batch_id: BatchId = args.required()?;
    let leaf: B256 = args.required()?;
    let Number(leaf_index) = args.required()?;
    let path: Vec<B256> = args.required()?;
    if path.len() > MAX_PATH {
        let message = format!("has {} hashes; no tree is deeper than {MAX_PATH}", path.len());
        return Err(RpcError::InvalidParam { param: "path", message });
    }
    let registry = &service.parts.registry;
    let (record, accepted) = tokio::join!(
        registry.record(batch_id),
        registry.verify_inclusion(batch_id, leaf, path.clone(), leaf_index)
    );
    let record = record.map_err(|error| chain_unavailable(&error))?.ok_or_else(|| {
        RpcError::NotFound(format!(
            "the registry holds no commitment {batch_id}; set_getCommitment tells its stage"
        ))
    })?;
    let accepted = accepted.map_err(|error| chain_unavailable(&error))?;
    let checked = set_ves::verify_inclusion(leaf, leaf_index, &path, record.event_count, record.events_root);
    let recomputed = CheckAnswer {
        valid: checked.is_ok(),
        reason: checked.err().map(|error| error.to_string()),
    };
    if recomputed.valid != accepted {
        tracing::error!(%batch_id, leaf_index, accepted, "the contract and the recomputation disagree about a proof");
    }
    Ok(VerifyInclusionAnswer {
        batch_id,
        events_root: record.events_root,
        event_count: record.event_count,
        valid: recomputed.valid && accepted,
        recomputed,
        on_chain: CheckAnswer {
            valid: accepted,
            reason: (!accepted).then(|| "SetRegistry.verifyInclusion answers false".to_owned()),
        },
    })
}
