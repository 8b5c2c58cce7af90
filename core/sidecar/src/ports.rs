//! Where crates meet that do not know each other: the index asks the submitter, the server asks the
//! pipeline and the host.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use set_host::{CallErrorKind, Host, PluginReport, PluginState, SourceClient, SubmitterClient};
use set_index::LogDecoder;
use set_pipeline::{PendingFilter, PipelineView};
use set_rpc::{Pending, PendingQuery, Plugins, SourceError, StatusReport, answer::PluginAnswer};
use set_txmgr::TxMgr;
use set_types::{
    BatchId, DecodeRequest, DecodeResponse, InclusionProof, InclusionProofRequest, LogFilter, PendingCommitment,
};

use crate::config::Config;

/// Reads the chain's logs as the submitter says.
pub(crate) struct SubmitterLogs(pub(crate) SubmitterClient);

impl LogDecoder for SubmitterLogs {
    async fn log_filter(&self) -> Result<LogFilter, String> {
        self.0.log_filter().await.map_err(|error| error.to_string())
    }

    async fn decode(&self, request: DecodeRequest) -> Result<DecodeResponse, String> {
        self.0.decode(&request).await.map_err(|error| error.to_string())
    }
}

/// The plugins, as the server shows them.
pub(crate) struct HostPlugins {
    pub(crate) host: Arc<Host>,
    pub(crate) source: SourceClient,
}

#[async_trait]
impl Plugins for HostPlugins {
    fn list(&self) -> Vec<PluginAnswer> {
        self.host.plugins().into_iter().map(public).collect()
    }

    async fn inclusion_proof(&self, request: InclusionProofRequest) -> Result<InclusionProof, SourceError> {
        let proof = self.source.inclusion_proof(&request).await;
        proof.map_err(|error| match &error.kind {
            CallErrorKind::Timeout { .. } => SourceError::Timeout,
            CallErrorKind::Refused {
                message,
                retryable: false,
            } => SourceError::Refused(message.clone()),
            _ => SourceError::Unavailable(error.to_string()),
        })
    }
}

/// Leaves out what only an operator may see: configuration, paths, errors with addresses in them.
fn public(report: PluginReport) -> PluginAnswer {
    PluginAnswer {
        id: report.id,
        kind: report.kind.to_string(),
        name: report.name,
        version: report.version,
        description: report.description,
        builtin: report.origin.starts_with("builtin "),
        sha256: report.sha256,
        state: report.state.to_string(),
        serving: matches!(report.state, PluginState::Started | PluginState::Degraded),
        generation: report.generation,
        required: report.required,
        calls: report.calls,
        failures: report.failures,
        in_flight: report.in_flight as u64,
    }
}

/// Commitments on their way, as the server shows them.
pub(crate) struct PipelinePending(pub(crate) PipelineView);

#[async_trait]
impl Pending for PipelinePending {
    async fn list(&self, query: PendingQuery) -> Vec<PendingCommitment> {
        let filter = PendingFilter {
            stream: query.stream,
            stage: query.stage,
        };
        self.0.pending(filter, query.after, query.limit)
    }

    async fn get(&self, batch_id: BatchId) -> Option<PendingCommitment> {
        self.0.get(batch_id)
    }
}

/// `set_status`'s parts beside the chain and the index.
pub(crate) struct Status {
    pub(crate) pipeline: PipelineView,
    pub(crate) txmgr: TxMgr,
    /// What never changes while the program runs.
    pub(crate) facts: Value,
}

impl Status {
    pub(crate) fn facts(config: &Config) -> Value {
        json!({
            "name": config.chain.name,
            "registry": config.chain.registry,
            "paymaster": config.chain.paymaster,
            "blockTimeMs": config.block.time.as_millis() as u64,
            "blockGasLimit": config.block.gas_limit,
            "reportAt": config.commitment.report_at,
            "l1": { "chainId": config.l1.chain_id, "name": config.l1.name },
        })
    }
}

/// Reasons in one text; `None` where there is none.
fn all(reasons: impl Iterator<Item = String>) -> Option<String> {
    let reasons: Vec<_> = reasons.collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

impl StatusReport for Status {
    fn status(&self) -> Value {
        json!({
            "network": self.facts,
            "pipeline": self.pipeline.status(),
            "txmgr": *self.txmgr.status(),
        })
    }

    fn hindrances(&self) -> Vec<(&'static str, Option<String>)> {
        let (pipeline, txmgr) = (self.pipeline.status(), self.txmgr.status());
        let source =
            (!pipeline.source.healthy).then(|| pipeline.source.error.unwrap_or_else(|| "not asked yet".into()));
        let holds = pipeline.holds.into_iter().map(|hold| hold.reason);
        let alarms = pipeline
            .alarms
            .into_iter()
            .map(|alarm| format!("{} ({})", alarm.message, alarm.count));
        vec![
            ("source", source),
            ("pipeline", all(holds.chain(alarms))),
            ("txmgr", all(txmgr.alarms.iter().map(|alarm| alarm.message.clone()))),
        ]
    }
}
