//! Packing commitments into calls.

use std::collections::HashSet;

use alloy_primitives::{Address, Bytes, U256};
use set_plugin_sdk::prelude::{CallLimits, CandidateCall, Commitment, Exclusion, PlanRequest, PlanResponse, StreamId};

use crate::{
    calldata::{chains, commit_batch, commit_batches},
    envelope::{signed_bytes, signed_size},
    gas::{self, BulkCost, with_margin},
};

/// Which calls a plan may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
    /// `commitBatches`; `commitBatch`, which costs less, for a commitment that goes alone.
    Cheapest,
    /// `commitBatches` alone.
    Bulk,
    /// `commitBatch` alone.
    Single,
}

/// A limit that not even one commitment keeps to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("one commitment alone takes {needed} {what}, and a transaction may have {limit}: raise {key}")]
pub(crate) struct TooTight {
    what: &'static str,
    needed: u64,
    limit: u64,
    key: &'static str,
}

/// Packs commitments into as few calls as the limits allow, in their order. Takes about
/// n log n: each call looks at its size only a few times.
pub(crate) fn plan(
    request: &PlanRequest,
    registry: Address,
    calls: Calls,
    margin: u32,
) -> Result<PlanResponse, TooTight> {
    let (kept, excluded) = expressible(&request.commitments);
    let opened = request
        .heads
        .iter()
        .filter(|head| head.is_opened())
        .map(|head| head.stream);
    let mut packer = Packer {
        limits: request.limits,
        estimated: estimated_limit(&request.limits),
        margin,
        opened: opened.collect(),
    };
    let mut planned = Vec::new();
    let mut rest = kept.as_slice();
    while !rest.is_empty() && (planned.len() as u64) < u64::from(request.limits.calls) {
        let (taken, data, gas_limit) = packer.next_call(rest, calls)?;
        let (now, later) = rest.split_at(taken);
        packer.opened.extend(now.iter().map(Commitment::stream));
        planned.push(CandidateCall {
            to: registry,
            data,
            value: U256::ZERO,
            gas_limit,
            batches: now.iter().map(|commitment| commitment.batch_id).collect(),
        });
        rest = later;
    }
    Ok(PlanResponse {
        calls: planned,
        excluded,
    })
}

/// Splits off what no call can say, each with its reason. Those behind such a commitment in its stream
/// stay for a later plan: they would only be refused.
fn expressible(commitments: &[Commitment]) -> (Vec<Commitment>, Vec<Exclusion>) {
    let mut blocked = HashSet::new();
    let (mut kept, mut excluded) = (Vec::with_capacity(commitments.len()), Vec::new());
    for commitment in commitments {
        if blocked.contains(&commitment.stream()) {
            continue;
        }
        match commitment.check_shape() {
            Ok(()) => kept.push(commitment.clone()),
            Err(malformation) => {
                blocked.insert(commitment.stream());
                excluded.push(Exclusion {
                    batch_id: commitment.batch_id,
                    reason: malformation.to_string(),
                });
            }
        }
    }
    (kept, excluded)
}

/// The tighter of the two limits on estimated bytes: that of the transaction, and what its DA footprint
/// leaves.
fn estimated_limit(limits: &CallLimits) -> u64 {
    match (limits.da_footprint, limits.da_footprint_scalar) {
        (Some(footprint), Some(scalar)) if scalar > 0 => limits.estimated_bytes.min(footprint / scalar),
        _ => limits.estimated_bytes,
    }
}

struct Packer {
    limits: CallLimits,
    /// Estimated bytes that a call may have.
    estimated: u64,
    margin: u32,
    /// Streams that will have a head when the next call is executed.
    opened: HashSet<StreamId>,
}

impl Packer {
    /// The next call: how many commitments it takes, its calldata, its gas limit.
    fn next_call(&self, rest: &[Commitment], calls: Calls) -> Result<(usize, Bytes, u64), TooTight> {
        if calls == Calls::Single {
            return self.single(&rest[0]);
        }
        let (most, blame) = self.most_by_gas_and_bytes(rest);
        let estimated = |count| signed_size(&commit_batches(&rest[..count])).estimated;
        let taken = match most {
            0 => Err(blame),
            most => largest_within(most, self.estimated, estimated).map_err(|needed| self.too_many_estimated(needed)),
        };
        match (calls, taken) {
            // `commitBatch` says one commitment in fewer bytes and for less gas.
            (Calls::Cheapest, Ok(1) | Err(_)) => self.single(&rest[0]),
            (_, Ok(taken)) => Ok((taken, commit_batches(&rest[..taken]), self.bulk_gas(&rest[..taken]))),
            (_, Err(blame)) => Err(blame),
        }
    }

