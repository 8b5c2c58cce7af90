//! Calls that wait until the test lets them go on.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// Holds calls back. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<State>>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    arrived: usize,
    open: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self::closed()
    }
}

impl Gate {
    /// A gate that lets nothing through yet.
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// Waits until `count` calls have come to the gate; false if that takes longer than `deadline`.
    pub async fn reached(&self, count: usize, deadline: Duration) -> bool {
        let mut state = self.0.subscribe();
        let arrived = state.wait_for(|state| state.arrived >= count);
        tokio::time::timeout(deadline, arrived)
            .await
            .is_ok_and(|arrived| arrived.is_ok())
    }

    /// Lets through what waits and whatever comes.
    pub fn open(&self) {
        self.0.send_modify(|state| state.open = true);
    }

    /// A call arrives; returns once it may go on.
    pub(super) async fn pass(&self) {
        self.0.send_modify(|state| state.arrived += 1);
        // The sender lives in `self`.
        let _ = self.0.subscribe().wait_for(|state| state.open).await;
    }
}
