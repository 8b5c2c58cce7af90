//! How the rest of the program talks to an account's coordinator.

use std::{sync::Arc, time::Duration};

use alloy_primitives::Address;
use set_chain::{ChainView, L2Provider};
use set_lease::Leadership;
use set_types::{CallLimits, ConfigProblem, FeeContext};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    BlockBudget, Call, CallId, CallSize, Journal, Spending, TxConfig, TxEvent, TxSigner, TxStatus, Wei,
    coordinator::{Coordinator, Parts, Submission},
    room::Room,
};

/// Events that may wait for their reader; more stay with the coordinator, which never waits for it.
const EVENT_CAPACITY: usize = 64;

/// Why a transaction manager could not start, or take other settings.
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

/// What an account's transaction manager works with.
pub struct StartParts {
    /// The section `[txmgr]`.
    pub config: TxConfig,
    /// Signs, and says which account it is.
    pub signer: Arc<dyn TxSigner>,
    /// The node.
    pub provider: L2Provider,
    /// Chain id of the L2.
    pub chain_id: u64,
    /// The chain's head and tags.
    pub heads: watch::Receiver<Arc<ChainView>>,
    /// The account's signed transactions.
    pub journal: Journal,
    /// What the account spends in a day, and the cap on it.
    pub spending: Spending,
    /// Whether this process may send.
    pub leadership: Leadership,
    /// What all accounts of this process have in flight; each gets a clone of the same one.
    pub budget: BlockBudget,
}

/// One account's transactions. Cheap to clone; what it stands for is one task that owns the account's
/// nonces.
#[derive(Debug, Clone)]
pub struct TxMgr {
    address: Address,
    config: Arc<watch::Sender<Arc<TxConfig>>>,
    daily_cap: Arc<watch::Sender<Option<Wei>>>,
    room: Room,
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
pub fn start(parts: StartParts) -> Result<(TxMgr, mpsc::Receiver<TxEvent>), TxError> {
    check(&parts.config)?;
    let address = parts.signer.address();
    let room = Room::new(parts.config.max_in_flight);
    let (config, configs) = watch::channel(Arc::new(parts.config));
    let (daily_cap, daily_caps) = watch::channel(parts.spending.cap().map(Wei::saturating_from));
    let (submissions, submitted) = mpsc::channel(TxConfig::MAX_IN_FLIGHT);
    let (events, receiver) = mpsc::channel(EVENT_CAPACITY);
    let (coordinator, status) = Coordinator::new(Parts {
        configs,
        daily_caps,
        spending: parts.spending,
        signer: parts.signer,
        provider: parts.provider,
        chain_id: parts.chain_id,
        heads: parts.heads,
        journal: parts.journal,
        leadership: parts.leadership,
        budget: parts.budget,
        submitted,
    });
    tokio::spawn(coordinator.run(events));
    let manager = TxMgr {
        address,
        config: Arc::new(config),
        daily_cap: Arc::new(daily_cap),
        room,
        submissions,
        status,
    };
    Ok((manager, receiver))
}

fn check(config: &TxConfig) -> Result<(), TxError> {
    let problems = config.validate();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(TxError::Config(problems))
    }
}

impl TxMgr {
    /// The sending account.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<TxConfig> {
        self.config.borrow().clone()
    }

    /// Puts other settings in force, for what is in flight too.
    ///
    /// # Errors
    /// [`TxError::Config`] with every problem of them; nothing changes then.
    pub fn reconfigure(&self, config: TxConfig) -> Result<(), TxError> {
        check(&config)?;
        self.room.resize(config.max_in_flight);
        self.config.send_replace(Arc::new(config));
        Ok(())
    }

    /// Bounds anew what the account may spend in a UTC day; `None` lifts the bound. What is signed already
    /// stays, and what waits for a raised cap goes on.
    pub fn set_daily_spending_cap(&self, cap: Option<Wei>) {
        self.daily_cap.send_replace(cap);
    }

    /// What one call may take on the chain as it is now: the configured caps, the share of a block, and
    /// what was learnt of the sizes that blocks pass over. `calls` is `max_in_flight`; a planner that
    /// knows how much room is left lowers it.
    pub fn call_limits(&self, view: &ChainView) -> CallLimits {
        self.config().call_limits(view, self.status.borrow().size_limit)
    }

    /// What a transaction would cost per gas now, for policies; `None` until the chain was seen.
    pub fn fee_context(&self, view: &ChainView) -> Option<FeeContext> {
        self.config().fee_context(view)
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
        let config = self.config();
        fits("gas", "max_gas", call.gas_limit, config.max_gas)?;
        fits("bytes", "max_bytes", call.data.len() as u64, config.max_bytes)?;
        let size = CallSize::of(&call);
        let place = self.room.take().await.ok_or(SubmitError::Closed)?;
        // The channel holds as many as there can ever be places, so this hardly waits.
        let entry = self.submissions.reserve().await.map_err(|_| SubmitError::Closed)?;
        let id = CallId::next();
        entry.send(Submission { id, call, size, place });
        Ok(id)
    }

    /// How many calls would be taken at once.
    pub fn room(&self) -> usize {
        self.room.free()
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
        let idle = async {
            // A call that the coordinator has not seen yet shows by the place that it takes.
            self.room.emptied().await;
            status.wait_for(|status| status.is_idle()).await.is_ok()
        };
        timeout(deadline, idle).await.unwrap_or(false)
    }
}
