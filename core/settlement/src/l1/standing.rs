//! What a game's claim is worth at one block of L1, by the portal's own rules.

use alloy::eips::BlockId;
use alloy_primitives::{Address, B256, U256};
use set_proof::GameClaim;

use super::{
    Contracts, GameType, L1Error, L1Provider, RootClaim,
    bindings::{AnchorStateRegistry, DisputeGameFactory, FaultDisputeGame, OptimismPortal2},
    calls::{Answers, Calls, Place},
    games::BlockPlaces,
};

/// How far a game has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GameStatus {
    /// Its claim may still be disputed.
    InProgress,
    /// Its claim was refuted.
    ChallengerWins,
    /// Its claim stood.
    DefenderWins,
}

/// What L1 says about a claim at one of its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How far the game has come; in progress where it does not say.
    pub status: GameStatus,
    /// When it was resolved, in seconds of L1's time; `None` before.
    pub resolved_at: Option<u64>,
    /// Whether the game's type was the respected one when it was created.
    pub respected: bool,
    /// Whether the guardian has declared it void.
    pub blacklisted: bool,
    /// Whether the guardian has declared all games of its time void.
    pub retired: bool,
    /// The L2 chain that the game says it is about, where it says so.
    pub l2_chain_id: Option<u64>,
    /// All that keeps the claim from being proven at this block; empty where it is proven.
    pub doubts: Vec<Doubt>,
}

/// Why a claim is not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The factory lists fewer games at this block.
    #[error("the factory does not list a game {0} yet")]
    NotListed(u64),
    /// The factory lists another game there: anybody can deploy a contract that looks like one.
    #[error("the factory does not list game {game} as number {index} with type {game_type}")]
    NotRegistered {
        /// The game.
        game: Address,
        /// Where it should be.
        index: u64,
        /// What it should be.
        game_type: u32,
    },
    /// The game claims something else.
    #[error("the game claims {root_claim:?} for L2 block {l2_block:?}, not what the proof says")]
    OtherClaim {
        /// Its root claim, where it says one.
        root_claim: Option<B256>,
        /// Its L2 block, where it says one.
        l2_block: Option<u64>,
    },
    /// What such a game decides about is not known here.
    #[error("the game is of {0}, so what it claims is not known")]
    UnknownType(GameType),
    /// The game is not about an output root.
    #[error("a {0} game claims a root over several chains, and no output root")]
    SuperRoot(GameType),
    /// The type was not the respected one.
    #[error(
        "the game is of {game_type}, which the portal did not respect when it was created (respected now: {respected})"
    )]
    NotRespected {
        /// The game's type.
        game_type: GameType,
        /// The type that the portal respects at this block.
        respected: GameType,
    },
    /// The guardian has declared it void.
    #[error("the game is blacklisted")]
    Blacklisted,
    /// The guardian has declared it and all others of its time void.
    #[error("the game was created at {created_at}, and games up to {retired_at} are retired")]
    Retired {
        /// When it was created, in seconds.
        created_at: u64,
        /// What it would have to be later than, in seconds.
        retired_at: u64,
    },
    /// It was refuted.
    #[error("the challenger won the game: its claim is false")]
    ChallengerWon,
    /// It may still be refuted.
    #[error("the game is still in progress")]
    InProgress,
    /// The guardian may still intervene.
    #[error(
        "the game was resolved at {resolved_at}, and its outcome is final {delay} seconds after that at the earliest"
    )]
    WithinDelay {
        /// When it was resolved, in seconds.
        resolved_at: u64,
        /// The finality delay, in seconds.
        delay: u64,
    },
    /// The guardian has stopped all withdrawals.
    #[error("the portal is paused")]
    Paused,
    /// The anchor state registry knows a reason that is not known here.
    #[error("the anchor state registry {0} does not call the claim valid")]
    Invalid(Address),
}

impl Doubt {
    /// Whether no time will remove it: whoever relies on the claim needs another game.
    pub const fn is_lasting(&self) -> bool {
        !matches!(
            self,
            Self::InProgress | Self::WithinDelay { .. } | Self::Paused | Self::Invalid(_)
        )
    }
}

impl Standing {
    /// Whether L1 would let somebody withdraw on this claim: the condition of being proven.
    pub const fn is_proven(&self) -> bool {
        self.doubts.is_empty()
    }

    /// Why the claim is worth nothing any more, where that is so.
    pub fn fallen(&self) -> Option<&Doubt> {
        self.doubts.iter().find(|doubt| doubt.is_lasting())
    }
}

