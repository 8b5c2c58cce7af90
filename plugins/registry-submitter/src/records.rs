//! What the registry holds: streams' heads and batches' records.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use set_chain::bindings::SetRegistry::{
    getBatchCommitmentsCall, getPrevStateRootCall, getStreamHeadsCall, getTenantStoreSummaryCall,
};
use set_plugin_sdk::prelude::{BatchId, Commitment, PluginError, RecordedCommitment, StreamHead, StreamId};

use crate::contract::{At, Contract, Flavour};

/// Streams or records in one call: about 10,000 gas each, far below what nodes allow a call.
const CHUNK: usize = 500;
/// Calls that wait for their turn at a time.
const CONCURRENCY: usize = 16;

/// Where streams stand: one head for each, in the same order.
pub(crate) async fn heads(contract: &Contract, streams: &[StreamId], at: At) -> Result<Vec<StreamHead>, PluginError> {
    match contract.flavour().await? {
        Flavour::Bulk => {
            let chunks = streams.chunks(CHUNK).map(|chunk| heads_at_once(contract, chunk, at));
            let chunks: Vec<_> = chunks.collect();
            stream::iter(chunks).buffered(CONCURRENCY).try_concat().await
        }
        Flavour::Public => {
            let heads: Vec<_> = streams.iter().map(|stream| head(contract, *stream, at)).collect();
            stream::iter(heads).buffered(CONCURRENCY).try_collect().await
        }
    }
}

async fn heads_at_once(contract: &Contract, streams: &[StreamId], at: At) -> Result<Vec<StreamHead>, PluginError> {
    let call = getStreamHeadsCall {
        tenantIds: streams.iter().map(|stream| stream.tenant_id.to_b256()).collect(),
        storeIds: streams.iter().map(|stream| stream.store_id.to_b256()).collect(),
    };
    let heads = contract.call(&call, at).await?;
    expect_each(heads.len(), streams.len(), "getStreamHeads")?;
    let heads = streams.iter().zip(heads).map(|(stream, head)| StreamHead {
        stream: *stream,
        batch_id: head.opened.then(|| head.batchId.into()),
        state_root: head.stateRoot,
        sequence: head.sequence,
    });
    Ok(heads.collect())
}

/// One stream's head, in one call, so that its parts are of the same block.
async fn head(contract: &Contract, stream: StreamId, at: At) -> Result<StreamHead, PluginError> {
    let call = getTenantStoreSummaryCall {
        tenantId: stream.tenant_id.to_b256(),
        storeId: stream.store_id.to_b256(),
    };
    let summary = contract.call(&call, at).await?;
    Ok(StreamHead {
        stream,
        batch_id: (!summary.latestBatchId.is_zero()).then(|| summary.latestBatchId.into()),
        state_root: summary.currentStateRoot,
        sequence: summary.currentHeadSequence,
    })
}

/// What is recorded under ids: one entry for each, in the same order.
pub(crate) async fn records(
    contract: &Contract,
    batches: &[BatchId],
    at: At,
) -> Result<Vec<Option<RecordedCommitment>>, PluginError> {
    let flavour = contract.flavour().await?;
    let chunks = batches.chunks(CHUNK).map(|chunk| records_at_once(contract, chunk, at));
    let chunks: Vec<_> = chunks.collect();
    let mut records: Vec<Option<RecordedCommitment>> = stream::iter(chunks).buffered(CONCURRENCY).try_concat().await?;
    if flavour == Flavour::Bulk {
        let recorded = records.iter_mut().flatten();
        stream::iter(recorded.map(Ok::<_, PluginError>))
            .try_for_each_concurrent(CONCURRENCY, async |record| {
                let batch_id = record.batch_id.to_b256();
                let root = contract.call(&getPrevStateRootCall { batchId: batch_id }, at).await?;
                record.prev_state_root = Some(root);
                Ok(())
            })
            .await?;
    }
    Ok(records)
}

async fn records_at_once(
    contract: &Contract,
    batches: &[BatchId],
    at: At,
) -> Result<Vec<Option<RecordedCommitment>>, PluginError> {
    let call = getBatchCommitmentsCall {
        batchIds: batches.iter().map(|id| id.to_b256()).collect(),
    };
    let records = contract.call(&call, at).await?;
    expect_each(records.len(), batches.len(), "getBatchCommitments")?;
    let records = batches.iter().zip(records).map(|(batch_id, record)| {
        // No commitment has a zero events root: that is the contract's "nothing here".
        (!record.eventsRoot.is_zero()).then_some(RecordedCommitment {
            batch_id: *batch_id,
            events_root: record.eventsRoot,
            prev_state_root: None,
            new_state_root: record.newStateRoot,
            sequence_start: record.sequenceStart,
            sequence_end: record.sequenceEnd,
            event_count: record.eventCount,
            timestamp: record.timestamp,
        })
    });
    Ok(records.collect())
}

fn expect_each(answered: usize, asked: usize, function: &str) -> Result<(), PluginError> {
    if answered == asked {
        return Ok(());
    }
    Err(PluginError::permanent(format!(
        "{function} answers {answered} values for {asked} questions"
    )))
}

/// What of a record is not as the commitment says; `None` where all is.
pub(crate) fn difference(record: &RecordedCommitment, commitment: &Commitment) -> Option<String> {
    if record.matches(commitment) {
        return None;
    }
    let prev_state_root = record.prev_state_root.unwrap_or(commitment.prev_state_root);
    let fields = [
        ("events root", record.events_root != commitment.events_root),
        ("previous state root", prev_state_root != commitment.prev_state_root),
        ("new state root", record.new_state_root != commitment.new_state_root),
        (
            "first sequence number",
            record.sequence_start != commitment.sequence_start,
        ),
        ("last sequence number", record.sequence_end != commitment.sequence_end),
        ("event count", record.event_count != commitment.event_count),
    ];
    let differing = fields.into_iter().filter_map(|(name, differs)| differs.then_some(name));
    let differing = differing.collect::<Vec<_>>().join(", ");
    Some(format!("the registry holds this id with another {differing}"))
}
