//! The task that owns the ledger: events in, work out.

use std::{
    future::poll_fn,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use set_chain::ChainView;
use set_index::Synced;
use set_lease::{Leadership, LeaseState};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::sleep_until,
};

use crate::{
    clock::Now,
    control::{Account, AdmitError, Command},
    ledger::{Event, Ledger},
    seats::Seats,
    work::Workshop,
};

/// Owns the ledger; never waits for a plugin.
pub(crate) struct Coordinator {
    ledger: Arc<RwLock<Ledger>>,
    workshop: Workshop,
    seats: Seats,
    leadership: Leadership,
    leases: watch::Receiver<Arc<LeaseState>>,
    heads: watch::Receiver<Arc<ChainView>>,
    synced: watch::Receiver<Synced>,
    commands: mpsc::Receiver<Command>,
    revisions: watch::Sender<u64>,
    /// Work that is being done. The ledger bounds how much there is of each kind.
    workers: JoinSet<Event>,
    draining: Option<(Instant, oneshot::Sender<bool>)>,
}

impl Coordinator {
    pub(crate) fn new(
        ledger: Arc<RwLock<Ledger>>,
        mut workshop: Workshop,
        accounts: Vec<Account>,
        leadership: Leadership,
        heads: watch::Receiver<Arc<ChainView>>,
        commands: mpsc::Receiver<Command>,
        revisions: watch::Sender<u64>,
    ) -> Self {
        let synced = workshop.index.synced();
        let mut seats = Seats::default();
        for account in accounts {
            seats.add(account);
        }
        workshop.accounts = seats.txmgrs();
        Self {
            ledger,
            workshop,
            seats,
            leases: leadership.changes(),
            leadership,
            heads,
            synced,
            commands,
            revisions,
            workers: JoinSet::new(),
            draining: None,
        }
    }

    /// Runs until it has drained, or until a transaction manager or the chain's tracker is gone.
    pub(crate) async fn run(mut self) {
        let view = self.heads.borrow_and_update().clone();
        let synced = self.synced.borrow_and_update().clone();
        self.handle(vec![Event::Chain(view), Event::Indexed(synced)]);
        loop {
            let wake = self.begin_work();
            self.release_accounts();
            if self.finish_draining().await {
                return;
            }
            let Some(events) = self.next_events(wake).await else {
                return;
            };
            self.handle(events);
        }
    }

    /// Starts what is to be done now; gives when to look again.
    fn begin_work(&mut self) -> Option<Instant> {
        let now = Now::read();
        let rooms = self.seats.rooms();
        let term = self.leadership.holds().then(|| self.leadership.state().term);
        let (work, wake, reports_wait) = {
            let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
            let work = ledger.next_work(&rooms, term, now);
            (work, ledger.wake_at(now), ledger.reports_wait(now))
        };
        self.workshop.prover.yield_to_reports(reports_wait);
        for piece in work {
            self.workers.spawn(self.workshop.clone().perform(piece));
        }
        wake
    }

    /// Lets accounts go that were retired.
    fn release_accounts(&mut self) {
        let ledger = &self.ledger;
        let gone = self.seats.release(
            |account| read(ledger).is_retired(account),
            |account| {
                ledger
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .forget_account(account)
            },
        );
        if gone {
            self.workshop.accounts = self.seats.txmgrs();
        }
    }

    fn handle(&mut self, events: Vec<Event>) {
        let now = Now::read();
        {
            let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
            for event in events {
                ledger.handle(event, now);
            }
        }
        self.revisions.send_modify(|revision| *revision += 1);
    }

    /// Whether the end has come: everything is finished, or the time is over.
    async fn finish_draining(&mut self) -> bool {
        let Some((deadline, _)) = self.draining else {
            return false;
        };
        let clean = read(&self.ledger).is_drained();
        if !clean && Instant::now() < deadline {
            return false;
        }
        self.workers.shutdown().await;
        if let Some((_, done)) = self.draining.take() {
            // Nobody waits any more where the receiver is gone.
            let _ = done.send(clean);
        }
        true
    }

    fn obey(&mut self, command: Command) {
        let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
        // An answer that nobody waits for any more is dropped.
        match command {
            Command::Admit(account, done) => {
                let address = account.address();
                if ledger.knows(address) {
                    let _ = done.send(Err(AdmitError::Known(address)));
                    return;
                }
                tracing::info!(account = %address, "commitments are sent from one more account");
                ledger.admit(address, account.recovered(), Now::read());
                self.seats.add(account);
                self.workshop.accounts = self.seats.txmgrs();
                let _ = done.send(Ok(()));
            }
            Command::Retire(account, done) => {
                tracing::info!(%account, "nothing more is sent from an account");
                ledger.retire(account);
                self.seats.retire(account, done);
            }
            Command::Resume(account, done) => {
                let known = ledger.knows(account);
                if known {
                    ledger.admit(account, Vec::new(), Now::read());
                }
                let _ = done.send(known);
            }
            Command::Dismiss(batch_id, done) => {
                let _ = done.send(ledger.dismiss_conflict(batch_id));
            }
            Command::Drain(deadline, done) => {
                tracing::info!("the pipeline stops");
                ledger.drain();
                self.draining = Some((deadline, done));
            }
        }
    }

    /// Waits for something to happen, or for `wake`. `None`: the end.
    async fn next_events(&mut self, wake: Option<Instant>) -> Option<Vec<Event>> {
        let deadline = self.draining.as_ref().map(|(deadline, _)| *deadline);
        let wake = wake.into_iter().chain(deadline).min();
        let timer = async {
            match wake {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = self.commands.recv() => {
                self.obey(command?);
                Some(Vec::new())
            }
            events = poll_fn(|context| self.seats.poll_events(context)) => {
                Some(events?.into_iter().map(Event::Tx).collect())
            }
            // Without a lease there is nobody who could change it.
            Ok(()) = self.leases.changed() => Some(Vec::new()),
            changed = self.heads.changed() => {
                changed.ok()?;
                let view = self.heads.borrow_and_update().clone();
                Some(vec![Event::Chain(view)])
            }
            changed = self.synced.changed() => {
                changed.ok()?;
                let synced = self.synced.borrow_and_update().clone();
                Some(vec![Event::Indexed(synced)])
            }
            Some(done) = self.workers.join_next() => match done {
                Ok(event) => Some(vec![event]),
                Err(error) => {
                    // Without its event the ledger would wait for ever; a new run starts clean.
                    tracing::error!(%error, "a worker of the pipeline panicked; the pipeline ends");
                    None
                }
            },
            () = timer => Some(Vec::new()),
        }
    }
}

fn read(ledger: &RwLock<Ledger>) -> std::sync::RwLockReadGuard<'_, Ledger> {
    ledger.read().unwrap_or_else(PoisonError::into_inner)
}
