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

mod books;
mod checks;
mod front;
mod gaps;
mod jobs;
mod lead;
mod outcome;
mod passed_over;
mod repair;
mod sweeping;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, U256};
use set_chain::{ChainView, DataFees, L2Provider};
use set_lease::Leadership;
use set_types::Timestamp;
use tokio::{
    sync::{mpsc, watch},
    task::{self, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    AlarmKind, BlockBudget, Call, CallId, CallSize, InFlight, Journal, Spending, TxConfig, TxEvent, TxSigner, TxStatus,
    Wei,
    block_budget::{AccountBudget, BudgetChanges},
    journal::{Recovered, SharedJournal},
    ledger::{Gaps, Ledger},
    metrics::AccountMetrics,
    room::Place,
    size_limit::SizeLimit,
    slot::{Absence, Slot},
    status::Alarms,
};
use front::Front;
use jobs::{Done, Job};
use lead::Lead;
use sweeping::Sweeping;

/// Longest sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(3_600);

/// A call that was taken, with what it takes.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) id: CallId,
    pub(crate) call: Call,
    pub(crate) size: CallSize,
    pub(crate) place: Place,
}

/// What a coordinator is made of.
pub(crate) struct Parts {
    pub(crate) configs: watch::Receiver<Arc<TxConfig>>,
    pub(crate) daily_caps: watch::Receiver<Option<Wei>>,
    pub(crate) spending: Spending,
    pub(crate) signer: Arc<dyn TxSigner>,
    pub(crate) provider: L2Provider,
    pub(crate) chain_id: u64,
    pub(crate) heads: watch::Receiver<Arc<ChainView>>,
    pub(crate) journal: Journal,
    pub(crate) leadership: Leadership,
    pub(crate) budget: BlockBudget,
    pub(crate) submitted: mpsc::Receiver<Submission>,
}

/// One account's coordinator.
pub(crate) struct Coordinator {
    config: Arc<TxConfig>,
    configs: watch::Receiver<Arc<TxConfig>>,
    daily_caps: watch::Receiver<Option<Wei>>,
    spending: Spending,
    signer: Arc<dyn TxSigner>,
    account: Address,
    provider: L2Provider,
    chain_id: u64,
    heads: watch::Receiver<Arc<ChainView>>,
    view: Arc<ChainView>,
    journal: SharedJournal,
    lead: Lead,
    budget: AccountBudget,
    budget_changes: BudgetChanges,
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
    /// Whether the account carries code.
    has_code: bool,
    data_fees: DataFees,
    size_limit: SizeLimit,
    /// The newest block that was looked at for what it left out.
    counted_block: Option<B256>,
    /// Whether what is in a block can be read from the journal again.
    on_disk: bool,
    gaps: Gaps,
    gaps_seen: Absence,
    alarms: Alarms,
    metrics: AccountMetrics,
    outbox: VecDeque<TxEvent>,
    status: watch::Sender<Arc<TxStatus>>,
}

