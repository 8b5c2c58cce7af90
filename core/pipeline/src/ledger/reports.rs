//! Telling the source, and remembering that it was told.

use std::time::{Duration, Instant};

use set_types::{AnchorReceipt, BatchId, ReportStatus};

use super::{
    Ledger,
    anchors::REORG_AFTER_REPORT,
    entry::{Place, ReportStep},
    work::Report,
};
use crate::{clock::Now, status::AlarmKind};

impl Ledger {
    /// The receipts of the next report call; empty where none is due.
    pub(super) fn receipts_due(&mut self, now: Now) -> Vec<AnchorReceipt> {
        let mut receipts = Vec::new();
        while receipts.len() < self.config.report_batch {
            let Some((at, batch_id)) = self.due.first().copied() else {
                break;
            };
            if at > now.at {
                break;
            }
            self.due.pop_first();
            let chain_id = self.chain_id;
            let Some(entry) = self.entry_mut(batch_id) else {
                continue;
            };
            let disputed = entry.disputed.is_some();
            let Place::OnChain(on_chain) = &mut entry.place else {
                continue;
            };
            let Some(anchor) = on_chain.anchor else {
                continue;
            };
            if disputed {
                on_chain.report = ReportStep::NotYet;
                continue;
            }
            on_chain.report = ReportStep::Running;
            entry.claimed = Some(anchor.tx_hash);
            receipts.push(AnchorReceipt {
                batch_id,
                chain_id,
                tx_hash: anchor.tx_hash,
                block_number: anchor.block.number,
                gas_used: anchor.gas_used,
            });
        }
        receipts
    }

    /// Whether reports wait that could go out now.
    pub(crate) fn reports_wait(&self, now: Now) -> bool {
        self.due.first().is_some_and(|(at, _)| *at <= now.at) && self.report_backoff.is_over(now)
    }

    /// A dispute is over: the report may go out after all.
    pub(super) fn renew_report(&mut self, batch_id: BatchId, now: Now) {
        self.rouse(batch_id);
        let settled = match self.entry(batch_id).map(|entry| &entry.place) {
            Some(Place::OnChain(on_chain)) => on_chain.settled,
            _ => None,
        };
        if let Some(tag) = settled {
            self.settled_at(batch_id, tag, now);
        }
    }

    /// The source answered a report call, or did not.
    pub(super) fn report_answered(&mut self, batches: Vec<BatchId>, answer: Report, now: Now) {
        self.reporting = self.reporting.saturating_sub(1);
        match answer {
            Ok(outcomes) => {
                self.report_backoff.clear();
                for outcome in outcomes {
                    self.report_outcome(outcome.batch_id, outcome.status, now);
                }
            }
            Err(failure) => {
                if self.report_backoff.is_clear() {
                    tracing::warn!(error = %failure.message, "the source takes no reports");
                }
                self.report_backoff
                    .fail(now, self.config.retry_pause, self.config.retry_pause_max);
                self.report_reason.clone_from(&failure.message);
                metrics::counter!("set_pipeline_reports_total", "status" => "failed").increment(batches.len() as u64);
            }
        }
        // What was not answered may have been recorded or not: the same hash goes out again.
        for batch_id in batches {
            self.retry_report(batch_id, None, "the source did not answer".to_owned(), now, true);
        }
    }

    fn report_outcome(&mut self, batch_id: BatchId, status: ReportStatus, now: Now) {
        let label = match &status {
            ReportStatus::Recorded => "recorded",
            ReportStatus::AlreadyRecorded => "already_recorded",
            ReportStatus::Conflict { .. } => "conflict",
            ReportStatus::Refused { .. } => "refused",
            ReportStatus::Retry { .. } => "retry",
        };
        metrics::counter!("set_pipeline_reports_total", "status" => label).increment(1);
        let claimed = self.entry(batch_id).and_then(|entry| entry.claimed);
        match status {
            ReportStatus::Recorded | ReportStatus::AlreadyRecorded => self.report_recorded(batch_id, now),
            ReportStatus::Conflict { recorded, .. } if recorded.is_some() && recorded == claimed => {
                self.report_recorded(batch_id, now);
            }
            ReportStatus::Conflict { recorded, reason } => {
                let reason = match recorded {
                    Some(hash) => format!("the source holds transaction {hash} for it: {reason}"),
                    None => format!("the source holds another transaction for it: {reason}"),
                };
                self.finish_report(batch_id, recorded, reason, now);
            }
            ReportStatus::Refused { reason } => {
                let reason = format!("the source refuses the report: {reason}");
                self.alarms.raise(
                    AlarmKind::ReportRefused,
                    Some(batch_id),
                    "the source refuses reports of these commitments for good: look for them in its database",
                    now,
                );
                self.finish_report(batch_id, None, reason, now);
            }
            ReportStatus::Retry { after_ms, reason } => {
                self.retry_report(batch_id, after_ms.map(Duration::from_millis), reason, now, false);
            }
        }
    }

