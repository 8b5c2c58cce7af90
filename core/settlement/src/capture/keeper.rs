//! Takes evidence while the node still has it: as soon as a game claims a block, for every commitment up to it.

use std::{future::Future, sync::Arc, time::Duration};

use alloy::eips::BlockNumHash;
use alloy_primitives::B256;
use metrics::{counter, gauge};
use set_chain::ChainView;
use set_index::{Anchored, ChainPosition, Index, StoreError};
use set_proof::GameClaim;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{error, info, warn};

use super::{
    CaptureStatus, Claims,
    kept::{Inventory, Kept, Take},
    prover::{Fetched, ProveError, Prover},
};

/// Commitments that are asked for at once, at most. Each has four slots: together they stay below the 1,024 that geth
/// proves in one call, and give a few megabytes of answer.
const MOST: usize = 200;
/// The first and the longest pause after something failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A state that is gone does not come back, but another node may be named.
const PRUNED_PAUSE: Duration = Duration::from_secs(600);

/// What the task works with.
pub(super) struct Keeper {
    pub(super) kept: Kept,
    pub(super) prover: Arc<Prover>,
    pub(super) index: Index,
    pub(super) heads: watch::Receiver<Arc<ChainView>>,
    pub(super) claims: watch::Receiver<Claims>,
    pub(super) status: watch::Sender<CaptureStatus>,
    pub(super) max_bytes: u64,
}

/// Why a round ended before its end.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error(transparent)]
    Prove(#[from] ProveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is needed is known in a moment.
    #[error("{0}")]
    NotYet(&'static str),
    #[error(
        "the evidence of the commitments up to block {block} alone takes more than `settlement.max_proof_bytes` = {limit} \
         bytes: raise it"
    )]
    NoRoom { block: u64, limit: u64 },
}

impl Keeper {
    /// Takes what there is to take, until `stopped`.
    pub(super) async fn run(self, stopped: impl Future<Output = ()>) {
        let work = async { tokio::join!(self.probe(), self.keep()) };
        tokio::select! {
            () = stopped => {}
            _ = work => {}
        }
    }

    async fn keep(&self) {
        let mut claims = self.claims.clone();
        let mut pause = FIRST_PAUSE;
        loop {
            claims.mark_unchanged();
            let halt = self.round().await.err();
            self.show(halt.as_ref()).await;
            pause = match &halt {
                None | Some(Halt::NotYet(_)) => FIRST_PAUSE,
                Some(Halt::Prove(error)) if error.is_lasting() => PRUNED_PAUSE,
                Some(_) => (pause * 2).min(LONGEST_PAUSE),
            };
            if let Err(error) = self.kept.mend().await {
                error!(%error, "the store of proofs is damaged and cannot be replaced");
            }
            let mut synced = self.index.synced();
            tokio::select! {
                changed = claims.changed() => if changed.is_err() {
                    // Nobody tells of games any more: the program stops.
                    return;
                },
                () = self.kept.mended() => {}
                _ = synced.changed(), if matches!(halt, Some(Halt::NotYet(_))) => {}
                () = sleep(pause), if halt.is_some() => {}
            }
        }
    }

    /// Tries once whether a node can prove where games claim, which is about the finalized block.
    async fn probe(&self) {
        let mut heads = self.heads.clone();
        let known = heads.wait_for(|view| view.finalized.is_some()).await;
        let Some(block) = known.ok().and_then(|view| view.finalized) else {
            return;
        };
        let block = BlockNumHash {
            number: block.number,
            hash: block.hash,
        };
        match self.prover.probe(block).await {
            Ok(()) => info!(block = block.number, "the node can prove at the finalized block"),
            Err(error) => {
                self.fail(error.label(), error.advised());
            }
        }
    }

