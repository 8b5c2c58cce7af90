//! Proofs that outlive the node's state.
//!
//! A commitment is proven to Ethereum at a block that a dispute game claims, and nodes keep the state of old blocks
//! for minutes only. So as soon as a game claims a block, the evidence of every commitment up to it is asked of the
//! node, checked, and kept: the header, the registry's account, the slots of each record, and the data contracts with
//! their code. Records are never erased, so a game covers every commitment before it, and each is taken for once: with
//! the first game that covers it while a node can prove. Where none can, the next game is waited for. Where a game
//! falls (lost by its defender, blacklisted, retired, reorged away), what was taken for it is taken again for another.
//!
//! # What is kept, and what it costs
//! A file of its own, `proofs.redb`: it is large, is written in bulk, and may be thrown away without the rest of what is
//! known of settlement. Everything in it stands under its hash: a trie node, a contract's code or a header is there
//! once, whatever refers to it, and reading it checks it. A proof's path is not written down but walked, from the
//! block's hash. Beside the parts there is one row a block and one a stretch of the chain; nothing a commitment.
//!
//! In a registry with *n* slots of which a game newly covers *c* commitments, a slot's path has about log16(*n*) nodes
//! of at most 532 bytes, of which the upper log16(*c*) are shared; a part costs 80 bytes beside its own. A commitment in
//! code has two slots with paths of their own, and a share of one contract's account and code (some 100 bytes). With a
//! million slots it takes 3.3 kB at 100 commitments a game, 2.3 kB at 1,000 and 1.4 kB at 10,000; with a thousand slots,
//! 0.6 kB. One in slots has four slots, and takes twice as much. `settlement.max_proof_bytes`
//! bounds the whole: where it is reached, what was taken for the oldest game goes first, and a proof of those
//! commitments needs a node that keeps old states.

mod evidence;
mod keeper;
mod kept;
mod metrics;
mod prover;
mod trie;

use std::{collections::BTreeMap, future::Future, path::Path, sync::Arc};

use alloy::eips::BlockNumHash;
use alloy_primitives::{Address, B256, Keccak256};
use serde::Serialize;
use set_chain::ChainView;
use set_index::{Anchored, Index, StoreError};
use set_proof::{Evidence, GameClaim};
use set_types::BatchId;
use tokio::sync::{Semaphore, watch};

use self::{
    evidence::State,
    keeper::Keeper,
    kept::{Kept, Whereabouts},
    trie::{Parts, WalkError},
};
pub use self::{
    metrics::describe_metrics,
    prover::{Failure, ProveError, Prover, STATE_SETTING},
};

/// Proofs that callers have made from a node at a time; more are refused as busy.
const LIVE: usize = 4;

/// What capturing may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureSettings {
    /// Chain id of the L2.
    pub chain_id: u64,
    /// The registry's proxy.
    pub registry: Address,
    /// Bytes that the kept parts may have, with what their rows cost. The file takes up to three times as much: pages
    /// that are partly filled, or free for what comes next.
    pub max_bytes: u64,
}

/// The games whose claims stand, by the L2 block that they claim: on L1's side nothing speaks against them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims(Arc<BTreeMap<u64, Vec<GameClaim>>>);

impl Claims {
    /// Several games that claim one block are tried in the order given.
    pub fn new(games: impl IntoIterator<Item = GameClaim>) -> Self {
        let mut blocks = BTreeMap::<_, Vec<_>>::new();
        for game in games {
            blocks.entry(game.l2_block).or_default().push(game);
        }
        Self(Arc::new(blocks))
    }

    /// The game with the highest block.
    fn newest(&self) -> Option<GameClaim> {
        self.0.last_key_value().and_then(|(_, games)| games.first().copied())
    }

    /// The game that claims this output root for this block.
    fn of(&self, block: u64, output_root: B256) -> Option<GameClaim> {
        let games = self.0.get(&block)?;
        games.iter().find(|game| game.root_claim == output_root).copied()
    }

