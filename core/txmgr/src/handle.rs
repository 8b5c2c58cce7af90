//! How the rest of the program talks to an account's coordinator.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::Address;
use set_chain::{ChainView, L2Provider};
use set_types::ConfigProblem;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};

use crate::{
    Call, CallId, Journal, TxConfig, TxEvent, TxSigner, TxStatus,
    coordinator::{Coordinator, Parts, Submission},
};

/// Events that may wait for their reader; more stay with the coordinator, which never waits for it.
const EVENT_CAPACITY: usize = 64;

/// Why a transaction manager could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TxError {
    /// Values of `[txmgr]` that cannot work.
    #[error("[txmgr] {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<ConfigProblem>),
}

/// Why a call was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// No more calls are taken: the program stops.
    #[error("the transaction manager takes no more calls")]
    Closed,
    /// The call exceeds a cap of `[txmgr]`.
    #[error("the call takes {got} {what}, `txmgr.{key}` allows {allowed}")]
    TooLarge {
        /// Gas or bytes.
        what: &'static str,
        /// The key of the cap.
        key: &'static str,
        /// What the call takes.
        got: u64,
        /// What the cap allows.
        allowed: u64,
    },
}

/// One account's transactions. Cheap to clone; what it stands for is one task that owns the account's
/// nonces.
#[derive(Debug, Clone)]
pub struct TxMgr {
    address: Address,
    max_gas: u64,
    max_bytes: u64,
    max_in_flight: usize,
    room: Arc<Semaphore>,
    ids: Arc<AtomicU64>,
    submissions: mpsc::Sender<Submission>,
    status: watch::Receiver<Arc<TxStatus>>,
}

/// Starts an account's coordinator as a task of the current runtime. It does not wait for the node:
/// until that answers, calls queue. What the journal holds goes out again first.
///
/// The coordinator ends when the event receiver is dropped or `heads` ends. Nothing is lost by that:
/// what was sent is in the journal.
///
/// # Errors
/// [`TxError::Config`] with every problem of the configuration.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn start(
    config: TxConfig,
    signer: Arc<dyn TxSigner>,
    provider: L2Provider,
    chain_id: u64,
    heads: watch::Receiver<Arc<ChainView>>,
    journal: Journal,
) -> Result<(TxMgr, mpsc::Receiver<TxEvent>), TxError> {
    let problems = config.validate();
    if !problems.is_empty() {
        return Err(TxError::Config(problems));
    }
    let address = signer.address();
    let max_in_flight = config.max_in_flight;
    let room = Arc::new(Semaphore::new(max_in_flight));
    let (submissions, submitted) = mpsc::channel(max_in_flight);
    let (events, receiver) = mpsc::channel(EVENT_CAPACITY);
    let (max_gas, max_bytes) = (config.max_gas, config.max_bytes);
    let (coordinator, status) = Coordinator::new(Parts {
        config,
        signer,
        provider,
        chain_id,
        heads,
        journal,
        submitted,
    });
    tokio::spawn(coordinator.run(events));
    let manager = TxMgr {
        address,
        max_gas,
        max_bytes,
        max_in_flight,
        room,
        ids: Arc::default(),
        submissions,
        status,
    };
    Ok((manager, receiver))
}

impl TxMgr {
    /// The sending account.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Queues a call, once fewer than `max_in_flight` are on their way to a block. Calls are sent in
    /// the order in which they are taken.
    ///
    /// # Errors
    /// [`SubmitError`]; the call was not taken then.
    ///
    /// # Cancellation safety
    /// Dropped before it is ready, the call was not taken.
    pub async fn submit(&self, call: Call) -> Result<CallId, SubmitError> {
        let fits = |what, key, got, allowed| {
            if got <= allowed {
                return Ok(());
            }
            Err(SubmitError::TooLarge {
                what,
                key,
                got,
                allowed,
            })
        };
        fits("gas", "max_gas", call.gas_limit, self.max_gas)?;
        fits("bytes", "max_bytes", call.data.len() as u64, self.max_bytes)?;
        let room = self.room.clone().acquire_owned().await;
        let permit = room.map_err(|_| SubmitError::Closed)?;
        // There are as many places in the channel as there are permits, so this does not wait.
        let place = self.submissions.reserve().await.map_err(|_| SubmitError::Closed)?;
        let id = CallId::Submitted(self.ids.fetch_add(1, Ordering::Relaxed));
        place.send(Submission { id, call, permit });
        Ok(id)
    }

    /// How many calls would be taken at once.
    pub fn room(&self) -> usize {
        self.room.available_permits()
    }

    /// Where the account and its transactions stand.
    pub fn status(&self) -> Arc<TxStatus> {
        self.status.borrow().clone()
    }

    /// The same, for those who wait for a change.
    pub fn status_changes(&self) -> watch::Receiver<Arc<TxStatus>> {
        self.status.clone()
    }

    /// Takes no more calls and waits until every call is in a block, at most until `deadline`; gives
    /// whether they are. What is not goes on in the next run, from the journal.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.room.close();
        let mut status = self.status.clone();
        // A call that the coordinator has not seen yet shows by the room that it takes.
        let idle = status.wait_for(|status| status.is_idle() && self.room() == self.max_in_flight);
        matches!(timeout(deadline, idle).await, Ok(Ok(_)))
    }
}
