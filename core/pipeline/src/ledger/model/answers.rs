//! What comes back when the work that the ledger asked for is done, or fails.

use std::collections::{BTreeMap, HashSet};

use alloy_primitives::{Address, Bytes, U256, keccak256};
use set_host::Judgement;
use set_index::Anchored;
use set_txmgr::{CallId, TxEvent};
use set_types::{
    BatchId, CandidateCall, Commitment, PollResponse, RecordedCommitment, ReportOutcome, ReportStatus, Settlement,
    Subject, Verdict,
};

use super::{
    Event, Failure, Plan, ProofFailure, Work, World,
    chain::{Slot, Tx},
    source::Defect,
};
use crate::ledger::CallKey;

impl World {
    /// An answer that depends on the moment it is read and changes nothing.
    pub(in crate::ledger) fn read(&self, work: &Work) -> Option<Event> {
        Some(match work {
            Work::Poll { listing, .. } => {
                let mut commitments = self.listed();
                let more = commitments.len() >= self.window;
                commitments.truncate(self.window);
                let place = if self.strays_first { 0 } else { commitments.len() };
                commitments.splice(place..place, self.strays.iter().cloned());
                Event::Polled {
                    listing: *listing,
                    answer: Ok(PollResponse {
                        commitments,
                        malformed: self.malformed.clone(),
                        more,
                    }),
                }
            }
            Work::ReadOn { stream, after, limit } => {
                let made = self
                    .made
                    .get(stream)
                    .into_iter()
                    .flatten()
                    .map(|(commitment, _)| commitment);
                let unreported = made.filter(|commitment| !self.hidden.contains(&commitment.batch_id));
                let behind = unreported.filter(|commitment| commitment.sequence_start > *after);
                let commitments = behind.take(*limit as usize).cloned().collect();
                Event::ReadOn {
                    stream: *stream,
                    answer: Ok(PollResponse {
                        commitments,
                        malformed: Vec::new(),
                        more: false,
                    }),
                }
            }
            Work::ListStreams { after, .. } => {
                let known = self
                    .registry
                    .records
                    .values()
                    .filter(|(_, _, at)| at.number <= self.indexed);
                let keys: BTreeMap<_, _> = known
                    .map(|(commitment, _, _)| (commitment.stream().key(), Some(commitment.stream())))
                    .collect();
                Event::StreamsListed {
                    after: *after,
                    answer: Ok(keys.into_iter().collect()),
                }
            }
            Work::ReadHeads { streams } => Event::Heads {
                streams: streams.clone(),
                answer: Ok(streams.iter().map(|stream| self.registry.head(*stream)).collect()),
            },
            Work::LookUp { batches } => Event::LookedUp {
                batches: batches.clone(),
                answer: Ok(batches
                    .iter()
                    .map(|batch_id| self.recorded_commitment(*batch_id))
                    .collect()),
            },
            Work::Locate { batches, .. } => Event::Located {
                batches: batches.clone(),
                answer: Ok(batches.iter().map(|batch_id| self.locate(*batch_id)).collect()),
            },
            _ => return None,
        })
    }

    pub(in crate::ledger) fn recorded_commitment(&self, batch_id: BatchId) -> Option<RecordedCommitment> {
        let (commitment, _, _) = self.registry.records.get(&batch_id)?;
        Some(RecordedCommitment {
            batch_id,
            events_root: commitment.events_root,
            prev_state_root: None,
            new_state_root: commitment.new_state_root,
            sequence_start: commitment.sequence_start,
            sequence_end: commitment.sequence_end,
            event_count: commitment.event_count,
            timestamp: 0,
        })
    }

    pub(in crate::ledger) fn locate(&self, batch_id: BatchId) -> Option<Anchored> {
        let (commitment, tx, at) = self.registry.records.get(&batch_id)?;
        (at.number <= self.indexed && !self.dropped).then(|| Anchored {
            batch_id,
            stream_key: commitment.stream().key(),
            stream: None,
            events_root: commitment.events_root,
            new_state_root: commitment.new_state_root,
            sequence_start: commitment.sequence_start,
            sequence_end: commitment.sequence_end,
            event_count: commitment.event_count,
            tx_hash: *tx,
            block: *at,
            log_index: 0,
            reported: false,
            followed: self
                .blocks
                .iter()
                .map(|block| block.at)
                .rfind(|at| at.number <= self.indexed),
        })
    }

