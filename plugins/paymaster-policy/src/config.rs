//! The plugin's configuration.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{CommitmentRules, SponsorshipRules};

/// `[plugins.config]`. Without any key, everything is allowed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// When commitments go.
    pub commitments: CommitmentRules,
    /// Which sponsorships are paid.
    pub sponsorships: SponsorshipRules,
}

impl Config {
    /// Finds lists that contradict themselves.
    ///
    /// # Errors
    /// Every problem, each with its key, in one text.
    pub(crate) fn check(&self) -> Result<(), String> {
        let problems: Vec<String> = [
            self.commitments.tenants.problem("commitments.tenants"),
            self.commitments.stores.problem("commitments.stores"),
            self.sponsorships.merchants.problem("sponsorships.merchants"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems.join("; "))
        }
    }
}
