//! A block builder by the rules of op-geth, for limits that anvil does not enforce.

use crate::blocks::CommitCall;

/// What a block may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) gas: u64,
    /// DA footprint gas per estimated byte.
    pub(crate) footprint_scalar: u64,
}

/// Packs one account's calls, in their order, into as few blocks as a builder would, and gives each
/// block's fullness: by gas used or by DA footprint, whichever is more.
///
/// A call enters a block if its gas *limit* fits beside the gas used so far, and its footprint beside
/// the footprint so far (specification, Jovian, "DA footprint block limit"); else it and all behind it
/// wait for the next.
pub(crate) fn fullness(calls: impl IntoIterator<Item = CommitCall>, limits: Limits) -> Vec<f64> {
    let mut blocks = vec![];
    let (mut gas, mut footprint) = (0, 0);
    for call in calls {
        let own = call.estimated_bytes * limits.footprint_scalar;
        if gas + call.gas_limit > limits.gas || footprint + own > limits.gas {
            blocks.push(share(gas, footprint, limits));
            (gas, footprint) = (0, 0);
        }
        gas += call.gas_used;
        footprint += own;
    }
    blocks.push(share(gas, footprint, limits));
    blocks
}

fn share(gas: u64, footprint: u64, limits: Limits) -> f64 {
    gas.max(footprint) as f64 / limits.gas as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_where_its_limit_or_its_footprint_does_not_fit() {
        let limits = Limits {
            gas: 100,
            footprint_scalar: 2,
        };
        let call = |gas_used, gas_limit, estimated_bytes| CommitCall {
            gas_used,
            gas_limit,
            estimated_bytes,
        };
        // 40 used and 70 asked is too much, though 40 and 40 would fit.
        assert_eq!(fullness([call(40, 60, 10), call(40, 70, 10)], limits), [0.4, 0.4]);
        assert_eq!(fullness([call(40, 60, 10), call(40, 60, 10)], limits), [0.8]);
        assert_eq!(fullness([call(10, 10, 40), call(10, 10, 11)], limits), [0.8, 0.22]);
    }
}
