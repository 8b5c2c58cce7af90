//! When commitments go.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use set_plugin_sdk::prelude::{Commitment, PolicyContext, StoreId, StreamBacklog, TenantId, Timestamp, Verdict};

use crate::{AccessList, Gwei};

/// `[plugins.config.commitments]`. The rules are asked in this order: lists, pause, minimum, price.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CommitmentRules {
    /// Holds every commitment while true. Default: false.
    pub pause: bool,
    /// A stream waits until so many events wait in it, summed over its commitments. Default: 0, which
    /// lets everything go at once.
    pub min_events: u64,
    /// A stream that waits for `min_events` goes anyway once its oldest commitment is so old; a duration
    /// such as "90s" or "1h 30m". Default: "10m".
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_age: Duration,
    /// Holds everything while the next block's base fee plus the tip is above this many gwei per gas; a
    /// decimal text such as "2.5". It holds old commitments too: `max_age` is no leave to overpay.
    /// Default: no ceiling.
    pub max_gas_price: Option<Gwei>,
    /// Which tenants' commitments go.
    pub tenants: AccessList<TenantId>,
    /// Which stores' commitments go.
    pub stores: AccessList<StoreId>,
}

impl Default for CommitmentRules {
    fn default() -> Self {
        Self {
            pause: false,
            min_events: 0,
            max_age: Duration::from_secs(600),
            max_gas_price: None,
            tenants: AccessList::default(),
            stores: AccessList::default(),
        }
    }
}

impl CommitmentRules {
    /// Judges one commitment.
    pub(crate) fn judge(&self, commitment: &Commitment, backlog: &StreamBacklog, context: &PolicyContext) -> Verdict {
        let tenant = self.tenants.refusal("commitments.tenants", &commitment.tenant_id);
        let refusal = tenant.or_else(|| self.stores.refusal("commitments.stores", &commitment.store_id));
        if let Some(reason) = refusal {
            return Verdict::Deny { reason };
        }
        if self.pause {
            return Verdict::Hold {
                until: None,
                reason: "`commitments.pause` is true".into(),
            };
        }
        self.gather(backlog, context.now)
            .or_else(|| self.price(context))
            .unwrap_or(Verdict::Allow)
    }

    /// Holds a stream that is neither full nor old enough, until it is old enough.
    fn gather(&self, backlog: &StreamBacklog, now: Timestamp) -> Option<Verdict> {
        if backlog.events >= self.min_events {
            return None;
        }
        // Past the end of time only where `max_age` says "never".
        let due = backlog.oldest.checked_add(self.max_age).ok();
        if due.is_some_and(|due| now >= due) {
            return None;
        }
        Some(Verdict::Hold {
            until: due,
            reason: format!(
                "{} events wait in the stream; `commitments.min_events` is {}",
                backlog.events, self.min_events
            ),
        })
    }

    /// Holds while gas is dear, or its price unknown.
    fn price(&self, context: &PolicyContext) -> Option<Verdict> {
        let ceiling = self.max_gas_price?;
        let reason = match context.fees {
            Some(fees) => {
                let price = Gwei::from_wei(fees.base_fee.saturating_add(fees.tip));
                if price <= ceiling {
                    return None;
                }
                format!("gas costs {price} gwei; `commitments.max_gas_price` is {ceiling}")
            }
            None => format!("the gas price is not known; `commitments.max_gas_price` is {ceiling} gwei"),
        };
        Some(Verdict::Hold { until: None, reason })
    }
}
