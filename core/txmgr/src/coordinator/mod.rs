//! The one task that owns an account's nonces.
//!
//! It never waits for the node, the signer or the disk: jobs do, one step each, and report back. A job
//! that holds a nonce is its own task and always runs to its end, so no nonce is ever lost half-way.
//! The steps of a call:
//!
//! ```text
//! queue ─► front: nonce, price ─► sign ─► journal, send ─► committed ─► in a block ─► settled
//!            ▲                                  │              │  ▲          │
//!            └────────── surely refused ────────┘     replace, send again ◄──┴ reorg
//! ```

mod front;
mod outcome;
mod repair;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use alloy::{consensus::TxEip1559, providers::Provider, transports::TransportError};
use alloy_primitives::{Address, B256, Bytes, U256};
use set_chain::{BlockRef, ChainError, ChainView, DataFees, Head, L2Provider, transport_cause};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::{self, JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    AlarmKind, Call, CallId, InFlight, Journal, TxConfig, TxEvent, TxSigner, TxStatus, Wei,
    classify::{Outcome, Rejection, classify},
    journal::{Keep, SharedJournal},
    ledger::Ledger,
    slot::{Absence, Slot, Version},
    status::Alarms,
    sweep::{self, Answer},
};
use front::Front;

/// How long the L1 data fee and the operator fee are taken to stay what they are.
const DATA_FEES_FOR: Duration = Duration::from_secs(60);
/// Longest sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(3_600);

/// A call that was taken, with the room that it takes.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) id: CallId,
    pub(crate) call: Call,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What a coordinator is made of.
pub(crate) struct Parts {
    pub(crate) config: TxConfig,
    pub(crate) signer: Arc<dyn TxSigner>,
    pub(crate) provider: L2Provider,
    pub(crate) chain_id: u64,
    pub(crate) heads: watch::Receiver<Arc<ChainView>>,
    pub(crate) journal: Journal,
    pub(crate) submitted: mpsc::Receiver<Submission>,
}

/// A step that runs as its own task.
#[derive(Debug, Clone, Copy)]
enum Job {
    Sign { nonce: u64 },
    Send { nonce: u64, hash: B256, first_time: bool },
    Sweep,
    DataFees,
    Forget,
}

/// How a step ended.
enum Done {
    Signed(Result<Version, String>),
    Sent(Outcome),
    Swept(Box<Result<Answer, TransportError>>),
    DataFees(Result<DataFees, ChainError>),
    Forgot(Result<(), String>),
}

/// When to ask the chain.
#[derive(Debug, Default)]
struct Sweeping {
    /// Something changed since the last question.
    wanted: bool,
    running: bool,
    retry_at: Option<Instant>,
    /// The tags as they were when the question that runs was asked.
    safe: Option<BlockRef>,
    finalized: Option<BlockRef>,
}

/// One account's coordinator.
pub(crate) struct Coordinator {
    config: TxConfig,
    signer: Arc<dyn TxSigner>,
    account: Address,
    provider: L2Provider,
    chain_id: u64,
    heads: watch::Receiver<Arc<ChainView>>,
    view: Arc<ChainView>,
    journal: SharedJournal,
    submitted: mpsc::Receiver<Submission>,
    /// Whether calls may still come.
    open: bool,
    queue: VecDeque<Submission>,
    front: Option<Front>,
    ledger: Ledger,
    jobs: JoinSet<Done>,
    running: HashMap<task::Id, Job>,
    sweeping: Sweeping,
    account_nonce: Option<u64>,
    balance: Option<U256>,
    data_fees: DataFees,
    data_fees_at: Option<Instant>,
    gaps: Vec<u64>,
    gaps_seen: Absence,
    alarms: Alarms,
    outbox: VecDeque<TxEvent>,
    status: watch::Sender<Arc<TxStatus>>,
}

impl Coordinator {
    /// A coordinator that takes over what the journal holds.
    pub(crate) fn new(parts: Parts) -> (Self, watch::Receiver<Arc<TxStatus>>) {
        let account = parts.signer.address();
        let recovered = recover(&parts.journal, account);
        if !recovered.is_empty() {
            tracing::info!(transactions = recovered.len(), %account, "taking over transactions of an earlier run");
        }
        let view = parts.heads.borrow().clone();
        let (status, receiver) = watch::channel(Arc::new(TxStatus {
            address: account,
            balance: None,
            account_nonce: None,
            next_nonce: None,
            queued: 0,
            in_flight: Vec::new(),
            awaiting_settlement: 0,
            alarms: Vec::new(),
        }));
        let coordinator = Self {
            config: parts.config,
            signer: parts.signer,
            account,
            provider: parts.provider,
            chain_id: parts.chain_id,
            view,
            heads: parts.heads,
            journal: SharedJournal::new(parts.journal),
            submitted: parts.submitted,
            open: true,
            queue: VecDeque::new(),
            front: None,
            ledger: Ledger::recovered(recovered),
            jobs: JoinSet::new(),
            running: HashMap::new(),
            sweeping: Sweeping {
                wanted: true,
                ..Sweeping::default()
            },
            account_nonce: None,
            balance: None,
            data_fees: DataFees::default(),
            data_fees_at: None,
            gaps: Vec::new(),
            gaps_seen: Absence::default(),
            alarms: Alarms::default(),
            outbox: VecDeque::new(),
            status,
        };
        coordinator.publish_status();
        (coordinator, receiver)
    }

