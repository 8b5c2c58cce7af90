//! Whether this process may send, as everything that sends asks it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
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

/// The end of a [`Leadership`] that sets it.
#[derive(Debug)]
pub(crate) struct Standing {
    ends: Arc<AtomicU64>,
    states: watch::Sender<Arc<LeaseState>>,
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
