//! What claims are worth, asked of the real contracts of L1.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256};
use set_proof::GameClaim;
use set_settlement::l1::{Contracts, Doubt, GameStatus, L1Error, L1Provider, Standing, block, connect};
use set_testkit::{
    Anvil,
    op_stack::{ALPHABET_GAME, Disputes, FINALITY_DELAY, GAME_CLOCK, L1Contracts, start_l1},
};

/// Development accounts: who opens games in good faith, and who does not.
const PROPOSER: usize = 3;
const STRANGER: usize = 1;
/// A type that nobody knows, and one that claims roots over several chains.
const UNKNOWN: u32 = 77;
const SUPER_CANNON: u32 = 4;

const LATEST: BlockId = BlockId::latest();

struct Rig {
    l1: Anvil,
    on_l1: L1Contracts,
    provider: L1Provider,
    contracts: Contracts,
}

impl Rig {
    async fn start() -> Self {
        let (l1, on_l1) = start_l1(B256::repeat_byte(0xa0)).await.unwrap();
        let provider = connect(l1.url(), Duration::from_secs(10)).unwrap();
        let contracts = Contracts::of(&provider, on_l1.portal, LATEST).await.unwrap();
        Self {
            l1,
            on_l1,
            provider,
            contracts,
        }
    }

    fn disputes(&self) -> Disputes<'_> {
        Disputes::new(&self.l1, &self.on_l1)
    }

    /// Opens a game, and reads from L1 what it claims.
    async fn claim(&self, account: usize, game_type: u32, root: u8, l2_block: u64) -> GameClaim {
        let root = B256::repeat_byte(root);
        let game = self.disputes().open(account, game_type, root, l2_block).await.unwrap();
        let index = self.contracts.game_count(&self.provider, LATEST).await.unwrap() - 1;
        GameClaim {
            game,
            index,
            game_type,
            root_claim: root,
            l2_block,
        }
    }

    async fn standing(&self, claim: GameClaim) -> Standing {
        let standings = self.contracts.standings(&self.provider, &[claim], LATEST).await;
        standings.unwrap().pop().unwrap()
    }

    async fn doubts(&self, claim: GameClaim) -> Vec<Doubt> {
        self.standing(claim).await.doubts
    }
}

#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn a_claim_is_proven_once_it_was_won_and_the_delay_has_passed() {
    let rig = Rig::start().await;
    let disputes = rig.disputes();
    let claim = rig.claim(PROPOSER, ALPHABET_GAME, 1, 100).await;
    let games = rig.contracts.games(&rig.provider, 0..1, LATEST).await.unwrap();
    assert_eq!(games.first().unwrap().claim(), Some(claim));
    assert_eq!(games.first().unwrap().game_type.to_string(), "alphabet (type 255)");

    let standing = rig.standing(claim).await;
    assert_eq!((standing.status, standing.resolved_at), (GameStatus::InProgress, None));
    assert_eq!(standing.l2_chain_id, Some(set_testkit::anvil::DEVNET_CHAIN_ID));
    assert_eq!(standing.doubts, [Doubt::InProgress]);
    assert_eq!(standing.fallen(), None);

    disputes.pass(GAME_CLOCK).await.unwrap();
    disputes.resolve(claim.game, 0).await.unwrap();
    let before = block(&rig.provider, BlockNumberOrTag::Latest).await.unwrap();
    let standing = rig.standing(claim).await;
    let resolved_at = standing.resolved_at.unwrap();
    let delay = FINALITY_DELAY.as_secs();
    assert_eq!(standing.doubts, [Doubt::WithinDelay { resolved_at, delay }]);

    disputes.pass(FINALITY_DELAY).await.unwrap();
    disputes.pass(Duration::from_secs(1)).await.unwrap();
    let standing = rig.standing(claim).await;
    assert!(standing.is_proven(), "{standing:?}");

    // At an earlier block of L1 it was not.
    let at = BlockId::hash(before.hash);
    let earlier = rig.contracts.standings(&rig.provider, &[claim], at).await.unwrap();
    assert_eq!(earlier[0].doubts, [Doubt::WithinDelay { resolved_at, delay }]);

    // The guardian can hold everything up, and declare this game or all games of its time void.
    disputes.pause(true).await.unwrap();
    assert_eq!(rig.doubts(claim).await, [Doubt::Paused]);
    disputes.pause(false).await.unwrap();
    let snapshot = rig.l1.snapshot().await.unwrap();
    disputes.blacklist(claim.game).await.unwrap();
    let standing = rig.standing(claim).await;
    assert_eq!(
        (standing.fallen(), standing.blacklisted),
        (Some(&Doubt::Blacklisted), true)
    );
    assert!(rig.l1.revert(snapshot).await.unwrap());

    disputes.respect(ALPHABET_GAME).await.unwrap();
    assert!(matches!(rig.doubts(claim).await[..], [Doubt::Retired { .. }]));
    disputes.respect(0).await.unwrap();
    assert!(matches!(
        rig.doubts(claim).await[..],
        [Doubt::NotRespected { .. }, Doubt::Retired { .. }]
    ));
}

