//! What a plugin is, and the three roles.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use set_types::{
    DecodeRequest, DecodeResponse, EvaluateRequest, EvaluateResponse, HeadsRequest, HeadsResponse, InclusionProof,
    InclusionProofRequest, LogFilter, LookupRequest, LookupResponse, PlanRequest, PlanResponse, PollRequest,
    PollResponse, PollStreamRequest, ReportRequest, ReportResponse, SettleRequest, SettleResponse,
};

use crate::{Host, PluginError};

/// What every plugin has, whatever its role. One value is one instance; several may run side by side.
#[async_trait]
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The `[plugins.config]` table. Its documentation becomes the schema that the host checks
    /// against and `plugin inspect` prints; use `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned + JsonSchema + Send;

    /// Starts an instance. Slow peers need no waiting for: `health` and the calls can say so later.
    ///
    /// # Errors
    /// What in the configuration is wrong, or what is missing, so that the plugin cannot start.
    async fn create(config: Self::Config, host: Host) -> Result<Self, PluginError>;

    /// Says whether the instance can do its work. The host asks now and then and shows the answer.
    ///
    /// # Errors
    /// What is wrong and what to do about it.
    async fn health(&self) -> Result<(), PluginError> {
        Ok(())
    }

    /// Ends what should end in good order. Calls still running are dropped afterwards.
    async fn shutdown(&self) {}
}

/// Brings commitments in and takes reports of what became of them.
#[async_trait]
pub trait Source: Plugin {
    /// Lists unreported commitments, oldest first.
    ///
    /// # Errors
    /// Why nothing can be listed at all. A single bad entry belongs into the response's `malformed`.
    async fn poll(&self, request: PollRequest) -> Result<PollResponse, PluginError>;

    /// Lists one stream's unreported commitments in order, past what `poll` can show.
    ///
    /// # Errors
    /// As [`Source::poll`].
    async fn poll_stream(&self, request: PollStreamRequest) -> Result<PollResponse, PluginError>;

    /// Reports anchored commitments: one outcome for each receipt, in the same order.
    ///
    /// # Errors
    /// Why no receipt at all could be reported; the host repeats the whole request then.
    async fn report(&self, request: ReportRequest) -> Result<ReportResponse, PluginError>;

    /// Proves that an event is in a batch.
    ///
    /// # Errors
    /// Why there is no proof: unknown batch, sequence outside its range, the peer's trouble.
    async fn inclusion_proof(&self, request: InclusionProofRequest) -> Result<InclusionProof, PluginError>;
}

/// Decides what goes through.
#[async_trait]
pub trait Policy: Plugin {
    /// Judges subjects: one verdict for each, in the same order.
    ///
    /// # Errors
    /// Why no verdict is possible; every subject is then held.
    async fn evaluate(&self, request: EvaluateRequest) -> Result<EvaluateResponse, PluginError>;
}

/// Knows a contract: plans calls of it, reads what they did, and reads its state and logs.
#[async_trait]
pub trait Submitter: Plugin {
    /// Turns commitments into calls, within the limits. What does not fit stays for the next plan.
    ///
    /// # Errors
    /// Why nothing can be planned. A commitment that can never be expressed belongs into `excluded`.
    async fn plan(&self, request: PlanRequest) -> Result<PlanResponse, PluginError>;

    /// Says what a mined transaction did: one settlement for each of its batches, in the same order.
    ///
    /// # Errors
    /// Why that cannot be said now.
    async fn settle(&self, request: SettleRequest) -> Result<SettleResponse, PluginError>;

    /// Reads where streams stand on chain: one head for each, in the same order.
    ///
    /// # Errors
    /// Why the chain could not be read.
    async fn heads(&self, request: HeadsRequest) -> Result<HeadsResponse, PluginError>;

    /// Reads what the chain holds under batch ids: one entry for each, in the same order.
    ///
    /// # Errors
    /// Why the chain could not be read.
    async fn lookup(&self, request: LookupRequest) -> Result<LookupResponse, PluginError>;

    /// Which logs tell that commitments were made, by whomever.
    ///
    /// # Errors
    /// Why that cannot be said now.
    async fn log_filter(&self) -> Result<LogFilter, PluginError>;

    /// Reads logs that the filter matched. Logs that say nothing of interest are passed over.
    ///
    /// # Errors
    /// Which log cannot be read, and why.
    async fn decode(&self, request: DecodeRequest) -> Result<DecodeResponse, PluginError>;
}