    /// Runs until nobody reads `events` any more or the head is no longer followed.
    pub(crate) async fn run(mut self, events: mpsc::Sender<TxEvent>) {
        loop {
            let now = Instant::now();
            self.advance(now);
            self.publish_status();
            let wake = self.next_deadline(now).unwrap_or(now + IDLE);
            // Each branch only receives; what was received is handled to its end below it.
            tokio::select! {
                () = events.closed() => return,
                place = events.reserve(), if !self.outbox.is_empty() => match (place, self.outbox.pop_front()) {
                    (Ok(place), Some(event)) => place.send(event),
                    _ => return,
                },
                submission = self.submitted.recv(), if self.open => match submission {
                    Some(submission) => self.queue.push_back(submission),
                    None => self.open = false,
                },
                changed = self.heads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.view = self.heads.borrow_and_update().clone();
                    self.sweeping.wanted = true;
                }
                Some(done) = self.jobs.join_next_with_id() => self.on_done(done),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Starts whatever can be started. Repairs wait until the chain was asked at the newest head, or
    /// they would replace what that head includes.
    fn advance(&mut self, now: Instant) {
        let (true, Some(head)) = (self.view.reachable, self.view.latest) else {
            return;
        };
        self.start_sweep(&head, now);
        if self.ledger.next().is_none() {
            return;
        }
        if !self.sweeping.running && !self.sweeping.wanted {
            self.start_repairs(&head, now);
        }
        self.advance_front(&head, now);
    }

    /// When something may be due next. What is overdue is held up by something that reports back.
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let front = self.front.as_ref().and_then(|front| front.retry_at);
        let repairs = self
            .ledger
            .slots()
            .values()
            .filter_map(|slot| self.repair_deadline(slot));
        let deadlines = repairs.chain(front).chain(self.sweeping.retry_at);
        deadlines.filter(|deadline| *deadline > now).min()
    }

    fn on_done(&mut self, done: Result<(task::Id, Done), JoinError>) {
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
            (Job::Sweep, Ok(Done::Swept(answer))) => match *answer {
                Ok(answer) => {
                    self.sweeping.running = false;
                    self.alarms.clear(AlarmKind::Unobserved);
                    self.on_swept(answer);
                }
                Err(error) => self.on_sweep_failed(&transport_cause(&error)),
            },
            (Job::Sweep, _) => self.on_sweep_failed("asking the chain was interrupted"),
            (Job::DataFees, Ok(Done::DataFees(Ok(fees)))) => self.data_fees = fees,
            (Job::DataFees, Ok(Done::DataFees(Err(error)))) => tracing::debug!(%error, "data fees unknown"),
            (Job::Forget, Ok(Done::Forgot(Err(error)))) => tracing::warn!(%error, "journal keeps what is settled"),
            _ => {}
        }
    }

    fn spawn(&mut self, job: Job, step: impl Future<Output = Done> + Send + 'static) {
        let id = self.jobs.spawn(step).id();
        self.running.insert(id, job);
    }

    /// Asks the chain, unless nothing changed since it was asked last.
    fn start_sweep(&mut self, head: &Head, now: Instant) {
        let held = self.sweeping.retry_at.is_some_and(|at| at > now);
        if !self.sweeping.wanted || self.sweeping.running || held {
            return;
        }
        self.sweeping = Sweeping {
            wanted: false,
            running: true,
            retry_at: None,
            safe: self.view.safe,
            finalized: self.view.finalized,
        };
        let question = self.question(head.block);
        let provider = self.provider.clone();
        self.spawn(Job::Sweep, async move {
            Done::Swept(Box::new(sweep::ask(&provider, question).await))
        });
        if self.data_fees_at.is_none_or(|at| now - at >= DATA_FEES_FOR) {
            self.data_fees_at = Some(now);
            let provider = self.provider.clone();
            let (bytes, gas) = (self.config.max_bytes, self.config.max_gas);
            self.spawn(Job::DataFees, async move {
                Done::DataFees(DataFees::upper_bound(&provider, bytes, gas).await)
            });
        }
    }