#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn a_false_game_is_worth_nothing() {
    let rig = Rig::start().await;
    let disputes = rig.disputes();
    let honest = rig.claim(PROPOSER, ALPHABET_GAME, 1, 100).await;
    // A stranger's claim of another root: as registered and respected as any, until somebody disputes it.
    let false_claim = rig.claim(STRANGER, ALPHABET_GAME, 6, 100).await;
    disputes
        .attack(PROPOSER, false_claim.game, false_claim.root_claim)
        .await
        .unwrap();
    disputes.pass(GAME_CLOCK).await.unwrap();
    disputes.resolve(false_claim.game, 1).await.unwrap();
    disputes.resolve(honest.game, 0).await.unwrap();
    disputes.pass(2 * FINALITY_DELAY).await.unwrap();
    assert!(rig.standing(honest).await.is_proven());
    let standing = rig.standing(false_claim).await;
    assert_eq!(standing.status, GameStatus::ChallengerWins);
    assert_eq!(standing.fallen(), Some(&Doubt::ChallengerWon));

    // The honest game's index and the false game's claim, in every mixture.
    let mixtures = [
        GameClaim {
            game: false_claim.game,
            ..honest
        },
        GameClaim {
            index: false_claim.index,
            ..honest
        },
        GameClaim { game_type: 0, ..honest },
        GameClaim {
            game: Address::repeat_byte(9),
            ..honest
        },
        GameClaim {
            game: rig.on_l1.portal,
            ..honest
        },
    ];
    let standings = rig.contracts.standings(&rig.provider, &mixtures, LATEST).await.unwrap();
    for (mixture, standing) in mixtures.iter().zip(standings) {
        assert!(
            matches!(standing.doubts[..], [Doubt::NotRegistered { .. }]),
            "{mixture:?}: {standing:?}"
        );
    }
    let later = GameClaim { index: 2, ..honest };
    assert_eq!(rig.doubts(later).await, [Doubt::NotListed(2)]);
    for other in [
        GameClaim {
            root_claim: false_claim.root_claim,
            ..honest
        },
        GameClaim {
            l2_block: 101,
            ..honest
        },
    ] {
        assert!(matches!(rig.doubts(other).await[..], [Doubt::OtherClaim { .. }]));
    }
}

#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn games_of_other_types_claim_nothing_that_is_known_here() {
    let rig = Rig::start().await;
    let disputes = rig.disputes();
    disputes.allow(UNKNOWN).await.unwrap();
    disputes.allow(SUPER_CANNON).await.unwrap();
    let unknown = rig.claim(STRANGER, UNKNOWN, 1, 100).await;
    let super_root = rig.claim(STRANGER, SUPER_CANNON, 1, 100).await;

    let said = |doubts: &[Doubt]| doubts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let doubts = rig.doubts(unknown).await;
    assert!(
        matches!(
            doubts[..],
            [Doubt::UnknownType(_), Doubt::NotRespected { .. }, Doubt::InProgress]
        ),
        "{doubts:?}"
    );
    assert!(said(&doubts).contains("unknown type 77"), "{}", said(&doubts));
    let doubts = rig.doubts(super_root).await;
    assert!(
        matches!(
            doubts[..],
            [Doubt::SuperRoot(_), Doubt::NotRespected { .. }, Doubt::InProgress]
        ),
        "{doubts:?}"
    );
    assert!(said(&doubts).contains("super cannon (type 4)"), "{}", said(&doubts));

    let games = rig.contracts.games(&rig.provider, 0..2, LATEST).await.unwrap();
    assert_eq!(games.iter().map(|game| game.claim()).collect::<Vec<_>>(), [None, None]);
    assert_eq!(games[0].game_type.to_string(), "unknown type 77");

    // Even where the portal respects such a type: its claims are not known to be output roots.
    disputes.respect(UNKNOWN).await.unwrap();
    let respected = rig.claim(STRANGER, UNKNOWN, 2, 101).await;
    let standing = rig.standing(respected).await;
    assert!(
        matches!(standing.doubts[..], [Doubt::UnknownType(_), Doubt::InProgress]),
        "{standing:?}"
    );
    assert!(standing.respected && standing.fallen().is_some());
}

#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn what_is_no_portal_is_an_error_and_no_doubt() {
    let rig = Rig::start().await;
    for address in [Address::repeat_byte(9), rig.on_l1.dispute_game_factory] {
        let refused = Contracts::of(&rig.provider, address, LATEST).await.unwrap_err();
        assert!(
            matches!(refused, L1Error::Contract { contract, .. } if contract == address),
            "{refused}"
        );
    }
    let unknown = BlockId::hash(B256::repeat_byte(1));
    let refused = rig.contracts.standings(&rig.provider, &[], unknown).await.unwrap_err();
    assert!(matches!(refused, L1Error::Node(_) | L1Error::NoBlock(_)), "{refused}");
}
