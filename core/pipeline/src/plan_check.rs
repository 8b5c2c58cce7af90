//! The core's own look at a plan: what a plugin proposes must keep each stream in order and fit a block.

use std::collections::HashMap;

use set_chain::estimated_size;
use set_types::{BatchId, PlanRequest, PlanResponse, StreamId};

/// Bytes of a signed transaction around its calldata: envelope, fees, signature.
const ENVELOPE_BYTES: u64 = 200;

/// Checks a plan against what was asked, beside what the host checks (allow-list, gas, number of calls,
/// no foreign or doubled commitment): sizes, and that each stream's commitments are planned from its
/// next on, in order, with no hole.
///
/// # Errors
/// What the plan must not do, in words for the operator.
pub(crate) fn check(request: &PlanRequest, response: &PlanResponse) -> Result<(), String> {
    for call in &response.calls {
        let bytes = (call.data.len() as u64).saturating_add(ENVELOPE_BYTES);
        if bytes > request.limits.bytes {
            return Err(format!(
                "it planned a call of {bytes} bytes ({} at most)",
                request.limits.bytes
            ));
        }
        let estimated = estimated_size(&call.data);
        if estimated > request.limits.estimated_bytes {
            return Err(format!(
                "it planned a call of {estimated} estimated bytes ({} at most)",
                request.limits.estimated_bytes
            ));
        }
    }
    let mut queues: HashMap<StreamId, std::collections::VecDeque<BatchId>> = HashMap::new();
    let mut streams: HashMap<BatchId, StreamId> = HashMap::new();
    for commitment in &request.commitments {
        streams.insert(commitment.batch_id, commitment.stream());
        queues
            .entry(commitment.stream())
            .or_default()
            .push_back(commitment.batch_id);
    }
    for batch_id in response.calls.iter().flat_map(|call| &call.batches) {
        let next = streams
            .get(batch_id)
            .and_then(|stream| queues.get_mut(stream))
            .and_then(std::collections::VecDeque::pop_front);
        if next != Some(*batch_id) {
            return Err(format!(
                "it planned batch {batch_id} before an earlier one of its stream"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, Bytes, U256};
    use set_types::{CallLimits, CandidateCall, Commitment, Timestamp};

    use super::*;

    fn commitment(tenant: u8, number: u8) -> Commitment {
        Commitment {
            batch_id: B256::repeat_byte(tenant * 16 + number).into(),
            tenant_id: B256::repeat_byte(tenant).into(),
            store_id: B256::repeat_byte(9).into(),
            events_root: B256::repeat_byte(1),
            prev_state_root: B256::ZERO,
            new_state_root: B256::repeat_byte(2),
            sequence_start: u64::from(number),
            sequence_end: u64::from(number),
            event_count: 1,
            committed_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn request() -> PlanRequest {
        PlanRequest {
            commitments: vec![commitment(1, 1), commitment(1, 2), commitment(2, 1)],
            heads: vec![],
            limits: CallLimits {
                gas: 1_000_000,
                bytes: 1_000,
                estimated_bytes: 400,
                da_footprint: None,
                da_footprint_scalar: None,
                calls: 4,
            },
            from: Address::ZERO,
        }
    }

    fn response(calls: &[&[(u8, u8)]]) -> PlanResponse {
        let calls = calls
            .iter()
            .map(|batches| CandidateCall {
                to: Address::ZERO,
                data: Bytes::from(vec![1; 100]),
                value: U256::ZERO,
                gas_limit: 100_000,
                batches: batches
                    .iter()
                    .map(|(tenant, number)| commitment(*tenant, *number).batch_id)
                    .collect(),
            })
            .collect();
        PlanResponse {
            calls,
            excluded: vec![],
        }
    }

    #[test]
    fn a_prefix_of_each_stream_passes() {
        check(&request(), &response(&[&[(1, 1), (2, 1)], &[(1, 2)]])).unwrap();
        check(&request(), &response(&[&[(1, 1)]])).unwrap();
    }

    #[test]
    fn a_hole_or_another_order_is_refused() {
        let error = check(&request(), &response(&[&[(1, 2)]])).unwrap_err();
        assert!(error.contains("before an earlier one"), "{error}");
        assert!(check(&request(), &response(&[&[(1, 2), (1, 1)]])).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut plan = response(&[&[(1, 1)]]);
        plan.calls[0].data = vec![7; 900].into();
        let error = check(&request(), &plan).unwrap_err();
        assert!(error.contains("1100 bytes (1000 at most)"), "{error}");
        // Bytes that do not repeat hardly compress.
        let noise: Vec<u8> = (0..24u8)
            .flat_map(|seed| alloy_primitives::keccak256([seed]).0)
            .collect();
        plan.calls[0].data = noise.into();
        let error = check(&request(), &plan).unwrap_err();
        assert!(error.contains("estimated bytes (400 at most)"), "{error}");
    }
}
