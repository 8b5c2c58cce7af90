//! Doing what the ledger asks for: each piece of work ends in one event.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use set_chain::ChainView;
use set_host::{CallError, CallErrorKind, PolicyChain, SourceClient, SubmitterClient};
use set_index::{Durable, Index};
use set_txmgr::{Call, TxConfig, TxMgr};
use set_types::{
    CandidateCall, Commitment, EvaluateRequest, FeeContext, HeadsRequest, InclusionProofRequest, LookupRequest,
    PlanRequest, PolicyContext, PollRequest, PollStreamRequest, ReportRequest, StreamHead, Timestamp,
};
use tokio::sync::watch;

use crate::{
    config::EventsRootCheck,
    ledger::{CallKey, Event, Failure, Plan, ProofFailure, Record, Work},
    plan_check,
};

/// What the workers work with.
#[derive(Clone)]
pub(crate) struct Workshop {
    pub(crate) source: SourceClient,
    pub(crate) policies: PolicyChain,
    pub(crate) submitter: SubmitterClient,
    pub(crate) txmgr: TxMgr,
    pub(crate) tx_config: TxConfig,
    pub(crate) heads: watch::Receiver<Arc<ChainView>>,
    pub(crate) index: Index,
    pub(crate) durable: Durable,
    pub(crate) events_root: EventsRootCheck,
    pub(crate) proof_concurrency: usize,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self {
            violation: matches!(error.kind, CallErrorKind::NotAllowed(_)),
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
            Work::Prove { commitment } => {
                let answer = self.prove(&commitment).await;
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
                commitments,
                heads,
                calls,
            } => {
                let asked = commitments.iter().map(|commitment| commitment.batch_id).collect();
                Event::Planned {
                    asked,
                    answer: self.plan(commitments, heads, calls).await,
                }
            }
            Work::Submit { calls } => Event::Submitted {
                results: self.submit(calls).await,
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
            Work::Locate { batches } => {
                let answer = self.index.get_many(batches.clone()).await;
                Event::Located {
                    batches,
                    answer: answer.map_err(Failure::new),
                }
            }
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

    fn policy_context(&self) -> PolicyContext {
        let view = self.heads.borrow().clone();
        PolicyContext {
            now: Timestamp::now(),
            fees: view.latest.map(|head| FeeContext {
                base_fee: head.next_base_fee,
                tip: head.suggested_tip.max(self.tx_config.min_tip.0),
            }),
        }
    }

    async fn plan(&self, commitments: Vec<Commitment>, heads: Vec<StreamHead>, calls: u32) -> Result<Plan, Failure> {
        let mut limits = self.tx_config.call_limits(&self.heads.borrow());
        limits.calls = limits.calls.min(calls);
        let request = PlanRequest {
            commitments,
            heads,
            limits,
            from: self.txmgr.address(),
        };
        let response = self.submitter.plan(&request).await?;
        plan_check::check(&request, &response).map_err(|problem| Failure {
            message: format!("submitter `{}`: {problem}", self.submitter.id()),
            violation: true,
        })?;
        Ok(Plan {
            calls: response.calls,
            excluded: response.excluded,
        })
    }

    /// Hands calls over in order. After one that is not taken, none is: a stream's later commitments
    /// would go out without the earlier ones.
    async fn submit(&self, calls: Vec<(CallKey, CandidateCall)>) -> Vec<(CallKey, Result<set_txmgr::CallId, Failure>)> {
        let mut results = Vec::with_capacity(calls.len());
        let mut refused: Option<Failure> = None;
        for (key, candidate) in calls {
            let result = match &refused {
                Some(failure) => Err(failure.clone()),
                None => {
                    let call = Call {
                        to: candidate.to,
                        data: candidate.data,
                        value: candidate.value,
                        gas_limit: candidate.gas_limit,
                    };
                    self.txmgr.submit(call).await.map_err(Failure::new)
                }
            };
            if let Err(failure) = &result {
                refused = Some(failure.clone());
            }
            results.push((key, result));
        }
        results
    }

    /// Checks a commitment's events root against the source's own proofs.
    async fn prove(&self, commitment: &Commitment) -> Result<(), ProofFailure> {
        let range = commitment.sequence_start..=commitment.sequence_end;
        match self.events_root {
            EventsRootCheck::Off => Ok(()),
            EventsRootCheck::Sample => {
                let sequence = commitment.sequence_start + random() % u64::from(commitment.event_count.max(1));
                self.prove_event(commitment, sequence).await
            }
            EventsRootCheck::Full => {
                stream::iter(range)
                    .map(|sequence| self.prove_event(commitment, sequence))
                    .buffer_unordered(self.proof_concurrency)
                    .try_collect()
                    .await
            }
        }
    }

    async fn prove_event(&self, commitment: &Commitment, sequence: u64) -> Result<(), ProofFailure> {
        let request = InclusionProofRequest {
            stream: commitment.stream(),
            batch_id: commitment.batch_id,
            sequence,
        };
        let proof = self
            .source
            .inclusion_proof(&request)
            .await
            .map_err(|error| ProofFailure::Unavailable(error.to_string()))?;
        let index = sequence - commitment.sequence_start;
        set_ves::verify_inclusion(
            proof.leaf,
            index,
            &proof.path,
            commitment.event_count,
            commitment.events_root,
        )
        .map_err(|error| {
            ProofFailure::Mismatch(format!(
                "the source's inclusion proof for sequence {sequence} does not verify: {error}"
            ))
        })
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
        if !record.reported.is_empty() {
            let marked = self.index.mark_reported(record.reported.clone()).await;
            marked.map_err(Failure::new)?;
        }
        Ok(())
    }
}

/// A number that a source cannot foresee, so that it cannot prepare the one event that is asked for.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
