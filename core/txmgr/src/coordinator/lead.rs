//! Whether this process may send, and what follows from having it lost or won.

use std::sync::Arc;

use set_lease::{Leadership, LeaseState};
use tokio::sync::watch;

use super::Coordinator;
use crate::{CallId, TxEvent};

/// What a call was planned for that is over.
pub(super) const LEASE_LOST: &str = "this process does not hold the lease any more";

/// The coordinator's view of the lease.
#[derive(Debug)]
pub(super) struct Lead {
    leadership: Leadership,
    changes: watch::Receiver<Arc<LeaseState>>,
    /// Whether changes may still come.
    open: bool,
    standing: Standing,
}

/// Where this process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Another may send.
    Standby,
    /// It may send in this term, once it knows what others sent meanwhile.
    Elected(u64),
    /// It may send in this term.
    Leading(u64),
}

impl Lead {
    pub(super) fn new(leadership: Leadership) -> Self {
        Self {
            changes: leadership.changes(),
            leadership,
            open: true,
            standing: Standing::Standby,
        }
    }

    pub(super) fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Whether this process sends: it holds the lease and knows the account's nonce.
    pub(super) fn is_leading(&self) -> bool {
        matches!(self.standing, Standing::Leading(_)) && self.leadership.holds()
    }

    /// The term whose nonce is to be read, if it is.
    pub(super) const fn reading(&self) -> Option<u64> {
        match self.standing {
            Standing::Elected(term) => Some(term),
            _ => None,
        }
    }

    /// The account's nonce was read in this term.
    pub(super) fn read(&mut self, term: u64) {
        if self.standing == Standing::Elected(term) {
            self.standing = Standing::Leading(term);
        }
    }

    /// Waits for the lease to be won or lost.
    pub(super) async fn changed(&mut self) {
        if !self.open {
            return std::future::pending().await;
        }
        self.open = self.changes.changed().await.is_ok();
    }
}

impl Coordinator {
    /// Follows the lease. What was planned in another term is given back: whoever sent since then has
    /// perhaps sent the same.
    pub(super) fn follow_lease(&mut self) {
        let term = self.lead.leadership.state().term;
        let now = match (self.lead.leadership.holds(), self.lead.standing) {
            (false, _) => Standing::Standby,
            (true, same @ (Standing::Elected(of) | Standing::Leading(of))) if of == term => same,
            (true, _) => Standing::Elected(term),
        };
        let before = std::mem::replace(&mut self.lead.standing, now);
        if now != before {
            tracing::info!(account = %self.account, leading = now != Standing::Standby, term, "lease");
            self.sweeping.wanted = true;
        }
        if now != before || now == Standing::Standby {
            self.give_back();
        }
    }

    /// Gives back what was not sent.
    fn give_back(&mut self) {
        let queued: Vec<_> = self.queue.drain(..).map(|submission| submission.id).collect();
        self.return_calls(queued, LEASE_LOST);
        let unsent = self.ledger.provisional();
        if let Some(nonce) = unsent.filter(|nonce| self.ledger.get(*nonce).is_some_and(|slot| !slot.busy)) {
            self.return_front(nonce, LEASE_LOST);
        }
        self.budget.leave();
    }

    /// Gives back the call whose nonce is provisional; nothing of it was sent.
    pub(super) fn return_front(&mut self, nonce: u64, reason: &'static str) {
        self.front = None;
        let slot = self.ledger.release(nonce);
        self.spending.closed(nonce);
        self.forget(vec![nonce]);
        self.return_calls(slot.and_then(|slot| slot.id), reason);
    }

    /// Gives back calls that were not sent.
    pub(super) fn return_calls(&mut self, calls: impl IntoIterator<Item = CallId>, reason: &'static str) {
        for id in calls {
            self.metrics.counter("set_tx_returned_total").increment(1);
            tracing::info!(%id, reason, "call given back");
            self.emit(TxEvent::Returned { id, reason });
        }
    }
}
