//! What a transaction offers (EIP-1559), and what a replacement of it must offer.

use set_chain::Head;

use crate::TxConfig;

/// The two prices of an EIP-1559 transaction, in wei per gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeeTerms {
    /// Tip (`max_priority_fee_per_gas`).
    pub(crate) tip: u128,
    /// Fee cap (`max_fee_per_gas`), tip included.
    pub(crate) cap: u128,
}

impl FeeTerms {
    /// What a new transaction offers now: the tip that the node suggests, and room for the base fee to
    /// double. `None` where even the next block asks more than `max_fee`.
    pub(crate) fn fresh(head: &Head, config: &TxConfig) -> Option<Self> {
        let tip = config.tip(head);
        let needed = head.next_base_fee.saturating_add(tip);
        let max_fee = config.max_fee.0;
        (needed <= max_fee).then(|| Self {
            tip,
            cap: needed.saturating_add(head.next_base_fee).min(max_fee),
        })
    }

    /// What a replacement must offer: on both prices at least a tenth more, which geth and reth demand,
    /// and at least one wei more, since a tenth of little is nothing.
    pub(crate) fn bumped(self, fresh: Self) -> Self {
        let raise = |old: u128, fresh: u128| {
            let tenth_more = old.saturating_add(old.div_ceil(10));
            fresh.max(tenth_more).max(old.saturating_add(1))
        };
        Self {
            tip: raise(self.tip, fresh.tip),
            cap: raise(self.cap, fresh.cap),
        }
    }

    /// The replacement's terms, or `None` where they are above the ceiling; then the same bytes go out again.
    pub(crate) fn replacement(self, fresh: Self, config: &TxConfig) -> Option<Self> {
        let bumped = self.bumped(fresh);
        let ceiling = fresh
            .cap
            .saturating_mul(config.fee_ceiling_multiplier.into())
            .max(config.fee_ceiling_threshold.0)
            .min(config.max_fee.0);
        (bumped.cap <= ceiling).then_some(bumped)
    }

    /// Whether the next block can include it.
    pub(crate) fn pays_for(self, head: &Head) -> bool {
        self.cap >= head.next_base_fee.saturating_add(self.tip.min(1))
    }

    /// Whether the block after the next can include it too, if the base fee goes on as it does now. What
    /// cannot is replaced while the next block is made, so that no block goes by without it.
    pub(crate) fn keeps_up_with(self, head: &Head) -> bool {
        let rise = head.next_base_fee.saturating_sub(head.base_fee);
        self.cap >= head.next_base_fee.saturating_add(rise).saturating_add(self.tip.min(1))
    }

    /// Whether a block was to be had at this price.
    pub(crate) fn paid_for(self, block: &Head) -> bool {
        self.cap >= block.base_fee.saturating_add(self.tip.min(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use set_chain::BlockRef;

    use super::*;
    use crate::Wei;

    pub(crate) fn head(next_base_fee: u128, suggested_tip: u128) -> Head {
        Head {
            block: BlockRef {
                number: 1,
                hash: Default::default(),
                timestamp: 0,
            },
            parent_hash: Default::default(),
            gas_limit: 30_000_000,
            gas_target: 15_000_000,
            gas_used: 0,
            base_fee: next_base_fee,
            next_base_fee,
            suggested_tip,
            da_footprint: None,
            da_footprint_scalar: None,
        }
    }

    const fn terms(tip: u128, cap: u128) -> FeeTerms {
        FeeTerms { tip, cap }
    }

    #[rstest]
    #[case::doubling_base_fee(100, 7, Some(terms(7, 207)))]
    #[case::least_tip(100, 0, Some(terms(1, 201)))]
    #[case::capped(600, 10, Some(terms(10, 1_000)))]
    #[case::at_the_cap(990, 10, Some(terms(10, 1_000)))]
    #[case::a_tip_beyond_reason(600, u128::MAX, Some(terms(400, 1_000)))]
    #[case::above_the_cap(1_000, 10, None)]
    fn fresh_terms(#[case] base: u128, #[case] tip: u128, #[case] expected: Option<FeeTerms>) {
        let config = TxConfig {
            max_fee: Wei(1_000),
            ..TxConfig::default()
        };
        assert_eq!(FeeTerms::fresh(&head(base, tip), &config), expected);
    }

    #[rstest]
    #[case::ten_percent(terms(100, 1_000), terms(1, 1), terms(110, 1_100))]
    #[case::rounds_up(terms(101, 1_001), terms(1, 1), terms(112, 1_102))]
    #[case::one_wei_at_least(terms(0, 1), terms(0, 0), terms(1, 2))]
    #[case::the_market_moved(terms(100, 1_000), terms(500, 9_000), terms(500, 9_000))]
    #[case::each_price_by_itself(terms(100, 1_000), terms(500, 1), terms(500, 1_100))]
    fn bumped_terms(#[case] old: FeeTerms, #[case] fresh: FeeTerms, #[case] expected: FeeTerms) {
        assert_eq!(old.bumped(fresh), expected);
    }

    #[test]
    fn a_replacement_stops_at_the_ceiling() {
        let config = TxConfig {
            fee_ceiling_multiplier: 2,
            fee_ceiling_threshold: Wei(0),
            max_fee: Wei(10_000),
            ..TxConfig::default()
        };
        let fresh = terms(1, 1_000);
        assert_eq!(terms(1, 1_800).replacement(fresh, &config), Some(terms(2, 1_980)));
        assert_eq!(terms(1, 1_900).replacement(fresh, &config), None);
        let generous = TxConfig {
            fee_ceiling_threshold: Wei(5_000),
            ..config.clone()
        };
        assert_eq!(terms(1, 1_900).replacement(fresh, &generous), Some(terms(2, 2_090)));
        let strict = TxConfig {
            max_fee: Wei(2_000),
            ..generous
        };
        assert_eq!(terms(1, 1_900).replacement(fresh, &strict), None);
    }

    #[test]
    fn a_rising_base_fee_is_seen_a_block_ahead() {
        let rising = Head {
            base_fee: 800,
            ..head(900, 1)
        };
        for (cap, pays, keeps_up) in [
            (900, false, false),
            (901, true, false),
            (1_000, true, false),
            (1_001, true, true),
        ] {
            let offered = terms(5, cap);
            assert_eq!(
                (offered.pays_for(&rising), offered.keeps_up_with(&rising)),
                (pays, keeps_up),
                "{cap}"
            );
        }
    }

    proptest! {
        #[test]
        fn pools_take_every_replacement(
            tip in 0u128..1 << 100, above in 0u128..1 << 100,
            fresh_tip in 0u128..1 << 100, fresh_above in 0u128..1 << 100,
        ) {
            let old = terms(tip, tip + above);
            let new = old.bumped(terms(fresh_tip, fresh_tip + fresh_above));
            // geth's rule: strictly more, and at least 110/100 of the old price, rounded down.
            prop_assert!(new.tip > old.tip && new.cap > old.cap);
            prop_assert!(new.tip >= old.tip * 110 / 100 && new.cap >= old.cap * 110 / 100);
            prop_assert!(new.cap >= new.tip);
        }
    }
}
