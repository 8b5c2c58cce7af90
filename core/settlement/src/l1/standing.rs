//! What a game's claim is worth at one block of L1, by the portal's own rules.

use alloy::eips::BlockId;
use alloy_primitives::{Address, B256, U256};
use set_proof::GameClaim;

use super::{
    Contracts, Doubt, GameType, L1Error, L1Provider, RootClaim,
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

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRY: Address = Address::repeat_byte(0xa5);

    /// A claim that an anchor state registry calls valid, with the rules and the facts that it judges by.
    fn valid() -> (Rules, GameClaim, Facts) {
        let rules = Rules {
            respected: GameType(0),
            updated_at: 1_000,
            delay: 100,
            paused: false,
            anchor_state_registry: Some(REGISTRY),
            now: 2_101,
        };
        let claim = GameClaim {
            game: Address::repeat_byte(1),
            index: 5,
            game_type: 0,
            root_claim: B256::repeat_byte(2),
            l2_block: 9,
        };
        let facts = Facts {
            listed: Some((GameType(0), 1_001, claim.game)),
            root_claim: Some(claim.root_claim),
            l2_block: Some(9),
            l2_chain_id: None,
            status: Some(2),
            resolved_at: 2_000,
            blacklisted: false,
            judged: Some((true, true)),
        };
        (rules, claim, facts)
    }

    type Change = fn(&mut Rules, &mut Facts);

    fn doubts(change: Change) -> Vec<Doubt> {
        let (mut rules, claim, mut facts) = valid();
        change(&mut rules, &mut facts);
        rules.judge(&claim, &facts).doubts
    }

    #[test]
    fn where_a_registry_judges_games_it_has_to_agree() {
        assert_eq!(doubts(|_, _| {}), []);
        assert_eq!(
            doubts(|_, facts| facts.judged = Some((true, false))),
            [Doubt::Invalid(REGISTRY)]
        );
        assert_eq!(doubts(|rules, _| rules.paused = true), [Doubt::Paused]);
        // What was respected once stays so; what the game does not say was not.
        assert_eq!(doubts(|rules, _| rules.respected = GameType(1)), []);
        let unsaid = doubts(|_, facts| facts.judged = Some((false, false)));
        assert!(matches!(unsaid[..], [Doubt::NotRespected { .. }]), "{unsaid:?}");
    }

    #[test]
    fn retirement_takes_the_second_of_its_own_where_a_registry_judges_games() {
        let retired = [Doubt::Retired {
            created_at: 1_001,
            retired_at: 1_001,
        }];
        assert_eq!(doubts(|rules, _| rules.updated_at = 1_001), retired);
        // Older portals keep games of that second.
        let older: Change = |rules, facts| {
            (rules.updated_at, rules.anchor_state_registry, facts.judged) = (1_001, None, None);
        };
        assert_eq!(doubts(older), []);
        let older: Change = |rules, facts| {
            (rules.updated_at, rules.anchor_state_registry, facts.judged) = (1_002, None, None);
        };
        assert!(matches!(doubts(older)[..], [Doubt::Retired { .. }]));
    }

    #[test]
    fn the_delay_has_to_be_over_and_the_outcome_known() {
        let within = |resolved_at| {
            [Doubt::WithinDelay {
                resolved_at,
                delay: 100,
            }]
        };
        assert_eq!(doubts(|rules, _| rules.now = 2_100), within(2_000));
        assert_eq!(doubts(|rules, _| rules.now = 1_999), within(2_000));
        assert_eq!(doubts(|_, facts| facts.resolved_at = 0), within(0));
        assert_eq!(doubts(|_, facts| facts.status = Some(0)), [Doubt::InProgress]);
        assert_eq!(doubts(|_, facts| facts.status = None), [Doubt::InProgress]);
        assert_eq!(doubts(|_, facts| facts.status = Some(3)), [Doubt::InProgress]);
        assert_eq!(doubts(|_, facts| facts.status = Some(1)), [Doubt::ChallengerWon]);
    }

    #[test]
    fn a_game_that_says_nothing_claims_nothing() {
        for change in [
            (|_, facts| facts.root_claim = None) as Change,
            |_, facts| facts.l2_block = None,
            |_, facts| facts.l2_block = Some(10),
        ] {
            assert!(matches!(doubts(change)[..], [Doubt::OtherClaim { .. }]));
        }
        let unlisted = doubts(|_, facts| facts.listed = None);
        assert_eq!(unlisted, [Doubt::NotListed(5)]);
        assert!(unlisted[0].is_lasting() && !Doubt::InProgress.is_lasting());
    }
}
