//! Packing: nothing lost, nothing twice, nothing past a limit.

use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    eips::eip2718::Encodable2718,
};
use alloy_primitives::{B256, Signature, TxKind, keccak256};
use proptest::prelude::*;
use set_plugin_sdk::prelude::{StreamHead, Timestamp};

use super::*;
use crate::calldata::decode;

const REGISTRY: Address = Address::repeat_byte(0x5e);
const MARGIN: u32 = 15;

/// Limits of a block that is the sidecar's alone.
const ROOMY: CallLimits = CallLimits {
    gas: 16_777_216,
    bytes: 131_072,
    estimated_bytes: 20_000,
    da_footprint: Some(30_000_000),
    da_footprint_scalar: Some(400),
    calls: 100,
};

fn word(seed: u64, what: u64) -> B256 {
    keccak256([seed.to_be_bytes(), what.to_be_bytes()].concat())
}

/// An id: a UUID, as all of the sequencer's are, or a full word.
fn id(seed: u64, uuid: bool) -> B256 {
    let mut id = word(seed, 0);
    if uuid {
        id[16..].fill(0);
    }
    id
}

/// What one stream has to commit.
#[derive(Debug, Clone)]
struct Stream {
    commitments: usize,
    opened: bool,
    uuid: bool,
    /// Position after which the chain of roots breaks.
    broken_after: Option<usize>,
}

fn request(streams: &[Stream], limits: CallLimits) -> PlanRequest {
    let (mut commitments, mut heads) = (vec![], vec![]);
    let mut seed = 0;
    for stream in streams {
        seed += 1;
        let ids = StreamId {
            tenant_id: id(seed, stream.uuid).into(),
            store_id: id(seed << 32, stream.uuid).into(),
        };
        let mut head = StreamHead::unopened(ids);
        if stream.opened {
            head.batch_id = Some(word(seed, 1).into());
            head.state_root = word(seed, 2);
            head.sequence = 1 << 40;
        }
        heads.push(head);
        for position in 0..stream.commitments {
            seed += 1;
            let count = 1 + u32::from(word(seed, 3)[0]);
            let broken = stream.broken_after.is_some_and(|last| last + 1 == position);
            let commitment = Commitment {
                batch_id: id(seed, stream.uuid).into(),
                tenant_id: ids.tenant_id,
                store_id: ids.store_id,
                events_root: word(seed, 4),
                prev_state_root: if broken { word(seed, 5) } else { head.state_root },
                new_state_root: word(seed, 6),
                sequence_start: head.sequence + 1,
                sequence_end: head.sequence + u64::from(count),
                event_count: count,
                committed_at: Timestamp::UNIX_EPOCH,
            };
            head = commitment.head();
            commitments.push(commitment);
        }
    }
    PlanRequest {
        commitments,
        heads,
        limits,
        from: Address::repeat_byte(1),
    }
}

/// A transaction as the transaction manager signs it.
fn signed(call: &CandidateCall) -> Vec<u8> {
    let transaction = TxEip1559 {
        chain_id: 84_532_001,
        nonce: 1_234_567,
        gas_limit: call.gas_limit,
        max_fee_per_gas: 5_000_000_001,
        max_priority_fee_per_gas: 1_000_003,
        to: TxKind::Call(call.to),
        value: call.value,
        access_list: Default::default(),
        input: call.data.clone(),
    };
    let signature = Signature::from_scalars_and_parity(word(9, 9), word(8, 8), true);
    transaction.into_signed(signature).encoded_2718()
}

prop_compose! {
    fn stream()(
        commitments in 0usize..40,
        opened: bool,
        uuid in prop::bool::weighted(0.8),
        broken_after in prop::option::weighted(0.1, 0usize..20),
    ) -> Stream {
        Stream { commitments, opened, uuid, broken_after }
    }
}

