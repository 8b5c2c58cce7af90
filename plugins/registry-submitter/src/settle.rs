//! What a mined transaction did to its commitments.

use std::collections::{HashMap, HashSet};

use alloy_primitives::Address;
use alloy_sol_types::{SolError as _, SolEvent};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use set_chain::bindings::SetRegistry::{BatchCommitted, BatchSkipped, StreamBoundToSequencer, streamSequencerCall};
use set_plugin_sdk::prelude::{
    BatchId, Commitment, Log, PluginError, RecordedCommitment, SettleOutcome, SettleRequest, Settlement, StreamId,
};

use crate::{
    calldata,
    contract::{At, Contract, is_revert},
    records::{difference, records},
    refusal::{Consequence, Refusal},
};

/// Streams asked about at a time.
const CONCURRENCY: usize = 16;

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Settled {
    /// One settlement for each of the call's batches, in the same order.
    pub(crate) settlements: Vec<Settlement>,
    /// Whether the call ran out of gas.
    pub(crate) out_of_gas: bool,
}

/// Reads the receipt; where the transaction failed, asks the registry why.
pub(crate) async fn settle(contract: &Contract, request: SettleRequest) -> Result<Settled, PluginError> {
    let commitments =
        calldata::decode(&request.call.data).map_err(|error| PluginError::permanent(error.to_string()))?;
    let decoded = commitments.iter().map(|commitment| commitment.batch_id);
    if !decoded.eq(request.call.batches.iter().copied()) {
        return Err(PluginError::permanent(
            "the call's `batches` are not those of its calldata",
        ));
    }
    let consequences = if request.succeeded {
        from_logs(&request, contract.address())
    } else {
        let consequence = match from_replay(contract, &request).await? {
            // Nobody knows whom of several it concerns, and most are surely sound: hold them all.
            Consequence::Outcome(SettleOutcome::Refused { reason }) if commitments.len() > 1 => {
                Consequence::Outcome(SettleOutcome::Unavailable { reason })
            }
            consequence => consequence,
        };
        vec![consequence; commitments.len()]
    };
    let taken = ids_to_compare(&commitments, &consequences);
    let stored = records(contract, &taken, At::Number(request.block_number)).await?;
    let stored: HashMap<BatchId, Option<RecordedCommitment>> = taken.into_iter().zip(stored).collect();
    let bound = bound_to(contract, &commitments, &consequences, At::Number(request.block_number)).await?;
    let out_of_gas = consequences.contains(&Consequence::MoreGas);
    let settlements = commitments
        .iter()
        .zip(consequences)
        .map(|(commitment, consequence)| Settlement {
            batch_id: commitment.batch_id,
            outcome: match consequence {
                Consequence::Outcome(outcome) => outcome,
                Consequence::Compare => compare(commitment, stored.get(&commitment.batch_id).copied().flatten()),
                Consequence::Bound => bound_outcome(bound.get(&commitment.stream()), request.from),
                Consequence::MoreGas => SettleOutcome::Retry {
                    reason: format!(
                        "the call ran out of gas ({} used); the next gets more",
                        request.gas_used
                    ),
                },
            },
        });
    Ok(Settled {
        settlements: settlements.collect(),
        out_of_gas,
    })
}

fn ids_to_compare(commitments: &[Commitment], consequences: &[Consequence]) -> Vec<BatchId> {
    let pairs = commitments.iter().zip(consequences);
    let taken = pairs.filter(|(_, consequence)| **consequence == Consequence::Compare);
    taken.map(|(commitment, _)| commitment.batch_id).collect()
}

