//! Policy plugin: when commitments go, and which sponsorships are paid.
//!
//! ```toml
//! [[plugins]]
//! id = "policy"
//! kind = "policy"
//! builtin = "paymaster-policy"
//!
//! [plugins.config.commitments]
//! min_events = 100
//! max_age = "5m"
//! max_gas_price = "2.5"
//! tenants.deny = ["f03eb0f6-90ee-46e2-a756-5ca9b225848a"]
//!
//! [plugins.config.sponsorships]
//! operation_types = ["ORDER_CREATE", "PAYMENT_PROCESS"]
//! ```
//!
//! Every verdict follows from the request and the configuration alone: the plugin keeps nothing, reads
//! no clock, and asks nobody. To change its mind, for instance with `pause = true`, change the
//! configuration and restart the program. [`Config`] documents every key.

mod access;
mod commitments;
mod config;
mod gwei;
mod sponsorships;

use set_plugin_sdk::prelude::*;

pub use access::AccessList;
pub use commitments::CommitmentRules;
pub use config::Config;
pub use gwei::{Gwei, GweiError};
pub use sponsorships::{OperationType, SponsorshipRules};

/// The plugin.
#[derive(Debug)]
pub struct PaymasterPolicy {
    config: Config,
}

#[async_trait]
impl Plugin for PaymasterPolicy {
    type Config = Config;

    async fn create(config: Config, _host: Host) -> Result<Self, PluginError> {
        config.check().map_err(PluginError::permanent)?;
        if config.commitments.pause {
            tracing::warn!("commitments are paused by `commitments.pause`");
        }
        if config.sponsorships.pause {
            tracing::warn!("sponsorships are paused by `sponsorships.pause`");
        }
        Ok(Self { config })
    }
}

#[async_trait]
impl Policy for PaymasterPolicy {
    async fn evaluate(&self, request: EvaluateRequest) -> Result<EvaluateResponse, PluginError> {
        let Config {
            commitments,
            sponsorships,
        } = &self.config;
        let judge = |subject: &Subject| match subject {
            Subject::Commitment { commitment, backlog } => commitments.judge(commitment, backlog, &request.context),
            Subject::Sponsorship(sponsorship) => sponsorships.judge(sponsorship),
        };
        Ok(EvaluateResponse {
            verdicts: request.subjects.iter().map(judge).collect(),
        })
    }
}

set_plugin_sdk::plugin!(PaymasterPolicy as Policy, name = "paymaster-policy");