impl Contracts {
    /// What these claims are worth at a block, in the order in which they are given; in one round trip, beside one for
    /// the block's own time, for a handful of claims.
    ///
    /// A claim need not come from L1: whether the factory lists the game and whether it claims this is asked, too.
    ///
    /// # Errors
    /// [`L1Error`]: L1 could not be asked. What speaks against a claim is no error but a [`Doubt`].
    pub async fn standings(
        &self,
        provider: &L1Provider,
        claims: &[GameClaim],
        at: BlockId,
    ) -> Result<Vec<Standing>, L1Error> {
        let mut calls = Calls::new(at);
        let rules = RulePlaces::ask(&mut calls, self);
        let games: Vec<_> = claims
            .iter()
            .map(|claim| GamePlaces::ask(&mut calls, self, claim))
            .collect();
        let (answers, header) = calls.send_with_header(provider).await?;
        let rules = rules.read(&answers, self, header.timestamp)?;
        let judged = claims.iter().zip(&games);
        judged
            .map(|(claim, game)| Ok(rules.judge(claim, &game.read(&answers)?)))
            .collect()
    }
}

/// Where the answers about the portal's rules will be.
struct RulePlaces {
    respected: Place<OptimismPortal2::respectedGameTypeCall>,
    updated_at: Place<OptimismPortal2::respectedGameTypeUpdatedAtCall>,
    delay: Place<OptimismPortal2::disputeGameFinalityDelaySecondsCall>,
    paused: Place<OptimismPortal2::pausedCall>,
}

/// The portal's rules at a block.
#[derive(Debug, Clone, Copy)]
struct Rules {
    respected: GameType,
    /// Games of before are retired; where a registry judges games, games of the same second are as well.
    updated_at: u64,
    delay: u64,
    paused: bool,
    anchor_state_registry: Option<Address>,
    /// The block's timestamp.
    now: u64,
}

impl RulePlaces {
    fn ask(calls: &mut Calls, contracts: &Contracts) -> Self {
        let portal = contracts.portal;
        Self {
            respected: calls.add(portal, &OptimismPortal2::respectedGameTypeCall {}),
            updated_at: calls.add(portal, &OptimismPortal2::respectedGameTypeUpdatedAtCall {}),
            delay: calls.add(portal, &OptimismPortal2::disputeGameFinalityDelaySecondsCall {}),
            paused: calls.add(portal, &OptimismPortal2::pausedCall {}),
        }
    }

    fn read(&self, answers: &Answers, contracts: &Contracts, now: u64) -> Result<Rules, L1Error> {
        Ok(Rules {
            respected: GameType(answers.get(&self.respected)?),
            updated_at: answers.get(&self.updated_at)?,
            delay: answers.get(&self.delay)?.saturating_to(),
            paused: answers.get(&self.paused)?,
            anchor_state_registry: contracts.anchor_state_registry,
            now,
        })
    }
}

/// Where the answers about one game will be.
struct GamePlaces {
    listed: Place<DisputeGameFactory::gameAtIndexCall>,
    root_claim: Place<FaultDisputeGame::rootClaimCall>,
    l2_block: BlockPlaces,
    l2_chain_id: Place<FaultDisputeGame::l2ChainIdCall>,
    status: Place<FaultDisputeGame::statusCall>,
    resolved_at: Place<FaultDisputeGame::resolvedAtCall>,
    blacklisted: Place<OptimismPortal2::disputeGameBlacklistCall>,
    /// Asked only where a registry judges games.
    judged: Option<(
        Place<FaultDisputeGame::wasRespectedGameTypeWhenCreatedCall>,
        Place<AnchorStateRegistry::isGameClaimValidCall>,
    )>,
}

/// What is known of one game at a block.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// Type, time of creation and proxy at the claim's index; `None` where the factory has no such index.
    listed: Option<(GameType, u64, Address)>,
    root_claim: Option<B256>,
    l2_block: Option<u64>,
    l2_chain_id: Option<u64>,
    status: Option<u8>,
    resolved_at: u64,
    blacklisted: bool,
    /// Whether its type was respected when it was created, and whether the registry calls its claim valid.
    judged: Option<(bool, bool)>,
}

impl GamePlaces {
    fn ask(calls: &mut Calls, contracts: &Contracts, claim: &GameClaim) -> Self {
        let game = claim.game;
        let index = DisputeGameFactory::gameAtIndexCall {
            index: U256::from(claim.index),
        };
        Self {
            listed: calls.add(contracts.factory, &index),
            root_claim: calls.add(game, &FaultDisputeGame::rootClaimCall {}),
            l2_block: BlockPlaces::ask(calls, game),
            l2_chain_id: calls.add(game, &FaultDisputeGame::l2ChainIdCall {}),
            status: calls.add(game, &FaultDisputeGame::statusCall {}),
            resolved_at: calls.add(game, &FaultDisputeGame::resolvedAtCall {}),
            blacklisted: calls.add(contracts.portal, &OptimismPortal2::disputeGameBlacklistCall { game }),
            judged: contracts.anchor_state_registry.map(|registry| {
                (
                    calls.add(game, &FaultDisputeGame::wasRespectedGameTypeWhenCreatedCall {}),
                    calls.add(registry, &AnchorStateRegistry::isGameClaimValidCall { game }),
                )
            }),
        }
    }

