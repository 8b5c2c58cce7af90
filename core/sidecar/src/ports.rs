//! Where crates meet that do not know each other: the index asks the submitter, the server asks the
//! pipeline and the transaction manager.

use async_trait::async_trait;
use serde_json::{Value, json};
use set_host::SubmitterClient;
use set_index::LogDecoder;
use set_pipeline::{PendingFilter, PipelineView};
use set_rpc::{Pending, PendingQuery, StatusReport};
use set_txmgr::TxMgr;
use set_types::{BatchId, DecodeRequest, DecodeResponse, LogFilter, PendingCommitment};

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
