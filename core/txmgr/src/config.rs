//! The section `[txmgr]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use set_chain::{ChainView, Head, SettlementTag};
use set_types::{CallLimits, ConfigProblem, FeeContext};

use crate::{BlockShare, CallSize, Wei, block_division::divide};

/// Gas that a transaction may have at all (EIP-7825, in force from Karst on).
const TX_GAS_CAP: u64 = 16_777_216;
/// Bytes that a node's pool takes at most for a transaction (geth and reth: 128 KiB).
const POOL_TX_BYTES: u64 = 131_072;

/// How transactions are priced, sent and watched. Every key has a default that suits 2 s blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TxConfig {
    /// A transaction that is not in a block for so long is replaced at a higher price, or sent again
    /// where the price is not what holds it up. Default 12 s.
    #[serde(with = "humantime_serde")]
    pub resubmission_timeout: Duration,
    /// Pause before a send that the node refused for now is tried again; it doubles with each refusal
    /// up to `publish_retry_max`. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub publish_retry: Duration,
    /// Longest pause between two such tries. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub publish_retry_max: Duration,
    /// A transaction that is not in a block for so long raises the alarm `stuck`. Default 2 min.
    #[serde(with = "humantime_serde")]
    pub stuck_after: Duration,
    /// How settled a block must be before its transactions are let go; until then a reorg is noticed
    /// and repaired. `included`, `safe` or `finalized`; default `finalized`. A chain whose node never
    /// moves that tag (a plain anvil) needs `included`.
    pub watch_until: SettlementTag,
    /// Transactions that are sent or about to be, and in no block yet. Default 12. Stay below what the
    /// node's pool takes from one sender (reth 16, geth 64).
    pub max_in_flight: usize,
    /// Gas limit of one transaction, at most. Default 7,600,000, so that four calls
    /// fill a block of 30 million before their data is too large; EIP-7825 allows 16,777,216.
    pub max_gas: u64,
    /// Bytes of one signed transaction, at most. Default 120,000; pools take 131,072.
    pub max_bytes: u64,
    /// Estimated compressed bytes of one signed transaction, at most. Default 19,000: an op-batcher
    /// that throttles passes over what is larger than 20,000.
    pub max_estimated_bytes: u64,
    /// What commitments take of a block at most, all accounts together, by gas limit and, where the chain
    /// counts it, by DA footprint: `target` (the chain's gas target, at which the base fee stays where it
    /// is), a percentage such as `25%`, or `off`. Default `target`.
    pub max_block_share: BlockShare,
    /// Least tip, per gas. Default 1 wei, which is geth's least.
    pub min_tip: Wei,
    /// No transaction offers more than this per gas. Default 100 gwei.
    pub max_fee: Wei,
    /// A replacement offers at most so many times what a new transaction would. Default 5.
    pub fee_ceiling_multiplier: u32,
    /// Below this fee cap the multiplier does not count. Default 1 gwei.
    pub fee_ceiling_threshold: Wei,
    /// A balance below this raises the alarm `low_balance`; so does one that does not pay for the
    /// largest transaction with its L1 data fee and operator fee. Default 0.01 ether.
    pub balance_alarm: Wei,
}

impl Default for TxConfig {
    fn default() -> Self {
        Self {
            resubmission_timeout: Duration::from_secs(12),
            publish_retry: Duration::from_secs(2),
            publish_retry_max: Duration::from_secs(30),
            stuck_after: Duration::from_secs(120),
            watch_until: SettlementTag::Finalized,
            max_in_flight: 12,
            max_gas: 7_600_000,
            max_bytes: 120_000,
            max_estimated_bytes: 19_000,
            max_block_share: BlockShare::Target,
            min_tip: Wei(1),
            max_fee: Wei::gwei(100),
            fee_ceiling_multiplier: 5,
            fee_ceiling_threshold: Wei::gwei(1),
            balance_alarm: Wei(10_000_000_000_000_000),
        }
    }
}

impl TxConfig {
    /// Most transactions in flight: what geth queues for one sender.
    pub(crate) const MAX_IN_FLIGHT: usize = 64;