    /// A game that does not answer is one that claims nothing; a portal that does not is an error.
    fn read(&self, answers: &Answers) -> Result<Facts, L1Error> {
        let listed = answers.find(&self.listed);
        let judged = self.judged.as_ref().map(|(respected, valid)| {
            let (respected, valid) = (answers.find(respected), answers.find(valid));
            (respected.unwrap_or_default(), valid.unwrap_or_default())
        });
        Ok(Facts {
            listed: listed.map(|entry| (GameType(entry.gameType), entry.timestamp, entry.proxy)),
            root_claim: answers.find(&self.root_claim),
            l2_block: self.l2_block.read(answers),
            l2_chain_id: answers.find(&self.l2_chain_id).and_then(|id| u64::try_from(id).ok()),
            status: answers.find(&self.status),
            resolved_at: answers.find(&self.resolved_at).unwrap_or_default(),
            blacklisted: answers.get(&self.blacklisted)?,
            judged,
        })
    }
}

impl Rules {
    fn judge(&self, claim: &GameClaim, facts: &Facts) -> Standing {
        let game_type = GameType(claim.game_type);
        let listed = facts
            .listed
            .filter(|(listed, _, game)| (*listed, *game) == (game_type, claim.game));
        let created_at = listed.map_or(0, |(_, created_at, _)| created_at);
        let status = match facts.status {
            Some(1) => GameStatus::ChallengerWins,
            Some(2) => GameStatus::DefenderWins,
            _ => GameStatus::InProgress,
        };
        let (respected, retired) = match facts.judged {
            Some((respected, _)) => (respected, created_at <= self.updated_at),
            // Older portals retire all games whenever the respected type changes.
            None => (game_type == self.respected, created_at < self.updated_at),
        };
        let mut standing = Standing {
            status,
            resolved_at: Some(facts.resolved_at).filter(|at| *at != 0),
            respected,
            blacklisted: facts.blacklisted,
            retired,
            l2_chain_id: facts.l2_chain_id,
            doubts: vec![],
        };
        if listed.is_none() {
            // Whatever else it says of itself counts for nothing.
            standing.doubts.push(match facts.listed {
                None => Doubt::NotListed(claim.index),
                Some(_) => Doubt::NotRegistered {
                    game: claim.game,
                    index: claim.index,
                    game_type: claim.game_type,
                },
            });
            return standing;
        }
        let claimed = (facts.root_claim, facts.l2_block) == (Some(claim.root_claim), Some(claim.l2_block));
        let type_doubt = match game_type.root_claim() {
            Some(RootClaim::OutputRoot) if claimed => None,
            Some(RootClaim::OutputRoot) => Some(Doubt::OtherClaim {
                root_claim: facts.root_claim,
                l2_block: facts.l2_block,
            }),
            Some(RootClaim::SuperRoot) => Some(Doubt::SuperRoot(game_type)),
            None => Some(Doubt::UnknownType(game_type)),
        };
        let respect_doubt = (!respected).then_some(Doubt::NotRespected {
            game_type,
            respected: self.respected,
        });
        let retired_doubt = retired.then_some(Doubt::Retired {
            created_at,
            retired_at: self.updated_at,
        });
        let outcome_doubt = match standing.status {
            GameStatus::InProgress => Some(Doubt::InProgress),
            GameStatus::ChallengerWins => Some(Doubt::ChallengerWon),
            GameStatus::DefenderWins => self.delay_doubt(facts.resolved_at),
        };
        let doubts = [
            type_doubt,
            respect_doubt,
            facts.blacklisted.then_some(Doubt::Blacklisted),
            retired_doubt,
            outcome_doubt,
            self.paused.then_some(Doubt::Paused),
        ];
        standing.doubts.extend(doubts.into_iter().flatten());
        if let (Some((_, false)), Some(registry), true) =
            (facts.judged, self.anchor_state_registry, standing.doubts.is_empty())
        {
            standing.doubts.push(Doubt::Invalid(registry));
        }
        standing
    }

    /// A game that was won counts once more than the finality delay has passed since.
    fn delay_doubt(&self, resolved_at: u64) -> Option<Doubt> {
        let passed = self
            .now
            .checked_sub(resolved_at)
            .is_some_and(|passed| passed > self.delay);
        (!passed || resolved_at == 0).then_some(Doubt::WithinDelay {
            resolved_at,
            delay: self.delay,
        })
    }
}
