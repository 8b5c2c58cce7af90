//! Whether this process may send, as everything that sends asks it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use set_types::Timestamp;
use tokio::sync::watch;

use crate::{LeaseKind, clock::Moment};

/// Who may send, as far as this process knows. For people and for `set_status`; code that sends asks
/// [`Leadership::holds`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseState {
    /// What decides.
    pub kind: LeaseKind,
    /// Whether this process may send.
    pub held: bool,
    /// Who holds the lease, this process or another; `None` while nobody is known to.
    pub holder: Option<String>,
    /// Until when the holder holds it, unless it renews it before; by this machine's clock.
    pub until: Option<Timestamp>,
    /// How often the lease has changed hands, this time included; 0 before the first answer. What was
    /// known of an account's nonces in another term is to be read anew.
    pub term: u64,
    /// Why the lease can neither be taken nor renewed right now.
    pub error: Option<String>,
}

/// Whether this process may send. Cheap to clone; every clone is the same lease.
#[derive(Debug, Clone)]
pub struct Leadership {
    /// The moment from which this process may not send any more; 0 without the lease.
    ends: Arc<AtomicU64>,
    states: watch::Receiver<Arc<LeaseState>>,
}

impl Leadership {
    /// Leadership without a lease: this process may always send.
    pub fn always() -> Self {
        let state = LeaseState {
            held: true,
            ..LeaseState::unknown(LeaseKind::None)
        };
        Self {
            ends: Arc::new(AtomicU64::new(u64::MAX)),
            states: watch::channel(Arc::new(state)).1,
        }
    }

    /// A lease that is not held yet, and the end that says otherwise.
    pub(crate) fn new(kind: LeaseKind) -> (Self, Standing) {
        let (states, receiver) = watch::channel(Arc::new(LeaseState::unknown(kind)));
        let ends = Arc::new(AtomicU64::new(0));
        let leadership = Self {
            ends: ends.clone(),
            states: receiver,
        };
        (leadership, Standing { ends, states })
    }

    /// Whether this process may send now. It reads the clock itself, so the answer is right at the very
    /// first instruction after the process was stopped, however long. Ask it immediately before every
    /// send; it costs some tens of nanoseconds.
    pub fn holds(&self) -> bool {
        Moment::now().0 < self.ends.load(Ordering::Acquire)
    }

    /// What is known now.
    pub fn state(&self) -> Arc<LeaseState> {
        let state = self.states.borrow().clone();
        if state.held && !self.holds() {
            let lapsed = LeaseState {
                held: false,
                ..LeaseState::clone(&state)
            };
            return Arc::new(lapsed);
        }
        state
    }

    /// Reports every change: won, lost, another holder, an error. A lease that was lost and won again
    /// in between shows in [`LeaseState::term`].
    pub fn changes(&self) -> watch::Receiver<Arc<LeaseState>> {
        self.states.clone()
    }
}

/// The end of a [`Leadership`] that sets it; says in the log and the metrics what changes.
#[derive(Debug)]
pub(crate) struct Standing {
    ends: Arc<AtomicU64>,
    states: watch::Sender<Arc<LeaseState>>,
}

impl Standing {
    /// The lease is this process's; it may send until `ends`, and nobody else does before `until`.
    pub(crate) fn won(&self, holder: &str, term: u64, ends: Moment, until: Option<Timestamp>) {
        let before = self.current();
        if before.held && (before.term != term || !self.holds()) {
            self.lapsed();
        }
        // An answer that took longer than what it grants gives nothing.
        let held = Moment::now() < ends;
        self.ends.store(ends.0, Ordering::Release);
        if held && !self.current().held {
            tracing::info!(holder, term, "lease won: this process sends");
        }
        self.set(LeaseState {
            held,
            holder: Some(holder.to_owned()),
            until,
            term,
            error: None,
            ..LeaseState::clone(&before)
        });
    }

    /// The lease is another's, or nobody's.
    pub(crate) fn other(&self, holder: Option<String>, term: u64, until: Option<Timestamp>) {
        let before = self.current();
        self.ends.store(0, Ordering::Release);
        let named = holder.as_deref().unwrap_or("unknown");
        if before.held {
            tracing::warn!(
                holder = named,
                term,
                "lease lost to another: this process sends nothing"
            );
        } else if until.is_some() && before.holder != holder {
            tracing::info!(holder = named, term, "another holds the lease: this process stands by");
        }
        self.set(LeaseState {
            held: false,
            holder,
            until,
            term,
            error: None,
            ..LeaseState::clone(&before)
        });
    }

    /// The lease could neither be taken nor renewed. What is held is held until it runs out.
    pub(crate) fn failed(&self, error: String) {
        let before = self.current();
        if before.error.is_none() {
            tracing::warn!(error, held = before.held, "lease not reached; trying again");
        }
        self.set(LeaseState {
            error: Some(error),
            ..LeaseState::clone(&before)
        });
    }

    /// The lease ran out before it was renewed.
    pub(crate) fn lapsed(&self) {
        let before = self.current();
        self.ends.store(0, Ordering::Release);
        let error = before
            .error
            .as_deref()
            .unwrap_or("the process was stopped, or too busy to renew it");
        tracing::warn!(error, "lease run out before it was renewed: this process sends nothing");
        self.set(LeaseState {
            held: false,
            ..LeaseState::clone(&before)
        });
    }

    /// This process gives the lease up.
    pub(crate) fn resign(&self) {
        self.ends.store(0, Ordering::Release);
        let before = self.current();
        let holder = before.holder.clone().filter(|_| !before.held);
        let until = before.until.filter(|_| !before.held);
        self.set(LeaseState {
            held: false,
            holder,
            until,
            ..LeaseState::clone(&before)
        });
    }

    /// For how long this process may send yet; `None` where it is not said to.
    pub(crate) fn left(&self) -> Option<Duration> {
        let ends = Moment(self.ends.load(Ordering::Acquire));
        self.current().held.then(|| ends.since(Moment::now()))
    }

    fn holds(&self) -> bool {
        Moment::now().0 < self.ends.load(Ordering::Acquire)
    }

    fn current(&self) -> Arc<LeaseState> {
        self.states.borrow().clone()
    }

    /// Publishes; wakes nobody where nothing changed but `until`.
    fn set(&self, state: LeaseState) {
        metrics::gauge!("set_lease_held").set(if state.held { 1.0 } else { 0.0 });
        self.states.send_if_modified(|current| {
            let renewed = LeaseState {
                until: current.until,
                ..state.clone()
            };
            let changed = renewed != **current;
            *current = Arc::new(state);
            changed
        });
    }
}

impl LeaseState {
    fn unknown(kind: LeaseKind) -> Self {
        Self {
            kind,
            held: false,
            holder: None,
            until: None,
            term: 0,
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_lease_this_process_may_always_send() {
        let leadership = Leadership::always();
        assert!(leadership.holds());
        let state = serde_json::to_value(&*leadership.state()).unwrap();
        let expected = serde_json::json!({
            "kind": "none", "held": true, "holder": null, "until": null, "term": 0, "error": null
        });
        assert_eq!(state, expected);
    }
}
