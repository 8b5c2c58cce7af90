//! Following DisputeGameFactory: new games, whether their claims are our own node's, and what becomes of them.
//!
//! Each look reads L1 at one block, named by its hash. Games are read by index, in the order in which they were made.
//! Where L1's block of the look before is gone, everything after L1's finalized block is read again.

use std::{sync::Arc, time::Duration};

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    providers::Provider,
    rpc::{client::BatchRequest, types::Block},
    transports::TransportError,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U64};
use op_alloy::network::Optimism;
use serde::{Deserialize, Serialize};
use set_chain::{BlockRef, ChainView, L2Provider, transport_cause};
use set_index::StoreError;
use set_proof::OutputRoot;
use tokio::sync::watch;

use crate::{
    claim::{Claim, ClaimStatus, PassedOver},
    game_book::{Followed, GameBook, Listed, ReadTo, Verdict},
    l1::{Contracts, Game, L1Error, L1Provider, RootClaim},
    store::SettlementStore,
};

/// Games read in one look.
const PAGE: u64 = 64;
/// Claims held against our own blocks in one look.
const JUDGED: usize = 64;
/// Games that L1 is asked about in one look: new ones, and in turn open ones and settled ones. Each is some eight calls,
/// which providers count; a game is open for days.
const NEW: usize = 32;
const OPEN: usize = 6;
const SETTLED: usize = 1;
/// L1 blocks that a node may be behind what was seen before.
const TOLERATED: u64 = 3;
/// L1 blocks after which it is written down that nothing happened.
const NOTED_EVERY: u64 = 64;

/// Where L1 is, and the chain's portal on it.
#[derive(Debug, Clone)]
pub struct L1Access {
    /// A node.
    pub provider: L1Provider,
    /// Chain id that the node must serve.
    pub chain_id: u64,
    /// OptimismPortal2's proxy.
    pub portal: Address,
    /// Time between two looks.
    pub poll: Duration,
}