    /// Every problem of the section; empty where there is none.
    pub fn validate(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut check = |fine: bool, key: &'static str, problem: String| {
            if !fine {
                problems.push(ConfigProblem { key, problem });
            }
        };
        let second = Duration::from_secs(1);
        check(
            self.resubmission_timeout >= second,
            "resubmission_timeout",
            "is below 1 s, so transactions would be replaced before a block could hold them".into(),
        );
        check(
            self.publish_retry >= Duration::from_millis(100),
            "publish_retry",
            "is below 100 ms, which would flood a node that refuses".into(),
        );
        check(
            self.publish_retry_max >= self.publish_retry,
            "publish_retry_max",
            "is below `publish_retry`".into(),
        );
        check(
            self.stuck_after >= self.resubmission_timeout,
            "stuck_after",
            "is below `resubmission_timeout`, so the alarm would come before the cure".into(),
        );
        check(
            (1..=Self::MAX_IN_FLIGHT).contains(&self.max_in_flight),
            "max_in_flight",
            format!(
                "is {}; write 1 to {}, which is what geth queues for one sender",
                self.max_in_flight,
                Self::MAX_IN_FLIGHT
            ),
        );
        check(
            (100_000..=TX_GAS_CAP).contains(&self.max_gas),
            "max_gas",
            format!("is {}; write 100000 to {TX_GAS_CAP}, the cap of EIP-7825", self.max_gas),
        );
        check(
            (1_000..=POOL_TX_BYTES).contains(&self.max_bytes),
            "max_bytes",
            format!("is {}; write 1000 to {POOL_TX_BYTES}", self.max_bytes),
        );
        check(
            (500..=POOL_TX_BYTES).contains(&self.max_estimated_bytes),
            "max_estimated_bytes",
            format!("is {}; write 500 to {POOL_TX_BYTES}", self.max_estimated_bytes),
        );
        check(
            self.max_fee > self.min_tip,
            "max_fee",
            format!("is {}, not above `min_tip`", self.max_fee),
        );
        check(
            self.fee_ceiling_multiplier >= 2,
            "fee_ceiling_multiplier",
            "is below 2, so a transaction could hardly be replaced".into(),
        );
        problems
    }

    /// What one call may take on the chain as it is now, and by what was `learnt` of it. `calls` is
    /// [`Self::max_in_flight`]; a planner that knows how much room is left lowers it.
    pub(crate) fn call_limits(&self, view: &ChainView, learnt: Option<CallSize>) -> CallLimits {
        let head = view.latest;
        let learnt = learnt.unwrap_or(CallSize {
            gas: u64::MAX,
            estimated_bytes: u64::MAX,
        });
        let largest = self.caps().zip(learnt, u64::min);
        let division = head.map(|head| divide(self.max_block_share, &head, largest));
        let scalar = head.and_then(|head| head.da_footprint_scalar);
        let footprint = division.zip(scalar).map(|(division, scalar)| {
            let smallest = CallSize::SMALLEST.estimated_bytes.saturating_mul(scalar);
            division.footprint.max(smallest)
        });
        let gas = division.map_or(largest.gas, |division| division.gas.max(CallSize::SMALLEST.gas));
        CallLimits {
            gas: gas.min(largest.gas),
            bytes: self.max_bytes,
            estimated_bytes: largest.estimated_bytes,
            da_footprint: footprint,
            da_footprint_scalar: scalar,
            calls: u32::try_from(self.max_in_flight).unwrap_or(u32::MAX),
        }
    }

    /// The largest call that the settings allow, whatever the chain is like.
    pub(crate) const fn caps(&self) -> CallSize {
        CallSize {
            gas: self.max_gas,
            estimated_bytes: self.max_estimated_bytes,
        }
    }

    /// What a transaction would cost per gas now, for policies; `None` until the chain was seen.
    pub fn fee_context(&self, view: &ChainView) -> Option<FeeContext> {
        view.latest.map(|head| FeeContext {
            base_fee: head.next_base_fee,
            tip: self.tip(&head),
        })
    }

    /// The tip of a new transaction, in wei per gas: what the node suggests, but no more than `max_fee`
    /// leaves beside the base fee. A node that suggests absurdly much stops nobody.
    pub(crate) fn tip(&self, head: &Head) -> u128 {
        let affordable = self.max_fee.0.saturating_sub(head.next_base_fee);
        head.suggested_tip.min(affordable).max(self.min_tip.0)
    }
}

