//! Steps that take time: each its own task, which always runs to its end and reports back.

use alloy::{consensus::TxEip1559, providers::Provider, transports::TransportError};
use alloy_primitives::{B256, Bytes};
use set_chain::{ChainError, DataFees, L2Provider, transport_cause};
use tokio::task::{self, JoinError};

use super::Coordinator;
use crate::{
    classify::{Outcome, Rejection, classify},
    journal::Keep,
    slot::Version,
    sweep::Answer,
};

/// A step that runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Job {
    Sign { nonce: u64 },
    Send { nonce: u64, hash: B256, first_time: bool },
    Recall { nonce: u64, hash: B256 },
    Sweep,
    DataFees,
    Forget,
    CheckJournal,
    SaveBooks,
}

/// How a step ended.
pub(super) enum Done {
    Signed(Result<Version, String>),
    Sent(Outcome),
    Recalled(Result<Option<Version>, String>),
    Swept(Box<Result<Answer, TransportError>>),
    DataFees(Result<DataFees, ChainError>),
    Forgot(Result<(), String>),
    JournalChecked(Result<(), String>),
    BooksSaved(Result<(), String>),
}

impl Coordinator {
    pub(super) fn spawn(&mut self, job: Job, step: impl Future<Output = Done> + Send + 'static) {
        let id = self.jobs.spawn(step).id();
        self.running.insert(id, job);
    }

    /// Takes in how a step ended.
    pub(super) fn on_done(&mut self, done: Result<(task::Id, Done), JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(job) = self.running.remove(&id) else {
            return;
        };
        let done = done.map(|(_, done)| done);
        match (job, done) {
            (Job::Sign { nonce }, Ok(Done::Signed(result))) => self.on_signed(nonce, result),
            (Job::Sign { nonce }, _) => self.on_signed(nonce, Err("the signer panicked".into())),
            (
                Job::Send {
                    nonce,
                    hash,
                    first_time,
                },
                done,
            ) => {
                let outcome = match done {
                    Ok(Done::Sent(outcome)) => outcome,
                    _ => Outcome::Ambiguous("sending was interrupted".into()),
                };
                self.on_sent(nonce, hash, first_time, outcome);
            }
            (Job::Recall { nonce, hash }, Ok(Done::Recalled(result))) => self.on_recalled(nonce, hash, result),
            (Job::Recall { nonce, hash }, _) => self.on_recalled(nonce, hash, Err("reading was interrupted".into())),
            (Job::Sweep, Ok(Done::Swept(answer))) => match *answer {
                Ok(answer) => self.on_swept(answer),
                Err(error) => self.on_sweep_failed(&transport_cause(&error)),
            },
            (Job::Sweep, _) => self.on_sweep_failed("asking the chain was interrupted"),
            (Job::DataFees, Ok(Done::DataFees(Ok(fees)))) => self.data_fees = fees,
            (Job::DataFees, Ok(Done::DataFees(Err(error)))) => tracing::debug!(%error, "data fees unknown"),
            (Job::CheckJournal, Ok(Done::JournalChecked(result))) => self.on_journal_checked(result),
            (Job::SaveBooks, Ok(Done::BooksSaved(Err(error)))) => {
                tracing::warn!(%error, "what the account spent is not written");
            }
            (Job::Forget, Ok(Done::Forgot(Err(error)))) => tracing::warn!(%error, "journal keeps what is settled"),
            _ => {}
        }
    }

    /// Has a transaction signed for a nonce; gives whether the day's spending cap allows it.
    pub(super) fn sign(&mut self, nonce: u64, tx: TxEip1559) -> bool {
        if !self.may_spend(nonce, &tx) {
            return false;
        }
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return true;
        };
        slot.busy = true;
        let (signer, account) = (self.signer.clone(), self.account);
        self.spawn(Job::Sign { nonce }, async move {
            let signed = signer.sign(&tx).await.map_err(|error| error.to_string());
            Done::Signed(signed.and_then(|raw| {
                Version::checked(raw, &tx, account).map_err(|problem| format!("the signer of {account}: {problem}"))
            }))
        });
        true
    }

    /// Sends a version; keeps it first where `keep` says so. Whether this process may send is asked at the
    /// last moment: it may have been stopped at any instruction before.
    pub(super) fn send(&mut self, nonce: u64, hash: B256, keep: Option<Keep>) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        let Some(raw) = slot.version(hash).map(|version| version.raw.clone()) else {
            return;
        };
        slot.busy = true;
        let (provider, journal) = (self.provider.clone(), self.journal.clone());
        let (leadership, metrics) = (self.lead.leadership(), self.metrics.clone());
        let first_time = keep.is_some();
        let job = Job::Send {
            nonce,
            hash,
            first_time,
        };
        self.spawn(job, async move {
            let outcome = async {
                if let Some(keep) = keep
                    && let Err(problem) = journal.keep(nonce, hash, raw.clone(), keep).await
                {
                    return Outcome::Rejected(Rejection::NotJournaled, problem);
                }
                if !leadership.holds() {
                    return Outcome::Rejected(Rejection::NotLeading, "the lease is not held any more".into());
                }
                publish(&provider, &raw).await
            };
            let outcome = outcome.await;
            metrics
                .counter_of("set_tx_sends_total", "outcome", outcome.label())
                .increment(1);
            Done::Sent(outcome)
        });
    }

    /// Has a version's bytes read from the journal.
    pub(super) fn recall(&mut self, nonce: u64, hash: B256) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        slot.busy = true;
        let journal = self.journal.clone();
        self.spawn(Job::Recall { nonce, hash }, async move {
            Done::Recalled(journal.read(nonce, hash).await)
        });
    }

    /// Lets the journal forget nonces.
    pub(super) fn forget(&mut self, nonces: Vec<u64>) {
        if nonces.is_empty() {
            return;
        }
        let journal = self.journal.clone();
        self.spawn(Job::Forget, async move { Done::Forgot(journal.forget(nonces).await) });
    }
}

/// Hands signed bytes to the node.
async fn publish(provider: &L2Provider, raw: &Bytes) -> Outcome {
    let sent = provider
        .client()
        .request::<_, B256>("eth_sendRawTransaction", (raw,))
        .await;
    match sent {
        Ok(_) => Outcome::Accepted,
        Err(error) => classify(&error),
    }
}