    fn single(&self, commitment: &Commitment) -> Result<(usize, Bytes, u64), TooTight> {
        let data = commit_batch(commitment);
        let size = signed_size(&data);
        let gas = with_margin(
            gas::single(commitment, !self.opened.contains(&commitment.stream())),
            self.margin,
        );
        if gas > self.limits.gas {
            return Err(self.too_much_gas(gas));
        }
        if size.bytes > self.limits.bytes {
            return Err(self.too_many_bytes(size.bytes));
        }
        if size.estimated > self.estimated {
            return Err(self.too_many_estimated(size.estimated));
        }
        Ok((1, data, gas))
    }

    /// How many commitments gas and plain bytes leave room for, and what stood in the way of one more.
    fn most_by_gas_and_bytes(&self, rest: &[Commitment]) -> (usize, TooTight) {
        let mut blame = self.too_much_gas(0);
        let fits = |cost: &BulkCost| {
            let gas = with_margin(cost.gas(), self.margin);
            if gas > self.limits.gas {
                blame = self.too_much_gas(gas);
                return false;
            }
            let bytes = signed_bytes(cost.calldata_bytes());
            if bytes > self.limits.bytes {
                blame = self.too_many_bytes(bytes);
                return false;
            }
            true
        };
        let most = self.costs(rest).take_while(fits).count();
        (most, blame)
    }

    /// What the first one, the first two, … commitments cost together.
    fn costs<'a>(&'a self, commitments: &'a [Commitment]) -> impl Iterator<Item = BulkCost> + 'a {
        let mut cost = BulkCost::new();
        let mut here = HashSet::new();
        commitments.iter().enumerate().map(move |(index, commitment)| {
            if index == 0 || !chains(&commitments[index - 1], commitment) {
                let stream = commitment.stream();
                let opening = !self.opened.contains(&stream) && here.insert(stream);
                cost.add_run(commitment, opening);
            }
            cost.add_commitment(commitment);
            cost.clone()
        })
    }

    fn bulk_gas(&self, commitments: &[Commitment]) -> u64 {
        let gas = self.costs(commitments).last().map_or(0, |cost| cost.gas());
        with_margin(gas, self.margin)
    }

    const fn too_much_gas(&self, needed: u64) -> TooTight {
        TooTight {
            what: "gas",
            needed,
            limit: self.limits.gas,
            key: "`txmgr.max_gas`",
        }
    }

    const fn too_many_bytes(&self, needed: u64) -> TooTight {
        TooTight {
            what: "bytes",
            needed,
            limit: self.limits.bytes,
            key: "`txmgr.max_bytes`",
        }
    }

    const fn too_many_estimated(&self, needed: u64) -> TooTight {
        TooTight {
            what: "estimated compressed bytes",
            needed,
            limit: self.estimated,
            key: "`txmgr.max_estimated_bytes`, or the block's share for commitments",
        }
    }
}

/// The largest count up to `most` (at least 1) whose size keeps to `limit`; the size of one where not
/// even that does.
///
/// Size grows almost evenly with the count, so interpolating finds the place in a few looks; every second
/// look halves the range, which bounds them whatever the data. What is answered was looked at, so it
/// holds even where the estimate is not monotonous.
fn largest_within(most: usize, limit: u64, mut size: impl FnMut(usize) -> u64) -> Result<usize, u64> {
    let whole = size(most);
    if whole <= limit {
        return Ok(most);
    }
    let (mut within, mut size_within) = (0, 0);
    let (mut beyond, mut size_beyond) = (most, whole);
    let mut halve = false;
    while beyond - within > 1 {
        let span = beyond - within;
        let step = if halve {
            span / 2
        } else {
            let share = (limit - size_within) as f64 / (size_beyond - size_within) as f64;
            (span as f64 * share) as usize
        };
        halve = !halve;
        let middle = within + step.clamp(1, span - 1);
        let looked = size(middle);
        if looked <= limit {
            (within, size_within) = (middle, looked);
        } else {
            (beyond, size_beyond) = (middle, looked);
        }
    }
    if within == 0 { Err(size_beyond) } else { Ok(within) }
}

#[cfg(test)]
mod tests;