prop_compose! {
    fn limits()(
        gas in 220_000u64..16_777_216,
        bytes in 1_500u64..131_072,
        estimated_bytes in 500u64..20_000,
        footprint in prop::option::of(200_000u64..30_000_000),
        calls in 1u32..40,
    ) -> CallLimits {
        CallLimits {
            gas,
            bytes,
            estimated_bytes,
            da_footprint: footprint,
            da_footprint_scalar: footprint.map(|_| 400),
            calls,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_commitment_goes_once_in_order_and_within_the_limits(
        streams in prop::collection::vec(stream(), 0..12),
        limits in limits(),
        form in prop::sample::select(vec![Calls::Cheapest, Calls::Bulk, Calls::Single]),
    ) {
        let request = request(&streams, limits);
        let answer = plan(&request, REGISTRY, form, MARGIN).unwrap();
        prop_assert_eq!(&answer.excluded, &[]);
        prop_assert!(answer.calls.len() <= limits.calls as usize);

        let mut rest = request.commitments.as_slice();
        for call in &answer.calls {
            let inside = decode(&call.data).unwrap();
            let (expected, later) = rest.split_at(inside.len());
            rest = later;
            prop_assert_eq!(&inside, expected);
            let ids: Vec<_> = inside.iter().map(|commitment| commitment.batch_id).collect();
            prop_assert_eq!(&call.batches, &ids);
            prop_assert_eq!((call.to, call.value), (REGISTRY, U256::ZERO));

            let raw = signed(call);
            let estimated = set_chain::estimated_size(&raw);
            prop_assert!(call.gas_limit <= limits.gas);
            prop_assert!(raw.len() as u64 <= limits.bytes);
            prop_assert!(estimated <= limits.estimated_bytes);
            if let (Some(footprint), Some(scalar)) = (limits.da_footprint, limits.da_footprint_scalar) {
                prop_assert!(estimated * scalar <= footprint);
            }
            let alone = inside.len() == 1;
            let is_single = call.data.len() == 4 + 9 * 32;
            prop_assert_eq!(is_single, form == Calls::Single || (form == Calls::Cheapest && alone));
        }
        if answer.calls.len() < limits.calls as usize {
            prop_assert_eq!(rest, &[]);
        }
        // The same question gets the same answer.
        prop_assert_eq!(plan(&request, REGISTRY, form, MARGIN).unwrap(), answer);
    }

    #[test]
    fn no_call_has_room_for_the_next_commitment(
        streams in prop::collection::vec(stream(), 1..12),
        limits in limits(),
    ) {
        let mut request = request(&streams, CallLimits { calls: u32::MAX, ..limits });
        let calls = plan(&request, REGISTRY, Calls::Bulk, MARGIN).unwrap().calls;
        for pair in calls.windows(2) {
            // One more commitment in a call of its own, with every limit lifted: some limit is passed.
            let taken = pair[0].batches.len() + 1;
            let first = request.commitments.iter().position(|c| c.batch_id == pair[0].batches[0]).unwrap();
            let mut more = request.clone();
            more.commitments = request.commitments[first..first + taken].to_vec();
            more.limits = CallLimits { gas: u64::MAX, bytes: u64::MAX, estimated_bytes: u64::MAX, da_footprint: None, ..limits };
            let larger = plan(&more, REGISTRY, Calls::Bulk, MARGIN).unwrap().calls;
            prop_assert_eq!(larger.len(), 1);
            let size = signed_size(&larger[0].data);
            prop_assert!(
                larger[0].gas_limit > limits.gas
                    || size.bytes > limits.bytes
                    || size.estimated > estimated_limit(&limits)
            );
            // What went is open by now.
            let gone: HashSet<_> = pair[0].batches.iter().collect();
            for commitment in request.commitments.iter().filter(|c| gone.contains(&c.batch_id)) {
                let stream = commitment.stream();
                let head = request.heads.iter_mut().find(|head| head.stream == stream).unwrap();
                *head = commitment.head();
            }
        }
    }

    #[test]
    fn a_signed_transaction_is_never_larger_than_thought(
        streams in prop::collection::vec(stream(), 1..6),
    ) {
        for call in plan(&request(&streams, ROOMY), REGISTRY, Calls::Cheapest, MARGIN).unwrap().calls {
            let (raw, thought) = (signed(&call), signed_size(&call.data));
            prop_assert!(raw.len() as u64 <= thought.bytes && thought.bytes <= raw.len() as u64 + 40);
            prop_assert!(set_chain::estimated_size(&raw) <= thought.estimated);
        }
    }
}

#[test]
fn thousands_of_commitments_fill_calls_to_the_estimate() {
    let streams = vec![
        Stream {
            commitments: 50,
            opened: true,
            uuid: true,
            broken_after: None,
        };
        100
    ];
    let answer = plan(&request(&streams, ROOMY), REGISTRY, Calls::Cheapest, MARGIN).unwrap();
    let planned: usize = answer.calls.iter().map(|call| call.batches.len()).sum();
    assert_eq!(planned, 5000);
    // About 80 estimated bytes each in runs of 50: 250 of them fill 20,000.
    assert!((19..=21).contains(&answer.calls.len()), "{} calls", answer.calls.len());
}

#[test]
fn what_no_call_can_say_is_excluded_and_its_successors_wait() {
    let stream = Stream {
        commitments: 3,
        opened: true,
        uuid: true,
        broken_after: None,
    };
    let mut request = request(&[stream.clone(), stream], ROOMY);
    request.commitments[1].event_count += 1;
    let (first, bad, other) = (
        request.commitments[0].batch_id,
        request.commitments[1].batch_id,
        request.commitments[3].batch_id,
    );
    let answer = plan(&request, REGISTRY, Calls::Cheapest, MARGIN).unwrap();
    assert_eq!(answer.excluded.len(), 1);
    assert_eq!(answer.excluded[0].batch_id, bad);
    assert!(answer.excluded[0].reason.contains("`event_count`"));
    assert_eq!(answer.calls.len(), 1);
    assert_eq!(answer.calls[0].batches[..2], [first, other]);
    assert_eq!(answer.calls[0].batches.len(), 4);
}

#[test]
fn a_limit_too_tight_for_one_names_its_key() {
    let stream = Stream {
        commitments: 2,
        opened: true,
        uuid: true,
        broken_after: None,
    };
    for (limits, key) in [
        (CallLimits { gas: 100_000, ..ROOMY }, "txmgr.max_gas"),
        (CallLimits { bytes: 400, ..ROOMY }, "txmgr.max_bytes"),
        (
            CallLimits {
                estimated_bytes: 150,
                ..ROOMY
            },
            "txmgr.max_estimated_bytes",
        ),
        (
            CallLimits {
                da_footprint: Some(60_000),
                ..ROOMY
            },
            "txmgr.max_estimated_bytes",
        ),
    ] {
        for form in [Calls::Cheapest, Calls::Bulk, Calls::Single] {
            let error = plan(&request(std::slice::from_ref(&stream), limits), REGISTRY, form, MARGIN).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}

#[test]
fn the_largest_count_is_found_in_few_looks() {
    for (most, limit) in [
        (1, 99),
        (1, 100),
        (5000, 20_000),
        (5000, 499_999),
        (5000, 500_000),
        (300, 0),
    ] {
        let mut looks = 0;
        let found = largest_within(most, limit, |count| {
            looks += 1;
            count as u64 * 100
        });
        let expected = (limit as usize / 100).min(most);
        assert_eq!(found, if expected == 0 { Err(100) } else { Ok(expected) });
        assert!(looks <= 2 + 2 * most.ilog2(), "{looks} looks at {most}");
    }
}

#[test]
fn uneven_growth_costs_no_more_than_twice_the_halvings() {
    let mut looks = 0;
    let found = largest_within(1 << 16, 1000, |count| {
        looks += 1;
        if count > 777 { u64::MAX / 2 } else { 1 }
    });
    assert_eq!(found, Ok(777));
    assert!(looks <= 36, "{looks} looks");
}