#[cfg(test)]
mod tests {
    use set_chain::BlockRef;

    use super::*;

    fn head() -> Head {
        Head {
            block: BlockRef {
                number: 1,
                hash: Default::default(),
                timestamp: 0,
            },
            parent_hash: Default::default(),
            gas_limit: 10_000_000,
            gas_target: 5_000_000,
            gas_used: 0,
            base_fee: 1,
            next_base_fee: 1,
            suggested_tip: 1,
            da_footprint: None,
            da_footprint_scalar: None,
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(TxConfig::default().validate(), []);
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let broken = TxConfig {
            resubmission_timeout: Duration::ZERO,
            publish_retry: Duration::ZERO,
            max_in_flight: 0,
            max_gas: 17_000_000,
            max_bytes: 1 << 20,
            fee_ceiling_multiplier: 1,
            max_fee: Wei(0),
            ..TxConfig::default()
        };
        let keys: Vec<_> = broken.validate().iter().map(|problem| problem.key).collect();
        assert_eq!(
            keys,
            [
                "resubmission_timeout",
                "publish_retry",
                "max_in_flight",
                "max_gas",
                "max_bytes",
                "max_fee",
                "fee_ceiling_multiplier"
            ]
        );
    }

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_default() {
        let error = serde_json::from_str::<TxConfig>(r#"{"max_inflight": 3}"#).unwrap_err();
        assert!(error.to_string().contains("max_inflight"), "{error}");
        let config: TxConfig = serde_json::from_str(r#"{"max_fee": "2.5 gwei", "watch_until": "safe"}"#).unwrap();
        assert_eq!(config.max_fee, Wei(2_500_000_000));
        assert_eq!(config.watch_until, SettlementTag::Safe);
        assert_eq!(config.max_in_flight, 12);
    }

    #[test]
    fn limits_follow_the_chain() {
        let config = TxConfig {
            max_block_share: BlockShare::Off,
            ..TxConfig::default()
        };
        let mut view = ChainView::unknown();
        assert_eq!(config.call_limits(&view, None).gas, 7_600_000);
        view.latest = Some(head());
        let limits = config.call_limits(&view, None);
        assert_eq!((limits.gas, limits.da_footprint), (4_988_976, None));
        view.latest = Some(Head {
            gas_limit: 30_000_000,
            da_footprint_scalar: Some(400),
            ..head()
        });
        let limits = config.call_limits(&view, None);
        assert_eq!((limits.gas, limits.da_footprint), (7_513_043, Some(7_425_000)));
        assert_eq!(limits.da_footprint_scalar, Some(400));
    }

    #[test]
    fn limits_follow_the_share_and_what_was_learnt_but_one_commitment_always_fits() {
        let mut view = ChainView::unknown();
        view.latest = Some(Head {
            da_footprint_scalar: Some(400),
            ..head()
        });
        let limits = |share, learnt| {
            let config = TxConfig {
                max_block_share: share,
                ..TxConfig::default()
            };
            let limits = config.call_limits(&view, learnt);
            (limits.gas, limits.estimated_bytes, limits.da_footprint)
        };
        let learnt = CallSize {
            gas: 2_000_000,
            estimated_bytes: 3_000,
        };
        assert_eq!(limits(BlockShare::Target, None), (5_000_000, 19_000, Some(5_000_000)));
        assert_eq!(
            limits(BlockShare::Target, Some(learnt)),
            (1_000_000, 3_000, Some(1_000_000))
        );
        assert_eq!(limits(BlockShare::Percent(1), None), (500_000, 19_000, Some(400_000)));
    }

    #[test]
    fn fees_for_policies_are_those_of_the_next_transaction() {
        let config = TxConfig {
            min_tip: Wei(5),
            ..TxConfig::default()
        };
        let mut view = ChainView::unknown();
        assert_eq!(config.fee_context(&view), None);
        for (suggested_tip, tip) in [(1, 5), (9, 9)] {
            view.latest = Some(Head {
                base_fee: 70,
                next_base_fee: 80,
                suggested_tip,
                ..head()
            });
            assert_eq!(config.fee_context(&view), Some(FeeContext { base_fee: 80, tip }));
        }
    }
}