    /// Takes what the newest game covers and no game that stands has been taken for.
    async fn round(&self) -> Result<(), Halt> {
        let claims = self.claims.borrow().clone();
        let Some(newest) = claims.newest() else { return Ok(()) };
        let end = ChainPosition {
            block: newest.l2_block,
            log_index: u64::MAX,
        };
        let mut after = ChainPosition { block: 0, log_index: 0 };
        let mut size = MOST;
        let (mut block, mut taken) = (None, 0);
        while let Some(gap) = next_gap(&self.kept.inventory().await?, &claims, after, end) {
            let block = match block {
                Some(block) => block,
                None => *block.insert(self.claimed_block(newest).await?),
            };
            let (to, commitments) = self.take(block, newest.root_claim, gap, &mut size).await?;
            after = to;
            taken += commitments;
        }
        if taken > 0 {
            info!(block = newest.l2_block, game = %newest.game, commitments = taken, "settlement proofs are kept");
        }
        Ok(())
    }

    /// The block that a game claims, as a node has it.
    async fn claimed_block(&self, game: GameClaim) -> Result<BlockNumHash, Halt> {
        // What proved last may be the second choice.
        self.prover.prefer_first();
        let block = self.prover.claimed_block(game.l2_block, game.root_claim).await;
        block.map_err(|error| {
            if error.is_unknown() {
                Halt::NotYet("the node does not have the claimed block yet")
            } else {
                self.counted(error)
            }
        })
    }

    fn counted(&self, error: ProveError) -> Halt {
        counter!("set_proofs_failures_total", "cause" => error.label()).increment(1);
        error.into()
    }

    /// Takes the first commitments of a gap; gives the place up to which it is closed, and how many they were.
    async fn take(
        &self,
        block: BlockNumHash,
        output_root: B256,
        gap: Gap,
        size: &mut usize,
    ) -> Result<(ChainPosition, usize), Halt> {
        loop {
            self.make_room(block).await?;
            let commitments = self.next(block, gap, *size).await?;
            let batches: Vec<_> = commitments.iter().map(|anchored| anchored.batch_id).collect();
            let begun = Instant::now();
            let fetched = match batches.is_empty() {
                true => Ok(Fetched::default()),
                false => self.prover.fetch(block, &batches).await,
            };
            let parts = match fetched {
                // Whatever it is: fewer at once may do.
                Err(error) if batches.len() > 1 && !error.is_pruned() => {
                    warn!(%error, commitments = batches.len(), "asking for fewer proofs at once");
                    *size = batches.len() / 2;
                    continue;
                }
                Err(error) => return Err(self.counted(error)),
                Ok(fetched) if !fetched.absent.is_empty() => return Err(Halt::NotYet("a reorg is being followed")),
                Ok(fetched) => fetched.parts,
            };
            // Fewer than asked for are the last ones.
            let to = match commitments.last() {
                Some(last) if batches.len() == *size => last.chain_position(),
                _ => gap.to,
            };
            let take = Take {
                block,
                output_root,
                after: gap.after,
                to,
                commitments: batches.len() as u64,
                parts,
            };
            self.kept.take(take).await?;
            counter!("set_proofs_captured_total").increment(batches.len() as u64);
            tracing::debug!(block = block.number, commitments = batches.len(), took = ?begun.elapsed(), "evidence taken");
            self.make_room(block).await?;
            return Ok((to, batches.len()));
        }
    }

    /// Lets what is oldest go where all together is too much.
    async fn make_room(&self, block: BlockNumHash) -> Result<(), Halt> {
        if self.kept.make_room(self.max_bytes, block.number).await? {
            return Ok(());
        }
        Err(Halt::NoRoom {
            block: block.number,
            limit: self.max_bytes,
        })
    }

    /// The first commitments of a gap, in the chain's order, from an index that is of the same chain as the block.
    async fn next(&self, block: BlockNumHash, gap: Gap, size: usize) -> Result<Vec<Anchored>, Halt> {
        let view = self.heads.borrow().clone();
        if view.latest.is_none_or(|head| head.block.number < block.number) {
            return Err(Halt::NotYet("the node's head is below the claimed block"));
        }
        if !self.index.synced().borrow().covers(block.number) {
            return Err(Halt::NotYet(
                "the index has not followed the chain to the claimed block",
            ));
        }
        let mut commitments = self.index.in_chain_order(Some(gap.after), size).await?;
        commitments.retain(|anchored| anchored.chain_position() <= gap.to);
        if commitments.iter().any(|anchored| anchored.settlement(&view).is_none()) {
            return Err(Halt::NotYet("a reorg is being followed"));
        }
        Ok(commitments)
    }

