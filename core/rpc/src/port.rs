//! What the server asks of the rest of the program.

use alloy::eips::BlockId;
use async_trait::async_trait;
use set_chain::{ChainError, RegistryReader};
use set_index::Anchored;
use set_proof::{Evidence, GameClaim};
use set_types::{
    BatchId, InclusionProof, InclusionProofRequest, PendingCommitment, PendingCursor, RecordedCommitment, Stage,
    StreamHead, StreamId, alloy_primitives::B256,
};

use crate::answer::PluginAnswer;

const LATEST: BlockId = BlockId::latest();

/// Commitments that are on their way.
#[async_trait]
pub trait Pending: Send + Sync + 'static {
    /// Those that match `query`, ordered by stream, then by sequence.
    async fn list(&self, query: PendingQuery) -> Vec<PendingCommitment>;

    /// One of them.
    async fn get(&self, batch_id: BatchId) -> Option<PendingCommitment>;
}

/// Which pending commitments to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingQuery {
    /// Only this stream's.
    pub stream: Option<StreamId>,
    /// Only those at this stage.
    pub stage: Option<Stage>,
    /// Only those behind this place.
    pub after: Option<PendingCursor>,
    /// At most so many.
    pub limit: usize,
}

/// The state of whatever has one to show in `set_status` (pipeline, transaction manager, signers).
pub trait StatusReport: Send + Sync + 'static {
    /// A JSON object with a member for each part. Never holds secrets or endpoints' URLs.
    fn status(&self) -> serde_json::Value;

    /// How each part is, for `/healthz`: the part's name and its condition.
    fn conditions(&self) -> Vec<(&'static str, Condition)>;
}

/// How a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    Well,
    /// It works, and whoever looks should know this of it; shown by `/readyz` too.
    Noted(String),
    /// Something hinders it.
    Hindered(String),
}

/// The plugins.
#[async_trait]
pub trait Plugins: Send + Sync + 'static {
    /// Each plugin as anybody may see it.
    fn list(&self) -> Vec<PluginAnswer>;

    /// Asks the source for a proof.
    async fn inclusion_proof(&self, request: InclusionProofRequest) -> Result<InclusionProof, SourceError>;
}

/// Why the source gave no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No source runs, or it is busy or broken.
    #[error("the source cannot be asked: {0}")]
    Unavailable(String),
    /// It did not answer in time.
    #[error("the source did not answer in time")]
    Timeout,
    /// It has no such proof.
    #[error("the source says: {0}")]
    Refused(String),
}

/// What links commitments to Ethereum.
#[async_trait]
pub trait SettlementProofs: Send + Sync + 'static {
    /// The chain and the registry whose records are proven.
    fn chain(&self) -> set_proof::Chain;

    /// What proves a commitment at a block that a game on L1 claims.
    async fn evidence(&self, anchored: Anchored) -> Result<ClaimedEvidence, NoEvidence>;
}

/// What proves a commitment at a block, and the game that claims that block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvidence {
    /// From the registry's storage to the block's header.
    pub evidence: Evidence,
    /// The game.
    pub game: GameClaim,
}

/// Why a commitment cannot be proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoEvidence {
    /// No game covers its block yet.
    NotClaimed(String),
    /// A game does, but nothing is kept of that block's state, and no node has it.
    Unprovable(String),
    /// Too many proofs are being made.
    Busy(String),
    /// The store of proofs cannot be read; for the log.
    Store(String),
}

/// The registry's own word.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Where a stream stands at the newest block.
    async fn stream_head(&self, stream: StreamId) -> Result<StreamHead, ChainError>;

    /// What is recorded under an id at the newest block.
    async fn record(&self, batch_id: BatchId) -> Result<Option<RecordedCommitment>, ChainError>;

    /// Whether the contract accepts a proof at the newest block.
    async fn verify_inclusion(
        &self,
        batch_id: BatchId,
        leaf: B256,
        path: Vec<B256>,
        index: u64,
    ) -> Result<bool, ChainError>;
}

#[async_trait]
impl Registry for RegistryReader {
    async fn stream_head(&self, stream: StreamId) -> Result<StreamHead, ChainError> {
        let heads = self.heads(&[stream], LATEST).await?;
        Ok(heads.into_iter().next().unwrap_or_else(|| StreamHead::unopened(stream)))
    }

    async fn record(&self, batch_id: BatchId) -> Result<Option<RecordedCommitment>, ChainError> {
        RegistryReader::record(self, batch_id, LATEST).await
    }

    async fn verify_inclusion(
        &self,
        batch_id: BatchId,
        leaf: B256,
        path: Vec<B256>,
        index: u64,
    ) -> Result<bool, ChainError> {
        RegistryReader::verify_inclusion(self, batch_id, leaf, path, index, LATEST).await
    }
}