    pub(in crate::ledger) fn answer(&mut self, work: Work) -> Event {
        if let Some(event) = self.read(&work) {
            return event;
        }
        match work {
            Work::Prove { commitment, .. } => {
                let bad = self.defects(Defect::Proof).contains(&commitment.batch_id);
                self.proven.remove(&commitment.batch_id);
                Event::Proved {
                    commitment,
                    answer: if bad {
                        Err(ProofFailure::Mismatch("elsewhere".into()))
                    } else {
                        Ok(())
                    },
                }
            }
            Work::Judge { subjects } => Event::Judged {
                asked: subjects.iter().filter_map(Subject::batch_id).collect(),
                answer: subjects
                    .iter()
                    .map(|_| Judgement {
                        verdict: self.verdict.clone(),
                        policy: None,
                    })
                    .collect(),
            },
            Work::Plan {
                account,
                commitments,
                calls,
                ..
            } => self.plan(account, commitments, calls),
            Work::Submit { account, calls } => self.submit(account, calls),
            Work::Settle {
                call,
                inclusion,
                request,
            } => {
                let which = U256::from_be_bytes(request.logs[0].topics[0].0).to::<usize>();
                let outcomes = self.outcomes[which].clone();
                let settlements = std::iter::zip(request.call.batches, outcomes)
                    .map(|(batch_id, outcome)| Settlement { batch_id, outcome })
                    .collect();
                Event::Outcomes {
                    call,
                    inclusion,
                    answer: Ok(settlements),
                }
            }
            Work::Report { receipts } => {
                let mut outcomes = Vec::new();
                for receipt in &receipts {
                    let status = match self.recorded.get(&receipt.batch_id) {
                        _ if self.report_answer.is_some() => self.report_answer.clone().unwrap(),
                        None => {
                            self.record(receipt.batch_id, receipt.tx_hash);
                            ReportStatus::Recorded
                        }
                        Some(hash) if *hash == receipt.tx_hash => ReportStatus::AlreadyRecorded,
                        Some(hash) => ReportStatus::Conflict {
                            recorded: Some(*hash),
                            reason: "other".into(),
                        },
                    };
                    outcomes.push(ReportOutcome {
                        batch_id: receipt.batch_id,
                        status,
                    });
                }
                Event::Reported {
                    batches: receipts.iter().map(|receipt| receipt.batch_id).collect(),
                    answer: Ok(outcomes),
                }
            }
            Work::Record(record) => {
                let quarantined = record.quarantine.iter().cloned();
                self.kept.extend(quarantined.map(|entry| (entry.batch_id, entry)));
                self.kept.retain(|batch_id, _| !record.release.contains(batch_id));
                for conflict in &record.conflicts {
                    self.conflicts.insert(conflict.batch_id, conflict.clone());
                }
                self.conflicts
                    .retain(|batch_id, _| !record.forget_conflicts.contains(batch_id));
                Event::Recorded { record, answer: Ok(()) }
            }
            read => unreachable!("{read:?} is answered by reading"),
        }
    }

    fn plan(&mut self, account: Address, commitments: Vec<Commitment>, calls: u32) -> Event {
        let asked = commitments.iter().map(|commitment| commitment.batch_id).collect();
        self.plans += 1;
        if commitments
            .iter()
            .any(|commitment| self.unplannable.contains(&commitment.batch_id))
        {
            let failure = Failure {
                permanent: true,
                ..Failure::new("one commitment alone takes more than a transaction may have")
            };
            return Event::Planned {
                account,
                asked,
                answer: Err(failure),
            };
        }
        let inexpressible = self.defects(Defect::Excluded);
        let mut plan = Plan::default();
        let mut stopped = HashSet::new();
        let mut sendable = Vec::new();
        for commitment in commitments {
            if stopped.contains(&commitment.stream()) {
                continue;
            }
            if inexpressible.contains(&commitment.batch_id) {
                stopped.insert(commitment.stream());
                plan.excluded.push(set_types::Exclusion {
                    batch_id: commitment.batch_id,
                    reason: "no".into(),
                });
                continue;
            }
            sendable.push(commitment);
        }
        for chunk in sendable.chunks(self.per_call).take(calls as usize) {
            plan.calls.push(CandidateCall {
                to: Address::ZERO,
                data: Bytes::from((self.planned.len() as u64).to_be_bytes().to_vec()),
                value: U256::ZERO,
                gas_limit: 1_000_000,
                batches: chunk.iter().map(|commitment| commitment.batch_id).collect(),
            });
            self.planned.push(chunk.to_vec());
        }
        Event::Planned {
            account,
            asked,
            answer: Ok(plan),
        }
    }

