//! The core's own look at a plan: what a plugin proposes must keep each stream in order and fit a block.

use std::collections::HashMap;

use set_chain::estimated_size;
use set_types::{BatchId, CallLimits, PlanRequest, PlanResponse, StreamId};

/// What surrounds the calldata of a signed EIP-1559 transaction, at least: its type (1 byte), the list's
/// header (2), chain id, nonce and both fees (1 each), a gas limit from 21,000 on (3), the address (21), no
/// value (1), the calldata's header (1), an empty access list (1), the parity (1), `r` and `s` (33 each, but
/// for leading zeros). A submitter plans with what it is at most; a check that asked for more than the least
/// would refuse the same plan for ever.
const ENVELOPE_LEAST: u64 = 1 + 2 + 4 + 3 + 21 + 1 + 1 + 1 + 1 + 33 + 33;

/// Checks a plan against what was asked, beside what the host checks (allow-list, gas, number of calls,
/// no foreign or doubled commitment): sizes, and that each stream's commitments are planned from its
/// next on, in order, with no hole.
///
/// # Errors
/// What the plan must not do, in words for the operator.
pub(crate) fn check(request: &PlanRequest, response: &PlanResponse) -> Result<(), String> {
    for call in &response.calls {
        let bytes = (call.data.len() as u64).saturating_add(ENVELOPE_LEAST);
        if bytes > request.limits.bytes {
            return Err(format!(
                "it planned a call of at least {bytes} bytes ({} at most)",
                request.limits.bytes
            ));
        }
        let (estimated, most) = (estimated_size(&call.data), estimated_limit(&request.limits));
        if estimated > most {
            return Err(format!(
                "it planned a call of {estimated} estimated bytes ({most} at most)"
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

/// Estimated bytes that a call may have: the transaction's own limit, or what the block's DA footprint
/// leaves of it (Jovian counts each estimated byte `da_footprint_scalar` times).
fn estimated_limit(limits: &CallLimits) -> u64 {
    let footprint = limits.da_footprint.zip(limits.da_footprint_scalar);
    let by_footprint = footprint.and_then(|(footprint, scalar)| footprint.checked_div(scalar));
    by_footprint.map_or(limits.estimated_bytes, |bytes| bytes.min(limits.estimated_bytes))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, Bytes, U256};
    use serde_json::{Value, json};
    use set_plugin_sdk::harness::Harness;
    use set_types::{CandidateCall, Commitment, StreamHead, Timestamp};

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
        assert!(error.contains("1001 bytes (1000 at most)"), "{error}");
        // Bytes that do not repeat hardly compress.
        let noise: Vec<u8> = (0..24u8)
            .flat_map(|seed| alloy_primitives::keccak256([seed]).0)
            .collect();
        plan.calls[0].data = noise.into();
        let error = check(&request(), &plan).unwrap_err();
        assert!(error.contains("estimated bytes (400 at most)"), "{error}");
    }

    #[test]
    fn what_a_blocks_da_footprint_does_not_hold_is_refused() {
        let mut plan = response(&[&[(1, 1)]]);
        let noise = (0..12u8).flat_map(|seed| alloy_primitives::keccak256([seed]).0);
        plan.calls[0].data = noise.collect();
        let mut request = request();
        check(&request, &plan).unwrap();
        request.limits.da_footprint = Some(80_000);
        request.limits.da_footprint_scalar = Some(400);
        let error = check(&request, &plan).unwrap_err();
        assert!(error.contains("estimated bytes (200 at most)"), "{error}");
        request.limits.da_footprint_scalar = Some(0);
        check(&request, &plan).unwrap();
    }

    /// A queue of one stream, whose words do not compress.
    fn queue(length: u64) -> Vec<Commitment> {
        let word = |number: u64, what: u8| alloy_primitives::keccak256([&number.to_be_bytes()[..], &[what]].concat());
        (1..=length)
            .map(|number| Commitment {
                batch_id: word(number, 0).into(),
                events_root: word(number, 1),
                prev_state_root: if number == 1 { B256::ZERO } else { word(number - 1, 2) },
                new_state_root: word(number, 2),
                sequence_start: number,
                sequence_end: number,
                ..commitment(3, 0)
            })
            .collect()
    }

    /// Plans of the registry's submitter, each as large as its limits allow, pass.
    async fn maximal_plans_pass(limits: impl Iterator<Item = CallLimits>) {
        let registry = Address::repeat_byte(0x5e);
        let version = |_: String, _: Value| async { Ok(json!(B256::with_last_byte(1))) };
        let plugin = Harness::builder(set_registry_submitter::PLUGIN)
            .config(json!({ "registry": registry }))
            .chain(version)
            .start()
            .await
            .unwrap();
        let commitments = queue(24);
        let heads = vec![StreamHead::unopened(commitments[0].stream())];
        for limits in limits {
            let request = PlanRequest {
                commitments: commitments.clone(),
                heads: heads.clone(),
                limits,
                from: Address::ZERO,
            };
            let plan = plugin.plan(&request).await.unwrap();
            let planned: usize = plan.calls.iter().map(|call| call.batches.len()).sum();
            assert!((1..24).contains(&planned), "the limits bind: {planned} at {limits:?}");
            check(&request, &plan).unwrap_or_else(|problem| panic!("{problem}, with {limits:?}"));
        }
        plugin.stop().await;
    }

    #[tokio::test]
    async fn what_the_registrys_submitter_plans_at_the_limit_of_bytes_passes() {
        maximal_plans_pass((600..3_000).step_by(3).map(|bytes| CallLimits {
            gas: 15_000_000,
            bytes,
            estimated_bytes: 100_000,
            calls: 1,
            ..request().limits
        }))
        .await;
    }

    #[tokio::test]
    async fn what_the_registrys_submitter_plans_at_the_limit_of_estimated_bytes_passes() {
        maximal_plans_pass((500..2_100).step_by(7).map(|estimated_bytes| CallLimits {
            gas: 15_000_000,
            bytes: 120_000,
            estimated_bytes,
            calls: 1,
            ..request().limits
        }))
        .await;
    }

    #[tokio::test]
    async fn what_the_registrys_submitter_plans_at_the_limit_of_the_da_footprint_passes() {
        maximal_plans_pass((200_000..840_000).step_by(7_777).map(|footprint| CallLimits {
            gas: 15_000_000,
            bytes: 120_000,
            estimated_bytes: 100_000,
            da_footprint: Some(footprint),
            da_footprint_scalar: Some(400),
            calls: 1,
        }))
        .await;
    }
}