impl Coordinator {
    /// A coordinator that takes over what the journal holds.
    pub(crate) fn new(parts: Parts) -> (Self, watch::Receiver<Arc<TxStatus>>) {
        let account = parts.signer.address();
        let budget = parts.budget.account();
        let mut journal = parts.journal;
        let mut spending = parts.spending;
        let recovered = recover(&mut journal, account, &mut spending);
        if !recovered.is_empty() {
            tracing::info!(transactions = recovered.len(), %account, "taking over transactions of an earlier run");
        }
        let metrics = AccountMetrics::new(account);
        let config = parts.configs.borrow().clone();
        let view = parts.heads.borrow().clone();
        let (status, receiver) = watch::channel(Arc::new(TxStatus {
            address: account,
            in_force: TxConfig::clone(&config),
            leading: false,
            balance: None,
            account_nonce: None,
            next_nonce: None,
            queued: 0,
            in_flight: Vec::new(),
            awaiting_settlement: 0,
            spent_today: U256::ZERO,
            daily_cap: None,
            size_limit: None,
            alarms: Vec::new(),
        }));
        let mut alarms = Alarms::new(metrics.clone());
        if let Some(problem) = journal.problem() {
            alarms.raise(AlarmKind::Journal, problem.to_string());
        }
        let on_disk = journal.is_on_disk();
        let coordinator = Self {
            config,
            configs: parts.configs,
            daily_caps: parts.daily_caps,
            spending,
            signer: parts.signer,
            account,
            provider: parts.provider,
            chain_id: parts.chain_id,
            view,
            heads: parts.heads,
            journal: SharedJournal::new(journal),
            lead: Lead::new(parts.leadership),
            budget_changes: budget.changes(),
            budget,
            submitted: parts.submitted,
            open: true,
            queue: VecDeque::new(),
            front: None,
            ledger: Ledger::recovered(recovered),
            jobs: JoinSet::new(),
            running: HashMap::new(),
            sweeping: Sweeping::default(),
            account_nonce: None,
            balance: None,
            has_code: false,
            data_fees: DataFees::default(),
            size_limit: SizeLimit::default(),
            counted_block: None,
            on_disk,
            gaps: Gaps::default(),
            gaps_seen: Absence::default(),
            alarms,
            metrics,
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
            self.save_books();
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
                // Without a sender the settings stay what they are.
                Ok(()) = self.configs.changed() => self.config = self.configs.borrow_and_update().clone(),
                Ok(()) = self.daily_caps.changed() => {
                    let cap = *self.daily_caps.borrow_and_update();
                    self.spending.set_cap(cap);
                    self.alarms.clear(AlarmKind::SpendingCap);
                    self.retry_front();
                }
                () = self.lead.changed() => {}
                () = self.budget_changes.next() => {}
                Some(done) = self.jobs.join_next_with_id() => self.on_done(done),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Starts whatever can be started. Repairs go by what the chain said at the newest head, or they would
    /// replace what that head includes; where asking takes longer than a block, by what it said last.
    fn advance(&mut self, now: Instant) {
        self.follow_lease();
        let (true, Some(head)) = (self.view.reachable, self.view.latest) else {
            return;
        };
        if self.lead.is_leading() && self.sweeping.may_repair() {
            self.start_repairs(&head, now);
        }
        self.start_sweep(&head, now);
        if self.lead.is_leading() {
            self.advance_front(&head, now);
        }
    }

    /// When something may be due next. What is overdue is held up by something that reports back.
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let front = self.front.as_ref().and_then(|front| front.retry_at);
        let repairs = self
            .ledger
            .open()
            .values()
            .filter_map(|slot| self.repair_deadline(slot));
        let deadlines = repairs.chain(front).chain(self.sweeping.retry_at);
        deadlines.filter(|deadline| *deadline > now).min()
    }

    fn emit(&mut self, event: TxEvent) {
        self.outbox.push_back(event);
    }

    fn publish_status(&self) {
        let open = self.ledger.open().iter();
        let in_flight: Vec<_> = open
            .map(|(nonce, slot)| {
                let newest = slot.versions.last();
                InFlight {
                    id: slot.id,
                    nonce: *nonce,
                    hash: slot.hashes().last().copied(),
                    versions: slot.hashes().len(),
                    tip: newest.map(|version| Wei(version.terms().tip)),
                    fee_cap: newest.map(|version| Wei(version.terms().cap)),
                    since: slot.since,
                }
            })
            .collect();
        let status = TxStatus {
            address: self.account,
            in_force: TxConfig::clone(&self.config),
            leading: self.lead.is_leading(),
            balance: self.balance,
            account_nonce: self.account_nonce,
            next_nonce: self.ledger.next(),
            queued: self.queue.len(),
            awaiting_settlement: self.ledger.included().len(),
            in_flight,
            spent_today: self.spending.today(Timestamp::now()),
            daily_cap: self.spending.cap(),
            size_limit: self.size_limit.get(),
            alarms: self.alarms.list(),
        };
        if **self.status.borrow() == status {
            return;
        }
        let gauge = |name, value| self.metrics.gauge(name).set(value);
        gauge("set_tx_queued", status.queued as f64);
        gauge("set_tx_in_flight", status.in_flight.len() as f64);
        gauge("set_tx_awaiting_settlement", status.awaiting_settlement as f64);
        gauge("set_tx_spent_today_wei", f64::from(status.spent_today));
        gauge("set_tx_leading", f64::from(u8::from(status.leading)));
        self.status.send_replace(Arc::new(status));
    }
}

/// The slots of what an earlier run signed and the chain has not settled. Their bytes stay in the
/// journal until they are to be sent again: most are in a block already.
fn recover(journal: &mut Journal, account: Address, spending: &mut Spending) -> Vec<(u64, Slot)> {
    let recovered = journal.take_recovered().into_iter();
    let slots = recovered.map(|Recovered { nonce, versions, cost }| {
        spending.recover(nonce, cost, Timestamp::now());
        let has_call = versions.iter().any(|version| !version.filler);
        let id = has_call.then_some(CallId::Recovered { account, nonce });
        let newest = versions.last().map(|version| version.hash);
        (nonce, Slot::again(id, versions, newest))
    });
    slots.collect()
}
