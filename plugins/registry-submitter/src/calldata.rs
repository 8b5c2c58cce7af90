//! Commitments as calldata, and back.

use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use set_chain::bindings::SetRegistry::{Batch, Run, commitBatchCall, commitBatchesCall};
use set_plugin_sdk::prelude::{Commitment, Timestamp};

/// Bytes of `commitBatches` without any run: selector, offset and length of the list.
pub(crate) const CALL_BYTES: usize = 4 + 2 * 32;
/// Bytes of a run without batches: its offset, five members, its list's length.
pub(crate) const RUN_BYTES: usize = 7 * 32;
/// Bytes of a batch.
pub(crate) const BATCH_BYTES: usize = 4 * 32;

/// Whether `next` can stand behind `last` in one run: the same stream, the next sequence number, the
/// same state root. A run says of its batches after the first neither.
pub(crate) fn chains(last: &Commitment, next: &Commitment) -> bool {
    last.stream() == next.stream() && next.continues(&last.head())
}

/// Calldata of `commitBatches`. Commitments that chain share a run.
pub(crate) fn commit_batches(commitments: &[Commitment]) -> Bytes {
    let runs = commitments.chunk_by(chains).map(|run| Run {
        tenantId: run[0].tenant_id.to_b256(),
        storeId: run[0].store_id.to_b256(),
        prevStateRoot: run[0].prev_state_root,
        sequenceStart: run[0].sequence_start,
        batches: run.iter().map(batch).collect(),
    });
    commitBatchesCall { runs: runs.collect() }.abi_encode().into()
}

fn batch(commitment: &Commitment) -> Batch {
    Batch {
        batchId: commitment.batch_id.to_b256(),
        eventsRoot: commitment.events_root,
        newStateRoot: commitment.new_state_root,
        eventCount: commitment.event_count,
    }
}

/// Calldata of `commitBatch`.
pub(crate) fn commit_batch(commitment: &Commitment) -> Bytes {
    commitBatchCall::from(commitment).abi_encode().into()
}

/// Calldata that is neither call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the calldata is no call of commitBatch or commitBatches: {0}")]
pub(crate) struct DecodeError(String);

/// The commitments inside a call, in the order in which the registry settles them. Calldata does not say
/// when they were made, so `committed_at` is 1970.
pub(crate) fn decode(data: &[u8]) -> Result<Vec<Commitment>, DecodeError> {
    let refuse = |error: alloy_sol_types::Error| DecodeError(error.to_string());
    if data.starts_with(&commitBatchCall::SELECTOR) {
        let call = commitBatchCall::abi_decode(data).map_err(refuse)?;
        return Ok(vec![Commitment {
            batch_id: call.batchId.into(),
            tenant_id: call.tenantId.into(),
            store_id: call.storeId.into(),
            events_root: call.eventsRoot,
            prev_state_root: call.prevStateRoot,
            new_state_root: call.newStateRoot,
            sequence_start: call.sequenceStart,
            sequence_end: call.sequenceEnd,
            event_count: call.eventCount,
            committed_at: Timestamp::UNIX_EPOCH,
        }]);
    }
    let call = commitBatchesCall::abi_decode(data).map_err(refuse)?;
    let mut commitments = Vec::new();
    for run in call.runs {
        let (mut prev_state_root, mut next) = (run.prevStateRoot, run.sequenceStart);
        for batch in run.batches {
            let start = next;
            next = start
                .checked_add(u64::from(batch.eventCount))
                .ok_or_else(|| DecodeError("a run's sequence numbers go past 2^64".into()))?;
            commitments.push(Commitment {
                batch_id: batch.batchId.into(),
                tenant_id: run.tenantId.into(),
                store_id: run.storeId.into(),
                events_root: batch.eventsRoot,
                prev_state_root,
                new_state_root: batch.newStateRoot,
                sequence_start: start,
                sequence_end: next.saturating_sub(1),
                event_count: batch.eventCount,
                committed_at: Timestamp::UNIX_EPOCH,
            });
            prev_state_root = batch.newStateRoot;
        }
    }
    Ok(commitments)
}
