//! The plugins, as the host has them.

use async_trait::async_trait;
use set_host::{CallErrorKind, Host, PluginReport, PluginState};
use set_types::{InclusionProof, InclusionProofRequest};

use crate::{
    answer::PluginAnswer,
    port::{Plugins, SourceError},
};

#[async_trait]
impl Plugins for Host {
    fn list(&self) -> Vec<PluginAnswer> {
        self.plugins().into_iter().map(PluginAnswer::from).collect()
    }

    async fn inclusion_proof(&self, request: InclusionProofRequest) -> Result<InclusionProof, SourceError> {
        let source = self
            .source()
            .ok_or_else(|| SourceError::Unavailable("no source is configured".to_owned()))?;
        source
            .inclusion_proof(&request)
            .await
            .map_err(|error| match error.kind {
                CallErrorKind::Timeout(_) => SourceError::Timeout,
                CallErrorKind::Refused {
                    message,
                    retryable: false,
                } => SourceError::Refused(message),
                CallErrorKind::Refused {
                    message,
                    retryable: true,
                } => SourceError::Unavailable(message),
                // What is wrong with the plugin is for the log.
                _ => {
                    tracing::warn!(%error, batch_id = %request.batch_id, "the source gave no proof");
                    SourceError::Unavailable("its plugin is busy or not running; see set_listPlugins".to_owned())
                }
            })
    }
}

/// Leaves out what only the operator should see: configuration, paths, errors.
impl From<PluginReport> for PluginAnswer {
    fn from(report: PluginReport) -> Self {
        Self {
            kind: report.kind.to_string(),
            builtin: report.origin.starts_with("builtin "),
            state: report.state.to_string(),
            serving: matches!(report.state, PluginState::Started | PluginState::Degraded),
            in_flight: u64::try_from(report.in_flight).unwrap_or(u64::MAX),
            id: report.id,
            name: report.name,
            version: report.version,
            description: report.description,
            sha256: report.sha256,
            generation: report.generation,
            required: report.required,
            calls: report.calls,
            failures: report.failures,
        }
    }
}
