//! Source plugin: the stateset-sequencer's HTTP API.
//!
//! ```toml
//! [[plugins]]
//! id = "sequencer"
//! kind = "source"
//! builtin = "sequencer-http"
//! deadline = "30s"   # more than the plugin's own `timeout`
//!
//! [plugins.config]
//! base_url = "https://sequencer.example"
//! api_key = "${SEQUENCER_API_KEY}"
//! ```
//!
//! | method | route |
//! | --- | --- |
//! | `poll` | `GET /v1/commitments/pending` |
//! | `poll_stream` | `GET /api/v1/ves/commitments` |
//! | `report` | `POST /v1/commitments/{batch_id}/anchored`, after a 409 also `GET /api/v1/ves/commitments/{batch_id}` |
//! | `inclusion_proof` | `GET /api/v1/ves/proofs/{sequence}` |
//!
//! The plugin keeps nothing: what it reports follows from the request, so that a report which got no
//! answer can be repeated. After a 429 it sends nothing until the sequencer's `retry-after` has passed.
//! Proofs come back later than that, a quarter as many in a second, and are back at their old rate only after
//! 60 such waits: the limit is shared, and whoever asks for proofs must not use up what anchoring needs.
//! `health` tells how the newest request went, without a request of its own. [`Config`] documents every
//! key.

mod answer;
mod client;
mod config;
mod conflict;
mod entry;
mod failure;
mod gate;
mod listing;
mod proof;
mod report;
mod route;

use std::time::Duration;

use set_plugin_sdk::prelude::*;

use self::{
    client::{Client, Deadline},
    proof::Proofs,
    report::Reports,
};

pub use config::Config;

/// The plugin.
#[derive(Debug)]
pub struct SequencerHttp {
    client: Client,
    reports: Reports,
    proofs: Proofs,
    timeout: Duration,
}

#[async_trait]
impl Plugin for SequencerHttp {
    type Config = Config;

    async fn create(config: Config, host: Host) -> Result<Self, PluginError> {
        let settings = config.check().map_err(PluginError::permanent)?;
        tracing::info!(base_url = %settings.base_url, "the sequencer's API");
        Ok(Self {
            client: Client::new(settings, host)?,
            reports: Reports::new(&config),
            proofs: Proofs::new(&config),
            timeout: config.timeout,
        })
    }

    async fn health(&self) -> Result<(), PluginError> {
        self.client.newest_problem().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Source for SequencerHttp {
    async fn poll(&self, request: PollRequest) -> Result<PollResponse, PluginError> {
        let deadline = Deadline::after(self.timeout);
        Ok(listing::pending(&self.client, request, deadline).await?)
    }

    async fn poll_stream(&self, request: PollStreamRequest) -> Result<PollResponse, PluginError> {
        let deadline = Deadline::after(self.timeout);
        listing::of_stream(&self.client, request, deadline).await
    }

    async fn report(&self, request: ReportRequest) -> Result<ReportResponse, PluginError> {
        let deadline = Deadline::after(self.timeout);
        self.reports.report(&self.client, request, deadline).await
    }

    async fn inclusion_proof(&self, request: InclusionProofRequest) -> Result<InclusionProof, PluginError> {
        let deadline = Deadline::after(self.timeout);
        self.proofs.prove(&self.client, request, deadline).await
    }
}

set_plugin_sdk::plugin!(SequencerHttp as Source, name = "sequencer-http");
