//! Dividing a block into calls that fill it.
//!
//! A builder puts a call into a block only where the call's whole gas limit fits beside what the calls
//! before it used; what is left over stays empty, because a nonce cannot be skipped. So calls are of
//! equal size, and as many as a whole number of them take the block.

use set_chain::Head;

use crate::{BlockShare, size::CallSize};

/// What one of the calls that fill a block may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Division {
    /// Gas limit.
    pub(crate) gas: u64,
    /// DA footprint, in gas.
    pub(crate) footprint: u64,
}

/// Divides what `share` leaves of a block into calls of at most `largest`.
pub(crate) fn divide(share: BlockShare, head: &Head, largest: CallSize) -> Division {
    // A hundredth stays for the deposit that every block starts with.
    let whole = head.gas_limit - head.gas_limit / 100;
    let block = share.gas(head).map_or(whole, |share| share.min(whole));
    let largest_footprint = head
        .da_footprint_scalar
        .map(|scalar| largest.estimated_bytes.saturating_mul(scalar));
    let calls = |largest: u64| block.div_ceil(largest.max(1)).max(1);
    let calls = calls(largest.gas).max(largest_footprint.map_or(1, calls));
    let gas = match share {
        // All but the last have used their gas when the last one's limit must fit, and no call of a proxy uses
        // its last 64th (EIP-150).
        BlockShare::Off => (u128::from(block) * 64 / (63 * u128::from(calls) + 1)) as u64,
        // In flight, limits count.
        BlockShare::Target | BlockShare::Percent(_) => block / calls,
    };
    Division {
        gas: gas.min(largest.gas),
        footprint: block / calls,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use set_chain::BlockRef;

    use super::*;

    fn head(gas_target: u64, da_footprint_scalar: Option<u64>) -> Head {
        Head {
            block: BlockRef {
                number: 1,
                hash: Default::default(),
                timestamp: 0,
            },
            parent_hash: Default::default(),
            gas_limit: 30_000_000,
            gas_target,
            gas_used: 0,
            base_fee: 1,
            next_base_fee: 1,
            suggested_tip: 1,
            da_footprint: None,
            da_footprint_scalar,
        }
    }

    #[rstest]
    #[case::half(BlockShare::Target, 7_500_000, None, 2)]
    #[case::whole(BlockShare::Off, 7_600_000, None, 4)]
    #[case::smaller(BlockShare::Off, 3_000_000, None, 10)]
    #[case::data_binds_first(BlockShare::Off, 15_000_000, Some(600), 3)]
    #[case::gas_binds_first(BlockShare::Off, 3_000_000, Some(600), 10)]
    fn a_whole_number_of_calls_fills_the_block(
        #[case] share: BlockShare,
        #[case] gas: u64,
        #[case] scalar: Option<u64>,
        #[case] calls: u64,
    ) {
        let largest = CallSize {
            gas,
            estimated_bytes: 19_000,
        };
        let division = divide(share, &head(15_000_000, scalar), largest);
        let block = if share == BlockShare::Off {
            29_700_000
        } else {
            15_000_000
        };
        let used = |limit: u64| limit - limit / 64;
        let taken = match share {
            BlockShare::Off => (calls - 1) * used(division.gas) + division.gas,
            _ => calls * division.gas,
        };
        assert!((block / 200 * 199..=block).contains(&taken), "{taken} of {block}");
        assert!(division.gas <= gas, "{division:?}");
        assert!(
            (block - calls..=block).contains(&(calls * division.footprint)),
            "{division:?}"
        );
        assert!(
            scalar.is_none_or(|scalar| division.footprint <= 19_000 * scalar),
            "{division:?}"
        );
    }
}
