//! Which sponsorships are paid.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;
use set_plugin_sdk::{
    prelude::{Sponsorship, Verdict},
    types::alloy_primitives::{Address, U256},
};

use crate::AccessList;

/// `[plugins.config.sponsorships]`: what is asked before SetPaymaster's own limits.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SponsorshipRules {
    /// Holds every sponsorship while true. Default: false.
    pub pause: bool,
    /// The most that one sponsorship may pay, in wei, as a decimal or 0x text. Default: no limit of ours;
    /// the merchant's tier has its own.
    #[schemars(with = "Option<String>")]
    pub max_amount: Option<U256>,
    /// Only these operations are paid. Default: all.
    pub operation_types: Option<HashSet<OperationType>>,
    /// Which merchants are paid, by address.
    #[schemars(with = "AccessList<String>")]
    pub merchants: AccessList<Address>,
}

/// SetPaymaster's operation types; the discriminant is the contract's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u8)]
pub enum OperationType {
    /// An order is created.
    OrderCreate = 0,
    /// An order is changed.
    OrderUpdate = 1,
    /// A payment is processed.
    PaymentProcess = 2,
    /// An inventory is adjusted.
    InventoryUpdate = 3,
    /// A return is processed.
    ReturnProcess = 4,
    /// A commitment is anchored.
    CommitmentAnchor = 5,
    /// Anything else.
    Other = 6,
}

impl OperationType {
    const ALL: [Self; 7] = [
        Self::OrderCreate,
        Self::OrderUpdate,
        Self::PaymentProcess,
        Self::InventoryUpdate,
        Self::ReturnProcess,
        Self::CommitmentAnchor,
        Self::Other,
    ];

    /// The type with the contract's number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl SponsorshipRules {
    /// Judges one sponsorship.
    pub(crate) fn judge(&self, sponsorship: &Sponsorship) -> Verdict {
        if let Some(reason) = self.refusal(sponsorship) {
            return Verdict::Deny { reason };
        }
        if self.pause {
            return Verdict::Hold {
                until: None,
                reason: "`sponsorships.pause` is true".into(),
            };
        }
        Verdict::Allow
    }

    fn refusal(&self, sponsorship: &Sponsorship) -> Option<String> {
        let number = sponsorship.operation_type;
        let Some(operation) = OperationType::from_number(number) else {
            return Some(format!("operation type {number} is unknown; SetPaymaster has 0 to 6"));
        };
        if let Some(reason) = self.merchants.refusal("sponsorships.merchants", &sponsorship.merchant) {
            return Some(reason);
        }
        if self
            .operation_types
            .as_ref()
            .is_some_and(|paid| !paid.contains(&operation))
        {
            return Some(format!(
                "{operation:?} (operation type {number}) is not in `sponsorships.operation_types`"
            ));
        }
        let max = self.max_amount.filter(|max| sponsorship.amount > *max)?;
        Some(format!(
            "{} wei is more than `sponsorships.max_amount`, {max}",
            sponsorship.amount
        ))
    }
}