/// To whom the streams are bound that the registry refused for that reason, each read once.
async fn bound_to(
    contract: &Contract,
    commitments: &[Commitment],
    consequences: &[Consequence],
    at: At,
) -> Result<HashMap<StreamId, Address>, PluginError> {
    let pairs = commitments.iter().zip(consequences);
    let streams: HashSet<_> = pairs
        .filter(|(_, consequence)| **consequence == Consequence::Bound)
        .map(|(commitment, _)| commitment.stream())
        .collect();
    let answers = streams.into_iter().map(async |stream| {
        let call = streamSequencerCall {
            tenantStoreKey: stream.key(),
        };
        Ok((stream, contract.call(&call, at).await?))
    });
    let answers: Vec<_> = answers.collect();
    stream::iter(answers).buffer_unordered(CONCURRENCY).try_collect().await
}

fn bound_outcome(account: Option<&Address>, from: Address) -> SettleOutcome {
    match account {
        Some(account) if !account.is_zero() && *account != from => SettleOutcome::Bound {
            account: *account,
            reason: format!("{}: {account}", Refusal::new(StreamBoundToSequencer::SELECTOR.into())),
        },
        _ => SettleOutcome::Retry {
            reason: "the stream was bound to another account, and is not by now".into(),
        },
    }
}

fn compare(commitment: &Commitment, stored: Option<RecordedCommitment>) -> SettleOutcome {
    match stored {
        Some(record) => match difference(&record, commitment) {
            None => SettleOutcome::AlreadyCommitted,
            Some(reason) => SettleOutcome::Conflict { reason },
        },
        None => SettleOutcome::Retry {
            reason: "the registry refused the id as taken, and holds nothing under it by now".into(),
        },
    }
}

/// What a successful call says of each batch. The registry emits one event for each, in the call's order.
fn from_logs(request: &SettleRequest, registry: Address) -> Vec<Consequence> {
    let logs = request.logs.iter().filter(|log| log.address == registry);
    let mut events = logs.filter_map(|log| batch_event(log, request.from)).peekable();
    let batches = request.call.batches.iter();
    let consequences = batches.map(|batch_id| match events.next_if(|(of, _)| of == batch_id) {
        Some((_, consequence)) => consequence,
        // To go on would pay for calls that do nothing.
        None => Consequence::Outcome(SettleOutcome::Unavailable {
            reason: format!(
                "the call succeeded, and no event of {registry} says what became of the batch: is `registry` the \
                 right address?"
            ),
        }),
    });
    consequences.collect()
}

fn batch_event(log: &Log, from: Address) -> Option<(BatchId, Consequence)> {
    let topics = || log.topics.iter().copied();
    if let Ok(event) = BatchSkipped::decode_raw_log(topics(), &log.data) {
        return Some((event.batchId.into(), Refusal::new(event.reason).consequence(from)));
    }
    let event = BatchCommitted::decode_raw_log(topics(), &log.data).ok()?;
    Some((event.batchId.into(), Consequence::Outcome(SettleOutcome::Committed)))
}

/// Why a call failed: the same call once more, without a transaction, at the block that held it.
async fn from_replay(contract: &Contract, request: &SettleRequest) -> Result<Consequence, PluginError> {
    let call = &request.call;
    let replay = json!({
        "from": request.from,
        "to": call.to,
        "data": call.data,
        "value": call.value,
        "gas": format!("{:#x}", call.gas_limit),
    });
    let retry = |reason: String| Consequence::Outcome(SettleOutcome::Retry { reason });
    // A call that reverts by itself leaves some of its gas.
    let spent = request.gas_used.saturating_mul(100) >= call.gas_limit.saturating_mul(98);
    match contract.eth_call(replay, At::Number(request.block_number)).await {
        Ok(_) if spent => Ok(Consequence::MoreGas),
        Ok(_) => Ok(retry(
            "the transaction failed, and the same call succeeds by now".into(),
        )),
        Err(error) => match Refusal::quoted_in(&error.message) {
            Some(refusal) => Ok(refusal.consequence(request.from)),
            None if spent => Ok(Consequence::MoreGas),
            // A revert without an error's name is nothing that this registry does.
            None if is_revert(&error) => Ok(Consequence::Outcome(SettleOutcome::Refused { reason: error.message })),
            None => Err(error),
        },
    }
}
