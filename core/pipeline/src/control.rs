//! What changes a running pipeline: sending accounts come and go, and the operator dismisses conflicts.

use std::time::Instant;

use alloy_primitives::Address;
use set_txmgr::{CallId, TxEvent, TxMgr};
use set_types::BatchId;
use tokio::sync::{mpsc, oneshot};

/// One sending account.
#[derive(Debug)]
pub struct Account {
    /// What signs and sends its transactions.
    pub txmgr: TxMgr,
    /// What that says of them.
    pub events: mpsc::Receiver<TxEvent>,
}

impl Account {
    pub(crate) fn address(&self) -> Address {
        self.txmgr.address()
    }

    /// Transactions that an earlier run left and that are not resolved.
    pub(crate) fn recovered(&self) -> Vec<CallId> {
        let status = self.txmgr.status();
        let ids = status.in_flight.iter().filter_map(|transaction| transaction.id);
        ids.filter(|id| id.is_recovered()).collect()
    }
}

/// Why an account was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// It is one of the pipeline's accounts, and may be one that was retired and is still watched.
    #[error("{0} is a sending account already; one that is being retired is taken back with `resume`")]
    Known(Address),
    /// The pipeline has ended.
    #[error("the pipeline has ended")]
    Ended,
}

/// What the handle asks of the task.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send from this account too.
    Admit(Account, oneshot::Sender<Result<(), AdmitError>>),
    /// Plan nothing for this account any more; answer once nothing of it is in flight.
    Retire(Address, oneshot::Sender<()>),
    /// Plan for a retired account again; answer whether it was still known.
    Resume(Address, oneshot::Sender<bool>),
    /// Raise no alarm about this conflict any more; answer whether there was one.
    Dismiss(BatchId, oneshot::Sender<bool>),
    /// Stop once nothing is on its way, or at this moment; answer whether nothing was left.
    Drain(Instant, oneshot::Sender<bool>),
}

/// Changes a running pipeline. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PipelineControl {
    commands: mpsc::Sender<Command>,
}

impl PipelineControl {
    pub(crate) const fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Sends from one more account from now on. Where an earlier run left transactions of it, planning waits
    /// for them as it does after a start.
    ///
    /// # Errors
    /// [`AdmitError`]; the account's transaction manager ends then.
    pub async fn admit(&self, account: Account) -> Result<(), AdmitError> {
        let (done, answer) = oneshot::channel();
        self.send(Command::Admit(account, done)).await;
        answer.await.unwrap_or(Err(AdmitError::Ended))
    }

    /// Plans nothing for an account any more, and returns once nothing of it is on its way to a block. What it
    /// committed is watched until it is settled; then its transaction manager ends. Returns at once for an
    /// account that is not the pipeline's.
    ///
    /// # Cancellation safety
    /// Dropped before it is ready, the account goes on being retired; asking again waits again.
    pub async fn retire(&self, account: Address) {
        let (done, answer) = oneshot::channel();
        self.send(Command::Retire(account, done)).await;
        // An error says that the pipeline has ended: then nothing of it goes out any more either.
        let _ = answer.await;
    }

    /// Plans again for an account that was retired and is still watched; gives whether it was. One that is
    /// gone is admitted anew.
    pub async fn resume(&self, account: Address) -> bool {
        let (done, answer) = oneshot::channel();
        self.send(Command::Resume(account, done)).await;
        answer.await.unwrap_or(false)
    }

    /// Raises no alarm any more about a report that the source contradicts, in this run and later ones. It is
    /// still never repeated. Gives whether there was such a conflict.
    pub async fn dismiss_conflict(&self, batch_id: BatchId) -> bool {
        let (done, answer) = oneshot::channel();
        self.send(Command::Dismiss(batch_id, done)).await;
        answer.await.unwrap_or(false)
    }

    /// Where the pipeline has ended, the command is dropped, and whoever waits for its answer learns it.
    pub(crate) async fn send(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}
