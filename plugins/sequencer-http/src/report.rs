//! Telling the sequencer where commitments are anchored.

use alloy_primitives::B256;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use set_plugin_sdk::prelude::*;
use tokio::sync::Semaphore;

use crate::{
    Config,
    answer::excerpt,
    client::{Client, Deadline},
    conflict::Conflicts,
    failure::{Cause, Failure},
    route::Route,
};

/// Reports, a bounded number at a time: the sequencer has no route that takes several.
#[derive(Debug)]
pub(crate) struct Reports {
    concurrency: usize,
    permits: Semaphore,
    conflicts: Conflicts,
}

/// The body of a report.
#[derive(Serialize)]
struct Anchored {
    chain_tx_hash: B256,
    chain_id: u64,
    block_number: u64,
    /// Left out where it is not known: the sequencer would keep a 0 for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    gas_used: Option<u64>,
}

impl Reports {
    pub(crate) fn new(config: &Config) -> Self {
        let concurrency = usize::from(config.report_concurrency.get());
        Self {
            concurrency,
            permits: Semaphore::new(concurrency),
            conflicts: Conflicts::default(),
        }
    }

    /// Reports every receipt: one outcome each, in order.
    ///
    /// # Errors
    /// What concerns all of them until somebody changes the configuration. Some may be recorded by then;
    /// repeating those is harmless.
    pub(crate) async fn report(
        &self,
        client: &Client,
        request: ReportRequest,
        deadline: Deadline,
    ) -> Result<ReportResponse, PluginError> {
        let outcomes = stream::iter(request.receipts)
            .map(|receipt| self.report_one(client, receipt, deadline))
            .buffered(self.concurrency)
            .try_collect()
            .await?;
        Ok(ReportResponse { outcomes })
    }

    async fn report_one(
        &self,
        client: &Client,
        receipt: AnchorReceipt,
        deadline: Deadline,
    ) -> Result<ReportOutcome, PluginError> {
        let batch_id = receipt.batch_id;
        let outcome = |status| Ok(ReportOutcome { batch_id, status });
        let Some(uuid) = batch_id.to_uuid() else {
            let reason = "the sequencer's batch ids are UUIDs, and this is none".into();
            return outcome(ReportStatus::Refused { reason });
        };
        let Some(_permit) = deadline.bound(self.permits.acquire()).await else {
            return outcome(retry(&Failure {
                route: Route::Anchored,
                cause: Cause::OutOfTime,
            }));
        };
        let uuid = uuid.to_string();
        let body = Anchored {
            chain_tx_hash: receipt.tx_hash,
            chain_id: receipt.chain_id,
            block_number: receipt.block_number,
            gas_used: receipt.gas_used,
        };
        let path = ["v1", "commitments", &uuid, "anchored"];
        let failure = match client.post(Route::Anchored, &path, &body, deadline, status).await {
            Ok(status) => return outcome(status),
            Err(failure) => failure,
        };
        if let Cause::Refused { status, said, .. } = &failure.cause {
            match *status {
                StatusCode::CONFLICT => {
                    return outcome(self.conflicts.settle(client, &receipt, &uuid, said, deadline).await);
                }
                StatusCode::NOT_FOUND
                | StatusCode::BAD_REQUEST
                | StatusCode::UNSUPPORTED_MEDIA_TYPE
                | StatusCode::UNPROCESSABLE_ENTITY => {
                    let reason = failure.cause.to_string();
                    return outcome(ReportStatus::Refused { reason });
                }
                _ => {}
            }
        }
        match &failure.cause {
            Cause::Redirect(_) | Cause::NotLetIn { .. } | Cause::Stranger(_) => Err(failure.into()),
            // Whether it was recorded is unknown: a 504, a timeout and a broken connection do not say.
            _ => outcome(retry(&failure)),
        }
    }
}

fn retry(failure: &Failure) -> ReportStatus {
    ReportStatus::Retry {
        after_ms: failure.retry_after_ms(),
        reason: failure.to_string(),
    }
}

/// What a 200 says. Nothing counts as recorded that does not say so: a proxy answers 200 as well.
fn status(text: &str) -> Result<ReportStatus, String> {
    #[derive(Deserialize)]
    struct Answer {
        status: String,
    }
    let answer: Answer = serde_json::from_str(text).map_err(|error| format!("no answer to a report: {error}"))?;
    match answer.status.as_str() {
        "anchored" => Ok(ReportStatus::Recorded),
        "already_anchored" => Ok(ReportStatus::AlreadyRecorded),
        other => Err(format!(
            "`status` is `{}`, which means nothing to this plugin",
            excerpt(other)
        )),
    }
}
