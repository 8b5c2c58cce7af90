//! The task that owns the ledger: events in, work out.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use set_chain::ChainView;
use set_index::Synced;
use set_txmgr::TxEvent;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::sleep_until,
};

use crate::{
    clock::Now,
    ledger::{Event, Ledger},
    work::Workshop,
};

/// What the handle asks of the task.
#[derive(Debug)]
pub(crate) enum Command {
    /// Stop once nothing is on its way, or at this moment; answer whether nothing was left.
    Drain(Instant, oneshot::Sender<bool>),
}

/// Owns the ledger; never waits for a plugin.
pub(crate) struct Coordinator {
    ledger: Arc<RwLock<Ledger>>,
    workshop: Workshop,
    tx_events: mpsc::Receiver<TxEvent>,
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
        workshop: Workshop,
        tx_events: mpsc::Receiver<TxEvent>,
        heads: watch::Receiver<Arc<ChainView>>,
        commands: mpsc::Receiver<Command>,
        revisions: watch::Sender<u64>,
    ) -> Self {
        let synced = workshop.index.synced();
        Self {
            ledger,
            workshop,
            tx_events,
            heads,
            synced,
            commands,
            revisions,
            workers: JoinSet::new(),
            draining: None,
        }
    }

    /// Runs until it has drained, or until the transaction manager or the chain's tracker is gone.
    pub(crate) async fn run(mut self) {
        let view = self.heads.borrow_and_update().clone();
        let synced = self.synced.borrow_and_update().clone();
        self.handle(vec![Event::Chain(view), Event::Indexed(synced)]);
        loop {
            let wake = self.begin_work();
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
        let (room, from) = (self.workshop.txmgr.room(), self.workshop.txmgr.address());
        let (work, wake, reports_wait) = {
            let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
            let work = ledger.next_work(room, from, now);
            (work, ledger.wake_at(now), ledger.reports_wait(now))
        };
        self.workshop.prover.yield_to_reports(reports_wait);
        for piece in work {
            self.workers.spawn(self.workshop.clone().perform(piece));
        }
        wake
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
        let clean = self.ledger.read().unwrap_or_else(PoisonError::into_inner).is_drained();
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
                if let Some(Command::Drain(deadline, done)) = command {
                    tracing::info!("the pipeline stops");
                    self.draining = Some((deadline, done));
                    self.ledger.write().unwrap_or_else(PoisonError::into_inner).drain();
                    return Some(Vec::new());
                }
                None
            }
            event = self.tx_events.recv() => {
                let mut events = vec![Event::Tx(event?)];
                while let Ok(event) = self.tx_events.try_recv() {
                    events.push(Event::Tx(event));
                }
                Some(events)
            }
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
