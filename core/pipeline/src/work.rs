//! Doing what the ledger asks for: each piece of work ends in one event.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::Address;
use set_chain::ChainView;
use set_host::{CallError, CallErrorKind, PolicyChain, SourceClient, SubmitterClient};
use set_index::{Anchored, Durable, Index, StreamSummary};
use set_txmgr::{Call, CallId, TxMgr};
use set_types::{
    BatchId, CandidateCall, Commitment, EvaluateRequest, HeadsRequest, LookupRequest, PlanRequest, PolicyContext,
    PollRequest, PollStreamRequest, ReportRequest, StreamHead, StreamId, Timestamp,
};
use tokio::sync::watch;

use crate::{
    ledger::{CallKey, Event, Failure, Plan, Record, Work},
    plan_check,
    proofs::Prover,
};

/// What the workers work with.
#[derive(Clone)]
pub(crate) struct Workshop {
    pub(crate) source: SourceClient,
    pub(crate) policies: PolicyChain,
    pub(crate) submitter: SubmitterClient,
    pub(crate) accounts: Arc<BTreeMap<Address, TxMgr>>,
    pub(crate) heads: watch::Receiver<Arc<ChainView>>,
    pub(crate) index: Index,
    pub(crate) durable: Durable,
    pub(crate) prover: Arc<Prover>,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self {
            violation: matches!(error.kind, CallErrorKind::NotAllowed(_)),
            permanent: matches!(error.kind, CallErrorKind::Refused { retryable: false, .. }),
            ..Self::new(error)
        }
    }
}

impl Workshop {
    /// Does one piece of work.
    pub(crate) async fn perform(self, work: Work) -> Event {
        match work {
            Work::Poll { listing, limit } => {
                let answer = self.source.poll(&PollRequest { limit }).await;
                Event::Polled {
                    listing,
                    answer: answer.map_err(Failure::from),
                }
            }
            Work::ReadOn { stream, after, limit } => {
                let answer = self
                    .source
                    .poll_stream(&PollStreamRequest { stream, after, limit })
                    .await;
                Event::ReadOn {
                    stream,
                    answer: answer.map_err(Failure::from),
                }
            }
            Work::ListStreams { after, limit } => {
                let answer = self.index.streams(after, limit).await;
                let ids = |stream: StreamSummary| (stream.stream_key, stream.stream);
                Event::StreamsListed {
                    after,
                    answer: answer
                        .map(|streams| streams.into_iter().map(ids).collect())
                        .map_err(Failure::new),
                }
            }
            Work::ReadHeads { streams } => {
                let request = HeadsRequest {
                    streams,
                    at_block: None,
                };
                let answer = self.submitter.heads(&request).await;
                Event::Heads {
                    streams: request.streams,
                    answer: answer.map(|response| response.heads).map_err(Failure::from),
                }
            }
            Work::LookUp { batches } => {
                let request = LookupRequest {
                    batches,
                    at_block: None,
                };
                let answer = self.submitter.lookup(&request).await;
                Event::LookedUp {
                    batches: request.batches,
                    answer: answer.map(|response| response.records).map_err(Failure::from),
                }
            }
            Work::Prove { commitment, proven } => {
                let ask = async |request| self.source.inclusion_proof(&request).await;
                let answer = self.prover.check(&commitment, proven, ask).await;
                Event::Proved { commitment, answer }
            }
            Work::Judge { subjects } => {
                let asked = subjects.iter().filter_map(set_types::Subject::batch_id).collect();
                let request = EvaluateRequest {
                    subjects,
                    context: self.policy_context(),
                };
                Event::Judged {
                    asked,
                    answer: self.policies.evaluate(&request).await,
                }
            }
            Work::Plan {
                account,
                commitments,
                heads,
                calls,
            } => {
                let asked = commitments.iter().map(|commitment| commitment.batch_id).collect();
                Event::Planned {
                    account,
                    asked,
                    answer: self.plan(account, commitments, heads, calls).await,
                }
            }
            Work::Submit { account, calls } => Event::Submitted {
                account,
                results: self.submit(account, calls).await,
            },
            Work::Settle {
                call,
                inclusion,
                request,
            } => {
                let answer = self.submitter.settle(&request).await;
                Event::Outcomes {
                    call,
                    inclusion,
                    answer: answer.map(|response| response.settlements).map_err(Failure::from),
                }
            }
            Work::Locate { batches, streams } => Event::Located {
                answer: self.locate(&batches, &streams).await,
                batches,
            },
            Work::Report { receipts } => {
                let batches = receipts.iter().map(|receipt| receipt.batch_id).collect();
                let answer = self.source.report(&ReportRequest { receipts }).await;
                Event::Reported {
                    batches,
                    answer: answer.map(|response| response.outcomes).map_err(Failure::from),
                }
            }
            Work::Record(record) => {
                let answer = self.record(&record).await;
                Event::Recorded { record, answer }
            }
        }
    }