    /// Tells how it is.
    async fn show(&self, halt: Option<&Halt>) {
        let inventory = match self.kept.inventory().await {
            Ok(inventory) => inventory,
            Err(error) => return self.fail("store", error.to_string()),
        };
        let claims = self.claims.borrow().clone();
        let newest = claims.newest().map(|game| game.l2_block);
        let through = through(&inventory, &claims);
        let lag = newest.map_or(0, |newest| newest.saturating_sub(through));
        gauge!("set_proofs_bytes").set(inventory.bytes as f64);
        gauge!("set_proofs_lag_blocks").set(lag as f64);
        match halt {
            Some(halt @ (Halt::Prove(_) | Halt::Store(_) | Halt::NoRoom { .. })) => {
                let cause = match halt {
                    Halt::Prove(error) => error.label(),
                    Halt::NoRoom { .. } => "no_room",
                    _ => "store",
                };
                let message = match halt {
                    Halt::Prove(error) => error.advised(),
                    halt => halt.to_string(),
                };
                self.fail(cause, message);
            }
            Some(Halt::NotYet(_)) => {}
            // A probe's complaint stands until something was proven.
            None if newest.is_some() && lag == 0 => self.well(),
            None => {}
        }
        self.status.send_modify(|status| {
            status.commitments = inventory.blocks.values().map(|block| block.commitments).sum();
            status.bytes = inventory.bytes;
            status.through_block = (through > 0).then_some(through);
            status.claimed_block = newest;
            status.waiting = match halt {
                Some(Halt::NotYet(why)) => Some((*why).to_owned()),
                _ => None,
            };
            status.storage = self.kept.opening().to_string();
        });
    }

    fn fail(&self, cause: &'static str, message: String) {
        gauge!("set_proofs_failing").set(1.0);
        self.status.send_if_modified(|status| {
            if status.error.as_ref() == Some(&message) {
                return false;
            }
            error!(cause, message, "settlement proofs cannot be kept");
            status.error = Some(message);
            true
        });
    }

    fn well(&self) {
        gauge!("set_proofs_failing").set(0.0);
        self.status.send_if_modified(|status| {
            let failed = status.error.take().is_some();
            if failed {
                info!("settlement proofs are kept again");
            }
            failed
        });
    }
}

/// A part of the chain whose commitments have no evidence at a block that a standing game claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    after: ChainPosition,
    to: ChainPosition,
}

/// The first gap behind `after`, up to `end`.
fn next_gap(inventory: &Inventory, claims: &Claims, after: ChainPosition, end: ChainPosition) -> Option<Gap> {
    let mut at = after;
    for stretch in &inventory.stretches {
        let stands = match stretch.at {
            // What was thrown away is not taken again.
            None => true,
            Some(number) => inventory
                .blocks
                .get(&number)
                .is_some_and(|block| claims.of(number, block.output_root).is_some()),
        };
        if !stands || stretch.to <= at {
            continue;
        }
        if stretch.after > at {
            let to = stretch.after.min(end);
            return (at < to).then_some(Gap { after: at, to });
        }
        at = stretch.to;
    }
    (at < end).then_some(Gap { after: at, to: end })
}

/// The last block up to which every commitment is taken for.
fn through(inventory: &Inventory, claims: &Claims) -> u64 {
    let nothing = ChainPosition { block: 0, log_index: 0 };
    let everything = ChainPosition {
        block: u64::MAX,
        log_index: u64::MAX,
    };
    let gap = next_gap(inventory, claims, nothing, everything);
    gap.map_or(u64::MAX, |gap| match gap.after.log_index {
        u64::MAX => gap.after.block,
        // The block's other commitments are yet to be taken for.
        _ => gap.after.block.saturating_sub(1),
    })
}
