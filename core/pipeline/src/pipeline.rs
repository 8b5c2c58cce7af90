//! The pipeline as a task: starting it, watching it, stopping it.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use set_chain::ChainView;
use set_host::{PolicyChain, SourceClient, SubmitterClient};
use set_index::{Durable, Index, StoreError};
use set_lease::Leadership;
use set_types::{BatchId, ConfigProblem, PendingCommitment, PendingCursor};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    clock::Now,
    config::PipelineConfig,
    control::{Account, Command, PipelineControl},
    coordinator::Coordinator,
    ledger::{Ledger, Start},
    proofs::Prover,
    status::{PendingFilter, PipelineStatus},
    work::Workshop,
};

/// What the pipeline works with.
pub struct Parts {
    /// Where commitments come from and reports go to.
    pub source: SourceClient,
    /// What decides whether a commitment goes through.
    pub policies: PolicyChain,
    /// What turns commitments into calls.
    pub submitter: SubmitterClient,
    /// What signs and sends them, one for each sending account. More can be admitted later.
    pub accounts: Vec<Account>,
    /// Whether this process may send. While it may not, the pipeline polls, checks and reports.
    pub leadership: Leadership,
    /// The chain's head and tags.
    pub heads: watch::Receiver<Arc<ChainView>>,
    /// Where commitments are anchored.
    pub index: Index,
    /// What outlives a run.
    pub durable: Durable,
    /// Chain id of the L2, for receipts.
    pub chain_id: u64,
}

/// Why a pipeline could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// Values of the configuration that cannot work.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<ConfigProblem>),
    /// The durable store cannot be read.
    #[error("what was quarantined cannot be read: {0}")]
    Store(#[from] StoreError),
}

/// From source to report.
#[derive(Debug)]
pub struct Pipeline;

impl Pipeline {
    /// Starts the pipeline as a task of the current runtime. It needs nobody to be reachable: it waits
    /// for source and chain, and says so.
    ///
    /// # Errors
    /// [`PipelineError`].
    pub async fn start(config: PipelineConfig, parts: Parts) -> Result<PipelineHandle, PipelineError> {
        let problems = config.validate();
        if !problems.is_empty() {
            return Err(PipelineError::Config(problems));
        }
        let start = Start {
            chain_id: parts.chain_id,
            accounts: parts.accounts.iter().map(Account::address).collect(),
            quarantined: parts.durable.quarantined().await?,
            conflicts: parts.durable.conflicts().await?,
            recovered: parts.accounts.iter().flat_map(Account::recovered).collect(),
        };
        let workshop = Workshop {
            source: parts.source,
            policies: parts.policies,
            submitter: parts.submitter,
            accounts: Arc::new(BTreeMap::new()),
            heads: parts.heads.clone(),
            index: parts.index,
            durable: parts.durable,
            prover: Arc::new(Prover::new(config.verify_events_root, config.proof_concurrency)),
        };
        let ledger = Arc::new(RwLock::new(Ledger::new(config, start, Now::read())));
        let view = PipelineView { ledger: ledger.clone() };
        let (commands, receiver) = mpsc::channel(4);
        let (revisions, revision) = watch::channel(0);
        let coordinator = Coordinator::new(
            ledger,
            workshop,
            parts.accounts,
            parts.leadership,
            parts.heads,
            receiver,
            revisions,
        );
        let task = tokio::spawn(coordinator.run());
        Ok(PipelineHandle {
            view,
            control: PipelineControl::new(commands),
            revision,
            task,
        })
    }
}

/// A running pipeline. Dropping it stops the pipeline at once; nothing is lost by that.
#[derive(Debug)]
pub struct PipelineHandle {
    view: PipelineView,
    control: PipelineControl,
    revision: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl PipelineHandle {
    /// What readers ask; outlives the pipeline, and then shows its last state.
    pub fn view(&self) -> PipelineView {
        self.view.clone()
    }

    /// What changes it while it runs: accounts come and go, conflicts are dismissed.
    pub fn control(&self) -> PipelineControl {
        self.control.clone()
    }

    /// Changes whenever something happened: for those who wait for a state.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    /// Stops: no poll and no call begins, reports that are on their way are finished, at most until
    /// `deadline` has passed. Gives whether all were; what is left is found again at the next start.
    pub async fn drain(mut self, deadline: Duration) -> bool {
        let (done, drained) = oneshot::channel();
        let until = Instant::now() + deadline;
        self.control.send(Command::Drain(until, done)).await;
        let clean = drained.await.unwrap_or(false);
        self.stopped().await;
        clean
    }

    /// Ends when the pipeline's task ends, which it does only after [`PipelineHandle::drain`], when the
    /// transaction manager ends, or by a fault of the program.
    pub async fn stopped(&mut self) {
        let _ended = (&mut self.task).await;
    }
}

impl Drop for PipelineHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the pipeline shows. Cheap to clone; each question costs in what is pending, never in what is
/// indexed.
#[derive(Debug, Clone)]
pub struct PipelineView {
    ledger: Arc<RwLock<Ledger>>,
}

impl PipelineView {
    /// Commitments on their way, by stream and sequence, those behind `after` only, at most `limit`.
    pub fn pending(&self, filter: PendingFilter, after: Option<PendingCursor>, limit: usize) -> Vec<PendingCommitment> {
        self.read(|ledger| ledger.pending(filter, after, limit))
    }

    /// One commitment on its way.
    pub fn get(&self, batch_id: BatchId) -> Option<PendingCommitment> {
        self.read(|ledger| ledger.get(batch_id))
    }

    /// The pipeline at a glance.
    pub fn status(&self) -> PipelineStatus {
        self.read(Ledger::status)
    }

    fn read<T>(&self, question: impl FnOnce(&Ledger) -> T) -> T {
        question(&self.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }
}
