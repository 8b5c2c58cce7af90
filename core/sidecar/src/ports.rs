//! Where crates meet that do not know each other: the index asks the submitter, the server asks the pipeline.

use async_trait::async_trait;
use set_host::SubmitterClient;
use set_index::LogDecoder;
use set_pipeline::{PendingFilter, PipelineView};
use set_rpc::{Pending, PendingQuery};
use set_types::{BatchId, DecodeRequest, DecodeResponse, LogFilter, PendingCommitment};

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