    /// Where commitments are: by the index, and by what the contract recorded where they are older than it.
    async fn locate(&self, batches: &[BatchId], streams: &[StreamId]) -> Result<Vec<Option<Anchored>>, Failure> {
        let mut found = self.index.get_many(batches.to_vec()).await.map_err(Failure::new)?;
        let complete = !self.index.lacks_history();
        if complete || found.iter().all(Option::is_some) {
            return Ok(found);
        }
        let missing: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
        let request = LookupRequest {
            batches: missing.iter().map(|at| batches[*at]).collect(),
            at_block: None,
        };
        let records = self.submitter.lookup(&request).await.map_err(Failure::from)?.records;
        for (at, record) in missing.into_iter().zip(records) {
            if let (Some(record), Some(stream)) = (record, streams.get(at)) {
                let older = self.index.find_unindexed(*stream, &record).await;
                found[at] = older.map_err(Failure::new)?;
            }
        }
        Ok(found)
    }

    fn txmgr(&self, account: Address) -> Result<&TxMgr, Failure> {
        // An account goes only once nothing is asked for it any more.
        let known = self.accounts.get(&account);
        known.ok_or_else(|| Failure::new(format!("{account} is no sending account any more")))
    }

    fn policy_context(&self) -> PolicyContext {
        PolicyContext {
            now: Timestamp::now(),
            // They are the market's, and so the same for every account.
            fees: self
                .accounts
                .values()
                .next()
                .and_then(|txmgr| txmgr.fee_context(&self.heads.borrow())),
        }
    }

    async fn plan(
        &self,
        account: Address,
        commitments: Vec<Commitment>,
        heads: Vec<StreamHead>,
        calls: u32,
    ) -> Result<Plan, Failure> {
        let mut limits = self.txmgr(account)?.call_limits(&self.heads.borrow());
        limits.calls = limits.calls.min(calls);
        let request = PlanRequest {
            commitments,
            heads,
            limits,
            from: account,
        };
        let response = self.submitter.plan(&request).await?;
        plan_check::check(&request, &response).map_err(|problem| Failure {
            message: format!("submitter `{}`: {problem}", self.submitter.id()),
            violation: true,
            permanent: false,
        })?;
        Ok(Plan {
            calls: response.calls,
            excluded: response.excluded,
        })
    }

    /// Hands calls over in order. After one that is not taken, none is: a stream's later commitments
    /// would go out without the earlier ones.
    async fn submit(
        &self,
        account: Address,
        calls: Vec<(CallKey, CandidateCall)>,
    ) -> Vec<(CallKey, Result<CallId, Failure>)> {
        let txmgr = self.txmgr(account);
        let mut results = Vec::with_capacity(calls.len());
        let mut refused: Option<Failure> = None;
        for (key, candidate) in calls {
            let result = match (&txmgr, &refused) {
                (_, Some(failure)) | (Err(failure), None) => Err(failure.clone()),
                (Ok(txmgr), None) => {
                    let call = Call {
                        to: candidate.to,
                        data: candidate.data,
                        value: candidate.value,
                        gas_limit: candidate.gas_limit,
                    };
                    txmgr.submit(call).await.map_err(Failure::new)
                }
            };
            if let Err(failure) = &result {
                refused = Some(failure.clone());
            }
            results.push((key, result));
        }
        results
    }

    async fn record(&self, record: &Record) -> Result<(), Failure> {
        if !record.quarantine.is_empty() {
            let kept = self.durable.quarantine(record.quarantine.clone()).await;
            kept.map_err(Failure::new)?;
        }
        if !record.release.is_empty() {
            let released = self.durable.release(record.release.clone()).await;
            released.map_err(Failure::new)?;
        }
        for conflict in &record.conflicts {
            let kept = self.durable.record_conflict(conflict.clone()).await;
            kept.map_err(Failure::new)?;
        }
        if !record.forget_conflicts.is_empty() {
            let forgotten = self.durable.forget_conflicts(record.forget_conflicts.clone()).await;
            forgotten.map_err(Failure::new)?;
        }
        if !record.reported.is_empty() {
            let marked = self.index.mark_reported(record.reported.clone()).await;
            marked.map_err(Failure::new)?;
        }
        Ok(())
    }
}