    fn on_sweep_failed(&mut self, cause: &str) {
        self.alarms.raise(
            AlarmKind::Unobserved,
            format!(
                "the node does not say what became of {}'s transactions: {cause}",
                self.account
            ),
        );
        self.sweeping.running = false;
        self.sweeping.wanted = true;
        self.sweeping.retry_at = Some(Instant::now() + self.config.publish_retry);
    }

    /// Has a transaction signed for a nonce.
    fn sign(&mut self, nonce: u64, tx: TxEip1559) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        slot.busy = true;
        let (signer, account) = (self.signer.clone(), self.account);
        self.spawn(Job::Sign { nonce }, async move {
            let signed = signer.sign(&tx).await.map_err(|error| error.to_string());
            Done::Signed(signed.and_then(|raw| {
                Version::checked(raw, &tx, account).map_err(|problem| format!("the signer of {account}: {problem}"))
            }))
        });
    }

    /// Sends a version; keeps it first where `keep` says so.
    fn send(&mut self, nonce: u64, hash: B256, keep: Option<Keep>) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        let Some(raw) = slot.version(hash).map(|version| version.raw.clone()) else {
            return;
        };
        slot.busy = true;
        let (provider, journal) = (self.provider.clone(), self.journal.clone());
        let first_time = keep.is_some();
        self.spawn(
            Job::Send {
                nonce,
                hash,
                first_time,
            },
            async move {
                if let Some(keep) = keep
                    && let Err(problem) = journal.keep(nonce, raw.clone(), keep).await
                {
                    return Done::Sent(Outcome::Rejected(Rejection::NotJournaled, problem));
                }
                Done::Sent(publish(&provider, &raw).await)
            },
        );
    }

    /// Lets the journal forget nonces.
    fn forget(&mut self, nonces: Vec<u64>) {
        if nonces.is_empty() {
            return;
        }
        let journal = self.journal.clone();
        self.spawn(Job::Forget, async move { Done::Forgot(journal.forget(nonces).await) });
    }

    fn emit(&mut self, event: TxEvent) {
        self.outbox.push_back(event);
    }

    fn publish_status(&self) {
        let open = self.ledger.slots().iter().filter(|(_, slot)| slot.is_open());
        let in_flight: Vec<_> = open
            .map(|(nonce, slot)| {
                let newest = slot.versions.last();
                InFlight {
                    id: slot.id,
                    nonce: *nonce,
                    hash: newest.map(|version| version.hash),
                    versions: slot.versions.len(),
                    tip: newest.map(|version| Wei(version.terms().tip)),
                    fee_cap: newest.map(|version| Wei(version.terms().cap)),
                    since: slot.since,
                }
            })
            .collect();
        let status = TxStatus {
            address: self.account,
            balance: self.balance,
            account_nonce: self.account_nonce,
            next_nonce: self.ledger.next(),
            queued: self.queue.len(),
            awaiting_settlement: self.ledger.slots().len() - in_flight.len(),
            in_flight,
            alarms: self.alarms.list(),
        };
        metrics::gauge!("set_tx_queued").set(status.queued as f64);
        metrics::gauge!("set_tx_in_flight").set(status.in_flight.len() as f64);
        metrics::gauge!("set_tx_awaiting_settlement").set(status.awaiting_settlement as f64);
        self.status.send_if_modified(|shown| {
            let changed = **shown != status;
            if changed {
                *shown = Arc::new(status);
            }
            changed
        });
    }
}

/// Hands signed bytes to the node.
async fn publish(provider: &L2Provider, raw: &Bytes) -> Outcome {
    let sent = provider
        .client()
        .request::<_, B256>("eth_sendRawTransaction", (raw,))
        .await;
    let outcome = match sent {
        Ok(_) => Outcome::Accepted,
        Err(error) => classify(&error),
    };
    let label = match &outcome {
        Outcome::Accepted => "accepted",
        Outcome::Rejected(rejection, _) => rejection.label(),
        Outcome::Ambiguous(_) => "ambiguous",
    };
    metrics::counter!("set_tx_sends_total", "outcome" => label).increment(1);
    outcome
}

/// The slots of what an earlier run signed and the chain has not settled.
fn recover(journal: &Journal, account: Address) -> Vec<(u64, Slot)> {
    let mut slots = Vec::new();
    for (nonce, raws) in journal.live() {
        let versions: Vec<_> = raws
            .iter()
            .filter_map(|raw| Version::decode(raw.clone()))
            .filter(|version| version.tx.nonce == *nonce)
            .collect();
        let Some(newest) = versions.last() else {
            tracing::warn!(nonce, "journal holds no transaction for a nonce that it names");
            continue;
        };
        let id = (!newest.is_filler(account)).then_some(CallId::Recovered(*nonce));
        slots.push((*nonce, Slot::recovered(id, versions)));
    }
    slots
}