    /// The first games that cover `block`, and the newest one: what a node may still be able to prove.
    fn covering(&self, block: u64) -> impl Iterator<Item = GameClaim> {
        let first = self
            .0
            .range(block..)
            .next()
            .and_then(|(_, games)| games.first().copied());
        let newest = self
            .newest()
            .filter(|game| game.l2_block >= block && Some(*game) != first);
        first.into_iter().chain(newest)
    }
}

/// How capturing is; for `set_status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaptureStatus {
    /// Commitments whose evidence is kept.
    pub commitments: u64,
    /// Bytes of the kept parts.
    pub bytes: u64,
    /// Every commitment up to this block has been taken for, at a block that a standing game claims.
    pub through_block: Option<u64>,
    /// The highest block that a standing game claims.
    pub claimed_block: Option<u64>,
    /// What is waited for.
    pub waiting: Option<String>,
    /// What hinders it, and what to do.
    pub error: Option<String>,
    /// Where the parts are kept.
    pub storage: String,
}

/// What proves a commitment at a block, and the game that claims that block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// From the registry's storage to the block's header.
    pub evidence: Evidence,
    /// The game.
    pub game: GameClaim,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// No standing game covers the commitment's block.
    #[error("no standing game claims block {block} or a later one{}", newest.map_or_else(String::new, |newest| format!("; the highest block claimed is {newest}")))]
    NotClaimed {
        /// The commitment's block.
        block: u64,
        /// The highest block that is claimed.
        newest: Option<u64>,
    },
    /// Nothing is kept, and no node can prove it. The message is for callers and names no node.
    #[error("{missing}, and no node can prove it now: {}", error.summary())]
    Unprovable {
        /// Why nothing is kept.
        missing: &'static str,
        /// What each node says.
        #[source]
        error: ProveError,
    },
    /// The claimed block does not hold the commitment.
    #[error("block {0} does not hold the commitment: a reorg is being followed")]
    NotHeld(u64),
    /// Too many proofs are being made from the node.
    #[error("too many proofs are being made from the node")]
    Busy,
    /// The kept parts cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the kept parts prove nothing.
enum Missing {
    /// In words.
    Because(&'static str),
    /// They cannot be read.
    Unreadable(StoreError),
}

impl From<StoreError> for Missing {
    fn from(error: StoreError) -> Self {
        Self::Unreadable(error)
    }
}

/// Kept proofs, and the task that takes them. Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub struct Captures {
    kept: Kept,
    prover: Arc<Prover>,
    settings: CaptureSettings,
    claims: watch::Receiver<Claims>,
    status: watch::Sender<CaptureStatus>,
    live: Arc<Semaphore>,
}

impl Captures {
    /// Opens the file at `path`, or a store in memory. A damaged file is put aside, and filled anew with later games.
    ///
    /// # Errors
    /// [`StoreError`] where the file is another process's, of a newer version, or its directory is not there.
    pub async fn open(
        path: Option<&Path>,
        settings: CaptureSettings,
        prover: Prover,
        claims: watch::Receiver<Claims>,
    ) -> Result<Self, StoreError> {
        let mut scope = Keccak256::new();
        scope.update(settings.chain_id.to_be_bytes());
        scope.update(settings.registry);
        let kept = Kept::open(path, scope.finalize()).await?;
        let status = CaptureStatus {
            storage: kept.opening().to_string(),
            ..CaptureStatus::default()
        };
        Ok(Self {
            kept,
            prover: Arc::new(prover),
            settings,
            claims,
            status: watch::Sender::new(status),
            live: Arc::new(Semaphore::new(LIVE)),
        })
    }

    /// Takes what each game covers, until `stopped`. What is killed meanwhile goes on with the next start.
    pub async fn run(self, index: Index, heads: watch::Receiver<Arc<ChainView>>, stopped: impl Future<Output = ()>) {
        let keeper = Keeper {
            kept: self.kept,
            prover: self.prover,
            index,
            heads,
            claims: self.claims,
            status: self.status,
            max_bytes: self.settings.max_bytes,
        };
        keeper.run(stopped).await;
    }

