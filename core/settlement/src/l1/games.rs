//! The games that the factory lists.

use std::ops::Range;

use alloy::eips::BlockId;
use alloy_primitives::{Address, B256, U256};
use set_proof::GameClaim;

use super::{
    Contracts, GameType, L1Error, L1Provider, RootClaim,
    bindings::{DisputeGameFactory, FaultDisputeGame},
    calls::{Answers, Calls, Place},
};

/// A game, as the factory lists it, and what it says that it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Game {
    /// Its index in the factory.
    pub index: u64,
    /// Its proxy.
    pub game: Address,
    /// Its type.
    pub game_type: GameType,
    /// When it was opened: its L1 block's timestamp, in seconds.
    pub created_at: u64,
    /// Its root claim, whatever that stands for; zero where the game does not say.
    pub root_claim: B256,
    /// The L2 block whose output root it claims; `None` for a game that claims something else, or of an unknown type.
    pub l2_block: Option<u64>,
}

impl Game {
    /// What it claims, where that is an output root.
    pub fn claim(&self) -> Option<GameClaim> {
        Some(GameClaim {
            game: self.game,
            index: self.index,
            game_type: self.game_type.0,
            root_claim: self.root_claim,
            l2_block: self.l2_block?,
        })
    }
}

/// The two ways in which a game is asked for its L2 block.
pub(super) struct BlockPlaces {
    number: Place<FaultDisputeGame::l2BlockNumberCall>,
    sequence: Place<FaultDisputeGame::l2SequenceNumberCall>,
}

impl BlockPlaces {
    pub(super) fn ask(calls: &mut Calls, game: Address) -> Self {
        Self {
            number: calls.add(game, &FaultDisputeGame::l2BlockNumberCall {}),
            sequence: calls.add(game, &FaultDisputeGame::l2SequenceNumberCall {}),
        }
    }

    /// The L2 block; `None` where the game does not say, says two, or more than there can be.
    pub(super) fn read(&self, answers: &Answers) -> Option<u64> {
        let block: U256 = match (answers.find(&self.number), answers.find(&self.sequence)) {
            (Some(number), Some(sequence)) if number != sequence => return None,
            (Some(block), _) | (None, Some(block)) => block,
            (None, None) => return None,
        };
        u64::try_from(block).ok()
    }
}

impl Contracts {
    /// How many games the factory lists. Their indices are all below this.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn game_count(&self, provider: &L1Provider, at: BlockId) -> Result<u64, L1Error> {
        let mut calls = Calls::new(at);
        let count = calls.add(self.factory, &DisputeGameFactory::gameCountCall {});
        let count = calls.send(provider).await?.get(&count)?;
        Ok(count.saturating_to())
    }

    /// The games with these indices, which have to be below the count; in two round trips, however many there are up to
    /// some dozens. A game that does not answer is listed nonetheless: its claim is zero.
    ///
    /// # Errors
    /// [`L1Error`].
    pub async fn games(&self, provider: &L1Provider, range: Range<u64>, at: BlockId) -> Result<Vec<Game>, L1Error> {
        let mut calls = Calls::new(at);
        let listed = range.map(|index| {
            let call = DisputeGameFactory::gameAtIndexCall {
                index: U256::from(index),
            };
            (index, calls.add(self.factory, &call))
        });
        let listed: Vec<_> = listed.collect();
        let answers = calls.send(provider).await?;

        let mut calls = Calls::new(at);
        let mut asked = vec![];
        for (index, entry) in &listed {
            let entry = answers.get(entry)?;
            let root = calls.add(entry.proxy, &FaultDisputeGame::rootClaimCall {});
            let block = BlockPlaces::ask(&mut calls, entry.proxy);
            asked.push((*index, entry, root, block));
        }
        let answers = calls.send(provider).await?;
        let games = asked.into_iter().map(|(index, entry, root, block)| {
            let game_type = GameType(entry.gameType);
            let root_claim = answers.find(&root);
            let claims_block = root_claim.is_some() && game_type.root_claim() == Some(RootClaim::OutputRoot);
            Game {
                index,
                game: entry.proxy,
                game_type,
                created_at: entry.timestamp,
                root_claim: root_claim.unwrap_or_default(),
                l2_block: block.read(&answers).filter(|_| claims_block),
            }
        });
        Ok(games.collect())
    }
}