    fn submit(&mut self, account: Address, calls: Vec<(CallKey, CandidateCall)>) -> Event {
        let mut results = Vec::new();
        for (key, call) in calls {
            let which = u64::from_be_bytes(call.data[..].try_into().unwrap()) as usize;
            let next = self.next_nonce.entry(account).or_default();
            let (nonce, id) = (*next, CallId::Submitted(self.next_id));
            *next += 1;
            self.next_id += 1;
            self.salt += 1;
            let tx = Tx {
                hash: keccak256(self.salt.to_be_bytes()),
                seat: Some((account, nonce)),
                commitments: self.planned[which].clone(),
                refused: false,
                shut_out: Vec::new(),
            };
            self.events.push_back(Event::Tx(TxEvent::Sent {
                id,
                nonce,
                hash: tx.hash,
            }));
            self.slots.insert(
                (account, nonce),
                Slot {
                    id,
                    tx,
                    block: None,
                    settled: None,
                },
            );
            results.push((key, Ok(id)));
        }
        // Whoever hands calls over hears of them late: events come first.
        while matches!(self.events.front(), Some(Event::Tx(TxEvent::Sent { .. }))) && self.salt.is_multiple_of(3) {
            let event = self.events.pop_front().unwrap();
            self.tell(event);
        }
        Event::Submitted { account, results }
    }

    /// The work fails; where that leaves open what happened, it may have happened.
    pub(in crate::ledger) fn fail(&mut self, work: Work) -> Event {
        let failure = || Failure::new("failed");
        match work {
            Work::Poll { listing, .. } => Event::Polled {
                listing,
                answer: Err(failure()),
            },
            Work::ReadOn { stream, .. } => Event::ReadOn {
                stream,
                answer: Err(failure()),
            },
            Work::ListStreams { after, .. } => Event::StreamsListed {
                after,
                answer: Err(failure()),
            },
            Work::ReadHeads { streams } => Event::Heads {
                streams,
                answer: Err(failure()),
            },
            Work::LookUp { batches } => Event::LookedUp {
                batches,
                answer: Err(failure()),
            },
            Work::Prove { commitment, proven } => {
                let proven = proven + 1;
                self.proven.insert(commitment.batch_id, proven);
                Event::Proved {
                    commitment,
                    answer: Err(ProofFailure::Unavailable {
                        reason: "down".into(),
                        proven,
                    }),
                }
            }
            Work::Judge { subjects } => Event::Judged {
                asked: subjects.iter().filter_map(Subject::batch_id).collect(),
                answer: subjects
                    .iter()
                    .map(|_| Judgement {
                        verdict: Verdict::Hold {
                            until: None,
                            reason: "no verdict".into(),
                        },
                        policy: Some("model".into()),
                    })
                    .collect(),
            },
            Work::Plan {
                account, commitments, ..
            } => Event::Planned {
                account,
                asked: commitments.iter().map(|commitment| commitment.batch_id).collect(),
                answer: Err(failure()),
            },
            Work::Submit { account, calls } => Event::Submitted {
                account,
                results: calls.into_iter().map(|(key, _)| (key, Err(failure()))).collect(),
            },
            Work::Settle { call, inclusion, .. } => Event::Outcomes {
                call,
                inclusion,
                answer: Err(failure()),
            },
            Work::Locate { batches, .. } => Event::Located {
                batches,
                answer: Err(failure()),
            },
            Work::Report { receipts } => {
                // A timeout does not mean that nothing was written.
                self.salt += 1;
                let batches = receipts.iter().map(|receipt| receipt.batch_id).collect();
                if self.salt.is_multiple_of(2) {
                    self.answer(Work::Report { receipts });
                }
                Event::Reported {
                    batches,
                    answer: Err(failure()),
                }
            }
            Work::Record(record) => Event::Recorded {
                record,
                answer: Err(failure()),
            },
        }
    }
}