    /// How capturing is.
    pub fn status(&self) -> watch::Receiver<CaptureStatus> {
        self.status.subscribe()
    }

    /// What proves a commitment from the registry to a game: from what is kept, or from a node that can still prove it.
    ///
    /// # Errors
    /// [`NoProof`] says what is missing.
    pub async fn evidence(&self, anchored: &Anchored) -> Result<Claimed, NoProof> {
        let claims = self.claims.borrow().clone();
        let missing = match self.kept_proof(anchored, &claims).await {
            Ok(claimed) => return Ok(claimed),
            Err(Missing::Because(why)) => why,
            Err(Missing::Unreadable(error)) if error.is_damage() => {
                tracing::error!(%error, "the store of proofs is damaged");
                self.kept.mend().await?;
                "the store of proofs was damaged and is filled anew"
            }
            Err(Missing::Unreadable(error)) => return Err(error.into()),
        };
        self.live_proof(anchored, &claims, missing).await
    }

    /// The proof from what is kept, or why it is not.
    async fn kept_proof(&self, anchored: &Anchored, claims: &Claims) -> Result<Claimed, Missing> {
        let (block, output_root) = match self.kept.whereabouts(anchored.chain_position()).await? {
            Whereabouts::Kept { block, output_root } => (block, output_root),
            Whereabouts::ThrownAway => {
                let why = "what was kept gave way to newer proofs (`settlement.max_proof_bytes`)";
                return Err(Missing::Because(why));
            }
            Whereabouts::Nowhere => return Err(Missing::Because("nothing of it has been kept yet")),
        };
        let Some(game) = claims.of(block.number, output_root) else {
            let why = "the game that it was proven with has fallen, and it has not been taken for again yet";
            return Err(Missing::Because(why));
        };
        let (registry, batch_id) = (self.settings.registry, anchored.batch_id);
        let found = self
            .kept
            .with_parts(move |parts| find(parts, block, registry, batch_id))
            .await?;
        match found {
            Ok(Some(evidence)) => Ok(Claimed { evidence, game }),
            Ok(None) => Err(Missing::Because("it was not on chain at the block that was proven")),
            // What was never taken is not damage: the index learned of the commitment later.
            Err(error) => {
                tracing::warn!(%batch_id, block = block.number, %error, "a commitment's evidence is not complete");
                Err(Missing::Because(
                    "it was not known when its stretch of the chain was taken for",
                ))
            }
        }
    }

    async fn live_proof(
        &self,
        anchored: &Anchored,
        claims: &Claims,
        missing: &'static str,
    ) -> Result<Claimed, NoProof> {
        let _turn = self.live.try_acquire().map_err(|_| NoProof::Busy)?;
        let mut last = NoProof::NotClaimed {
            block: anchored.block.number,
            newest: claims.newest().map(|game| game.l2_block),
        };
        for game in claims.covering(anchored.block.number) {
            match self.prove_at(game, anchored.batch_id).await {
                Ok(Some(evidence)) => return Ok(Claimed { evidence, game }),
                Ok(None) => last = NoProof::NotHeld(game.l2_block),
                Err(error) => last = NoProof::Unprovable { missing, error },
            }
        }
        Err(last)
    }

    /// The evidence at a game's block, from a node.
    async fn prove_at(&self, game: GameClaim, batch_id: BatchId) -> Result<Option<Evidence>, ProveError> {
        let block = self.prover.claimed_block(game.l2_block, game.root_claim).await?;
        let fetched = self.prover.fetch(block, &[batch_id]).await?;
        // The node's answer was walked before it was handed over: nothing is missing in it.
        Ok(find(&fetched.parts, block, self.settings.registry, batch_id)
            .ok()
            .flatten())
    }
}

/// Finds a commitment's evidence; `None` where it is proven that the registry does not hold it.
fn find(
    parts: &impl Parts,
    block: BlockNumHash,
    registry: Address,
    batch_id: BatchId,
) -> Result<Option<Evidence>, WalkError> {
    let state = State::open(parts, block.hash, registry)?;
    evidence::find(parts, &state, batch_id)
}