/// L1 as it was looked at last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GamesView {
    /// L1's newest block.
    pub head: Option<BlockRef>,
    /// L1's newest finalized block.
    pub finalized: Option<BlockRef>,
    /// Games in the factory's list.
    pub games: u64,
    /// Games of that list that were read.
    pub read: u64,
    /// Claims that count: of our own node's blocks, and not fallen.
    pub claims: usize,
    /// The newest games that count for nothing, and why.
    pub passed_over: Vec<PassedOver>,
    /// Why L1 cannot be followed for now.
    pub error: Option<String>,
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GameError {
    #[error(transparent)]
    L1(#[from] L1Error),
    #[error("the L1 node serves chain {found}, `l1.chain_id` is {expected}: correct `l1.rpc_url` or `l1.chain_id`")]
    OtherChain { found: u64, expected: u64 },
    #[error("the L1 node is behind: it does not have block {0}, which was there before")]
    Behind(u64),
    #[error("the node's own blocks cannot be read: {}", transport_cause(.0))]
    L2(TransportError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// L1 at one moment.
struct Look {
    latest: BlockRef,
    finalized: Option<BlockRef>,
    /// What is now at the height of the look before.
    then: Option<BlockRef>,
}

/// Follows the games.
pub(crate) struct Games {
    pub(crate) l1: L1Access,
    pub(crate) l2: L2Provider,
    pub(crate) heads: watch::Receiver<Arc<ChainView>>,
    pub(crate) store: SettlementStore,
    /// Games that claim earlier blocks are of no interest.
    pub(crate) first_block: u64,
    pub(crate) claims: watch::Sender<Arc<Vec<Claim>>>,
    pub(crate) view: watch::Sender<GamesView>,
}

impl Games {
    /// Looks again and again, until dropped. What fails is tried again at the next look.
    pub(crate) async fn run(self, mut book: Option<GameBook>) {
        loop {
            let more = match self.step(&mut book).await {
                Ok(more) => {
                    self.tell(None);
                    more
                }
                Err(error) => {
                    if let GameError::Store(error) = &error
                        && error.is_damage()
                    {
                        book = None;
                        if let Err(error) = self.store.mend().await {
                            tracing::warn!(%error, "the store of settlement cannot be mended");
                        }
                    }
                    self.tell(Some(error.to_string()));
                    false
                }
            };
            // Catching up leaves the nodes room for others.
            let pause = if more {
                self.l1.poll.min(Duration::from_millis(100))
            } else {
                self.l1.poll
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Says what hinders, once.
    fn tell(&self, error: Option<String>) {
        self.view.send_if_modified(|view| {
            let changed = view.error != error;
            match &error {
                Some(error) if changed => tracing::warn!(%error, "l1 is not followed"),
                None if changed => tracing::info!("l1 is followed"),
                _ => {}
            }
            view.error = error;
            changed
        });
    }

    async fn step(&self, book: &mut Option<GameBook>) -> Result<bool, GameError> {
        let book = match book {
            Some(book) => book,
            None => book.insert(self.read_book().await?),
        };
        self.look(book).await
    }

    /// What is written down; its claims count until L1 says otherwise.
    pub(crate) async fn read_book(&self) -> Result<GameBook, GameError> {
        let damaged = |error: serde_json::Error| StoreError::Damaged(format!("a row of games cannot be read: {error}"));
        let (read, rows) = self.store.games().await?;
        let read = read
            .map(|read| serde_json::from_slice(&read))
            .transpose()
            .map_err(damaged)?;
        let rows = rows.iter().map(|(_, row)| serde_json::from_slice::<Followed>(row));
        let games = rows.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        let book = GameBook::new(read, games);
        self.claims.send_replace(Arc::new(book.claims()));
        Ok(book)
    }

    /// One look; says whether there is more to read at once.
    async fn look(&self, book: &mut GameBook) -> Result<bool, GameError> {
        let before = book.read_to();
        let look = self.l1_blocks(before.map(|read| read.at.number)).await?;
        if let Some(before) = before.filter(|before| look.latest.number < before.at.number) {
            // Of several nodes behind one URL, one is often a block or two late; L1 itself is never shorter for long.
            return match before.at.number - look.latest.number {
                ..=TOLERATED => Ok(false),
                _ => Err(GameError::Behind(before.at.number)),
            };
        }
        let at = BlockId::hash(look.latest.hash);
        let contracts = Contracts::of(&self.l1.provider, self.l1.portal, at).await?;
        let mut next = before.map_or(0, |read| read.next);
        if let Some(before) = before {
            let kept = self.still_true(&contracts, &before, &look).await?;
            if kept < next {
                tracing::info!(from = kept, "l1 was reorganised: games are read again");
                book.take_back(kept);
                next = kept;
            }
        }
        let count = contracts.game_count(&self.l1.provider, at).await?;
        if count < next {
            book.take_back(count);
            next = count;
        }
        let end = count.min(next + PAGE);
        // Years of games are no news.
        let catching_up = end < count;
        for game in contracts.games(&self.l1.provider, next..end, at).await? {
            self.enter(book, &game, catching_up);
        }
        let read = ReadTo {
            factory: contracts.factory,
            next: end,
            at: look.latest,
        };
        book.set_read(read);
        // What L1 says is read though the L2's node may be away.
        let judged = self.judge(book).await;
        self.ask_standings(book, &contracts, at, catching_up).await?;
        self.save(book, before).await?;
        let more = catching_up || book.has_unasked();
        self.publish(book, &look, count, more);
        judged?;
        Ok(more)
    }

    /// L1's blocks in one round trip.
    async fn l1_blocks(&self, then: Option<u64>) -> Result<Look, GameError> {
        let node = |error: TransportError| GameError::L1(error.into());
        let mut batch = BatchRequest::new(self.l1.provider.client());
        let chain_id = batch.add_call::<_, U64>("eth_chainId", &()).map_err(node)?;
        let mut ask = |tag: BlockNumberOrTag| {
            batch
                .add_call::<_, Option<Block>>("eth_getBlockByNumber", &(tag, false))
                .map_err(node)
        };
        let latest = ask(BlockNumberOrTag::Latest)?;
        let finalized = ask(BlockNumberOrTag::Finalized)?;
        let same = then.map(|number| ask(BlockNumberOrTag::Number(number))).transpose()?;
        batch.send().await.map_err(node)?;
        let found = chain_id.await.map_err(node)?.to::<u64>();
        let expected = self.l1.chain_id;
        if found != expected {
            return Err(GameError::OtherChain { found, expected });
        }
        let reference = |block: &Block| BlockRef {
            number: block.header.number,
            hash: block.header.hash,
            timestamp: block.header.timestamp,
        };
        let no_block = || L1Error::NoBlock(BlockNumberOrTag::Latest.into());
        let latest = latest
            .await
            .map_err(node)?
            .as_ref()
            .map(reference)
            .ok_or_else(no_block)?;
        // A node that knows of no finality yet answers null, or an error of its own.
        let finalized = finalized.await.ok().flatten().as_ref().map(reference);
        let then = match same {
            Some(same) => same.await.map_err(node)?.as_ref().map(reference),
            None => None,
        };
        Ok(Look {
            latest,
            finalized,
            then,
        })
    }

    /// How many of the games that were read are still those.
    async fn still_true(&self, contracts: &Contracts, before: &ReadTo, look: &Look) -> Result<u64, GameError> {
        if contracts.factory != before.factory {
            return Ok(0);
        }
        if look.then.is_some_and(|then| then.hash == before.at.hash) {
            return Ok(before.next);
        }
        match look.finalized {
            // What is final stays.
            Some(finalized) => {
                let at = BlockId::hash(finalized.hash);
                let final_games = contracts.game_count(&self.l1.provider, at).await?;
                Ok(final_games.min(before.next))
            }
            None => Ok(0),
        }
    }

    /// Takes a game that was read.
    fn enter(&self, book: &mut GameBook, game: &Game, catching_up: bool) {
        let reason = match (game.claim(), game.game_type.root_claim()) {
            (Some(claim), _) if claim.l2_block < self.first_block => return,
            (Some(claim), _) => {
                return book.follow(Listed {
                    claim,
                    created_at: game.created_at,
                });
            }
            (None, Some(RootClaim::SuperRoot)) => "it claims a root over several chains, and no output root".to_owned(),
            (None, Some(RootClaim::OutputRoot)) => "it does not say what it claims".to_owned(),
            (None, None) => "what games of this type claim is not known".to_owned(),
        };
        let reason = format!("{}: {reason}", game.game_type);
        if !catching_up {
            tracing::info!(game = %game.game, index = game.index, reason, "a dispute game is passed over");
        }
        book.pass_over(PassedOver {
            game: game.game,
            index: game.index,
            game_type: game.game_type.0,
            reason,
        });
    }

    /// Holds claims against our own node's blocks.
    async fn judge(&self, book: &mut GameBook) -> Result<(), GameError> {
        let view = Arc::clone(&self.heads.borrow());
        let Some(head) = view.latest.filter(|_| view.reachable) else {
            return Ok(());
        };
        let open = book.unjudged(head.block.number, JUDGED);
        if open.is_empty() {
            return Ok(());
        }
        let numbers: Vec<_> = open.iter().map(|listed| listed.claim.l2_block).collect();
        let blocks = self.output_roots(&numbers).await?;
        for (listed, block) in open.into_iter().zip(blocks) {
            let verdict = match block {
                None => Verdict::Ahead,
                Some((block, root)) if root == Some(listed.claim.root_claim) => Verdict::Ours(block),
                Some((_, root)) => Verdict::Other(root.unwrap_or_default()),
            };
            let is_final = view
                .finalized
                .is_some_and(|finalized| listed.claim.l2_block <= finalized.number);
            if let Some(refused) = book.judge(listed.claim.index, verdict, is_final) {
                self.refuse(book, &refused, verdict);
            }
        }
        Ok(())
    }

    /// A claim that is not our node's.
    fn refuse(&self, book: &mut GameBook, listed: &Listed, verdict: Verdict) {
        let claim = listed.claim;
        let ours = match verdict {
            Verdict::Other(root) if !root.is_zero() => format!("the node's own is {root}"),
            _ => "the node's header tells none".to_owned(),
        };
        let reason = format!(
            "it claims the output root {} for L2 block {}; {ours}",
            claim.root_claim, claim.l2_block
        );
        tracing::warn!(game = %claim.game, index = claim.index, reason, "a dispute game claims what this node contradicts");
        metrics::counter!("set_settlement_false_claims_total").increment(1);
        book.pass_over(PassedOver {
            game: claim.game,
            index: claim.index,
            game_type: claim.game_type,
            reason,
        });
    }

    /// Our node's blocks at these heights, with their output roots, in one round trip.
    async fn output_roots(&self, numbers: &[u64]) -> Result<Vec<Option<(BlockRef, Option<B256>)>>, GameError> {
        type L2Block = <Optimism as alloy::network::Network>::BlockResponse;
        let mut batch = BatchRequest::new(self.l2.client());
        let mut waiting = Vec::with_capacity(numbers.len());
        for number in numbers {
            let params = (BlockNumberOrTag::Number(*number), false);
            let asked = batch.add_call::<_, Option<L2Block>>("eth_getBlockByNumber", &params);
            waiting.push(asked.map_err(GameError::L2)?);
        }
        batch.send().await.map_err(GameError::L2)?;
        let mut blocks = Vec::with_capacity(waiting.len());
        for block in waiting {
            blocks.push(block.await.map_err(GameError::L2)?.map(|block| {
                let header: &Header = &block.header.inner;
                let reference = BlockRef {
                    number: header.number,
                    hash: block.header.hash,
                    timestamp: header.timestamp,
                };
                let root = OutputRoot::of(header).filter(|root| root.latest_blockhash == reference.hash);
                (reference, root.map(|root| root.hash()))
            }));
        }
        Ok(blocks)
    }

    /// Asks L1 how games stand.
    async fn ask_standings(
        &self,
        book: &mut GameBook,
        contracts: &Contracts,
        at: BlockId,
        catching_up: bool,
    ) -> Result<(), GameError> {
        let asked = book.next_asked(NEW, OPEN, SETTLED);
        if asked.is_empty() {
            return Ok(());
        }
        let claims: Vec<_> = asked.iter().map(|listed| listed.claim).collect();
        let standings = contracts.standings(&self.l1.provider, &claims, at).await?;
        for (claim, standing) in claims.into_iter().zip(standings) {
            let status = ClaimStatus::from(&standing);
            let Some(before) = book.stands(claim.index, status, standing.resolved_at) else {
                continue;
            };
            if before != Some(status) && !(catching_up && before.is_none()) {
                tracing::info!(
                    game = %claim.game, index = claim.index, l2_block = claim.l2_block, %status,
                    "a dispute game claims the chain"
                );
            }
            if !status.holds() {
                book.pass_over(PassedOver {
                    game: claim.game,
                    index: claim.index,
                    game_type: claim.game_type,
                    reason: standing
                        .fallen()
                        .map_or_else(|| status.to_string(), ToString::to_string),
                });
            }
        }
        Ok(())
    }

    /// Writes what changed, what could not be written before with it; how far was read only now and then where nothing
    /// else did.
    async fn save(&self, book: &mut GameBook, before: Option<ReadTo>) -> Result<(), GameError> {
        let (games, gone) = book.changes();
        let Some(read) = book.read_to() else { return Ok(()) };
        let moved = before.is_none_or(|before| {
            (before.factory, before.next) != (read.factory, read.next)
                || read.at.number / NOTED_EVERY != before.at.number / NOTED_EVERY
        });
        if games.is_empty() && gone.is_empty() && !moved {
            return Ok(());
        }
        let rows = games.iter().map(|game| Ok((game.listed.claim.index, row(game)?)));
        let rows = rows.collect::<Result<_, StoreError>>()?;
        self.store.write_games(row(&read)?, rows, gone).await?;
        book.written();
        Ok(())
    }

    fn publish(&self, book: &GameBook, look: &Look, count: u64, more: bool) {
        let claims = book.claims();
        let number = claims.len();
        self.claims.send_if_modified(|known| {
            // What has to be read again after a reorg does not fall meanwhile.
            let changed = **known != claims && !(more && claims.len() < known.len());
            if changed {
                *known = Arc::new(claims);
            }
            changed
        });
        let read = book.read_to().map_or(0, |read| read.next);
        metrics::gauge!("set_settlement_games").set(count as f64);
        metrics::gauge!("set_settlement_games_read").set(read as f64);
        metrics::gauge!("set_settlement_claims").set(number as f64);
        self.view.send_if_modified(|view| {
            let next = GamesView {
                head: Some(look.latest),
                finalized: look.finalized,
                games: count,
                read,
                claims: number,
                passed_over: book.passed_over().cloned().collect(),
                error: view.error.clone(),
            };
            let changed = next != *view;
            *view = next;
            changed
        });
    }
}

fn row<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Damaged(format!("a row of games cannot be written: {error}")))
}