    fn report_recorded(&mut self, batch_id: BatchId, now: Now) {
        self.reported_since_poll += 1;
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        entry.recorded = entry.claimed;
        let anchor = match &entry.place {
            Place::OnChain(on_chain) => on_chain.anchor,
            _ => None,
        };
        let Some(anchor) = anchor else {
            // A reorg came in between.
            self.alarms
                .raise(AlarmKind::ReorgAfterReport, Some(batch_id), REORG_AFTER_REPORT, now);
            return;
        };
        tracing::info!(batch = %batch_id, tx = %anchor.tx_hash, block = anchor.block.number, "reported");
        self.leave_chain(batch_id);
        if let Some(entry) = self.entry_mut(batch_id) {
            entry.move_to(Place::Reported { anchor, at: now.at }, now);
        }
        self.reported.push_back(batch_id);
        self.to_record.reported(batch_id);
    }

    /// The source said its last word against a report.
    fn finish_report(&mut self, batch_id: BatchId, recorded: Option<alloy_primitives::B256>, reason: String, now: Now) {
        let anchor = match self.entry(batch_id).map(|entry| &entry.place) {
            Some(Place::OnChain(on_chain)) => on_chain.anchor,
            _ => None,
        };
        let Some(anchor) = anchor else {
            return;
        };
        tracing::error!(batch = %batch_id, tx = %anchor.tx_hash, reason, "the report is refused for good");
        self.leave_chain(batch_id);
        if let Some(entry) = self.entry_mut(batch_id) {
            entry.move_to(
                Place::Closed {
                    anchor,
                    reason: reason.clone(),
                },
                now,
            );
        }
        self.close(batch_id, anchor.tx_hash, recorded, reason, now);
    }

    /// Sends a report again later; `only_running`: unless it was answered already.
    fn retry_report(
        &mut self,
        batch_id: BatchId,
        after: Option<Duration>,
        reason: String,
        now: Now,
        only_running: bool,
    ) {
        let (first, longest) = (self.config.retry_pause, self.config.retry_pause_max);
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        let Place::OnChain(on_chain) = &mut entry.place else {
            return;
        };
        if only_running && on_chain.report != ReportStep::Running {
            return;
        }
        on_chain.backoff.fail(now, first, longest);
        let pause = on_chain.backoff.until().unwrap_or(now.at);
        let at = after.map_or(pause, |after| pause.max(now.at + after));
        on_chain.report = ReportStep::Due(at);
        on_chain.reason = Some(reason);
        self.due.insert((at, batch_id));
    }

    /// Forgets what was reported long ago, or too much to remember.
    pub(super) fn forget_reported(&mut self, now: Now) {
        while let Some(batch_id) = self.reported.front().copied() {
            let crowded = self.reported.len() > self.config.max_pending;
            let old = |at: Instant| now.at.saturating_duration_since(at) >= self.config.reported_memory;
            let reported = match self.entry(batch_id).map(|entry| &entry.place) {
                Some(Place::Reported { anchor, at }) => Some((anchor.block.number, *at)),
                _ => self
                    .resting(batch_id)
                    .and_then(|resting| Some((resting.anchor.block.number, resting.reported()?))),
            };
            if let Some((block, at)) = reported {
                let final_enough = self.view.finalized.is_none_or(|finalized| finalized.number >= block);
                if !(crowded || old(at) && final_enough) {
                    return;
                }
            }
            self.reported.pop_front();
            if reported.is_some() {
                self.remove(batch_id);
            }
        }
    }
}
