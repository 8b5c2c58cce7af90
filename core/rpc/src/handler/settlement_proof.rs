//! `set_getSettlementProof`.

use alloy_primitives::B256;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use set_proof::{Inclusion, SettlementProof};
use set_types::{BatchId, Stage, StreamId};
use set_ves::SignedEvent;

use super::{
    commitments::find,
    inclusion::{prove_inclusion, stream_of},
    streams::StreamParam,
};
use crate::{
    answer::CommitmentAnswer,
    args::{Args, Number},
    error::RpcError,
    port::NoEvidence,
    service::Service,
};

/// A signed event as its agent wrote it, or as the `event` of an object that says where it stands, such as the
/// sequencer's.
#[derive(Debug)]
struct EventParam {
    event: SignedEvent,
    sequence: Option<Number>,
}

impl<'de> Deserialize<'de> for EventParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let sequence = match value.get_mut("sequence_number").map(Value::take) {
            Some(sequence) => Some(serde_json::from_value(sequence).map_err(D::Error::custom)?),
            None => None,
        };
        if let Some(inner) = value.get_mut("event").filter(|inner| inner.is_object()) {
            value = inner.take();
        }
        let event = serde_json::from_value(value).map_err(D::Error::custom)?;
        Ok(Self { event, sequence })
    }
}

pub(crate) async fn get_settlement_proof(service: &Service, mut args: Args) -> Result<SettlementProof, RpcError> {
    let batch_id: BatchId = args.required()?;
    let sequence: Option<Number> = args.optional()?;
    let event: Option<EventParam> = args.optional()?;
    let stream: Option<StreamParam> = args.optional()?;
    let proofs = service.parts.proofs.as_ref().ok_or_else(|| {
        let message = "no game on L1 is followed: set `l1.rpc_url` and `l1.portal`";
        RpcError::NotClaimed(message.to_owned())
    })?;
    let commitment = find(service, batch_id).await?;
    let anchored = service.parts.index.get(batch_id).await?;
    let anchored = anchored.ok_or_else(|| not_on_chain(&commitment))?;

    let told = event.as_ref().and_then(|event| event.sequence);
    let sequence = match (sequence.or(told), &event) {
        (Some(Number(sequence)), _) => Some(sequence),
        (None, None) => None,
        (None, Some(_)) => {
            let message = "is needed: the event does not tell its `sequence_number`".to_owned();
            return Err(RpcError::InvalidParam {
                param: "sequence",
                message,
            });
        }
    };
    let event = event.map(|event| event.event);
    let (evidence, inclusion) = tokio::join!(
        async {
            proofs
                .evidence(anchored)
                .await
                .map_err(|error| no_evidence(error, &commitment))
        },
        inclusion(service, &commitment, sequence, event.as_ref(), stream),
    );
    let (claimed, inclusion) = (evidence?, inclusion?);
    let chain = proofs.chain();
    let unsound = |error: set_proof::BrokenLink| {
        tracing::error!(%batch_id, %error, "a settlement proof does not hold");
        RpcError::NotProven(format!("the proof does not hold: {error}"))
    };
    let proof = SettlementProof::assemble(chain, claimed.evidence, inclusion, Some(claimed.game)).map_err(unsound)?;
    proof.verify(chain, event.as_ref()).map_err(unsound)?;
    Ok(proof)
}

/// The event's place in the batch, by the source; checked.
async fn inclusion(
    service: &Service,
    commitment: &CommitmentAnswer,
    sequence: Option<u64>,
    event: Option<&SignedEvent>,
    stream: Option<StreamParam>,
) -> Result<Option<Inclusion>, RpcError> {
    let Some(sequence) = sequence else { return Ok(None) };
    let stream = match (event, stream) {
        (Some(event), None) => {
            let stream = StreamId {
                tenant_id: event.tenant_id.into(),
                store_id: event.store_id.into(),
            };
            stream_of(service, commitment, Some(StreamParam::Ids(stream)))
                .await
                .map_err(|_| RpcError::InvalidParam {
                    param: "event",
                    message: "is of another stream than the batch".to_owned(),
                })?
        }
        (_, stream) => stream_of(service, commitment, stream).await?,
    };
    let (_, proven) = prove_inclusion(service, commitment, stream, sequence).await?;
    if let Some(event) = event {
        check_event(event, sequence, proven.leaf)?;
    }
    Ok(Some(Inclusion {
        sequence,
        leaf: proven.leaf,
        path: proven.path.clone(),
    }))
}

/// The leaf must be the event's.
fn check_event(event: &SignedEvent, sequence: u64, proven: B256) -> Result<(), RpcError> {
    let wrong = |message: String| RpcError::InvalidParam {
        param: "event",
        message,
    };
    event.check_payload().map_err(|error| wrong(error.to_string()))?;
    let leaf = event.leaf(sequence);
    if leaf != proven {
        return Err(wrong(format!(
            "is not the one at sequence {sequence}: its leaf is {leaf}, the batch has {proven}"
        )));
    }
    Ok(())
}

fn not_on_chain(commitment: &CommitmentAnswer) -> RpcError {
    let stage = stage(commitment.stage);
    let why = commitment
        .reason
        .as_deref()
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    RpcError::NotClaimed(format!(
        "the commitment is {stage}{why} and not on chain yet; set_getCommitment tells how it goes on"
    ))
}

fn no_evidence(error: NoEvidence, commitment: &CommitmentAnswer) -> RpcError {
    match error {
        NoEvidence::NotClaimed(why) => RpcError::NotClaimed(format!(
            "the commitment is {} and not claimed on L1 yet: {why}; ask again once a game covers its block",
            stage(commitment.stage)
        )),
        NoEvidence::Unprovable(why) => RpcError::Unprovable(why),
        NoEvidence::Busy(why) => RpcError::Busy(format!("{why}; try again in a second")),
        NoEvidence::Store(why) => {
            tracing::error!(error = why, "the store of proofs cannot be read");
            RpcError::Internal
        }
    }
}

/// A stage as JSON writes it.
fn stage(stage: Stage) -> String {
    match serde_json::to_value(stage) {
        Ok(Value::String(name)) => name,
        _ => format!("{stage:?}"),
    }
}
