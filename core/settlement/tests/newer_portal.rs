//! Portals that leave it to an anchor state registry to judge games (OptimismPortal2 4.0 and later). Their code is
//! published as source only, so contracts stand in for them here that answer each getter with what they are told to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use alloy::eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use serde_json::Value;
use set_proof::GameClaim;
use set_settlement::l1::{Contracts, Doubt, Game, L1Provider, connect};
use set_testkit::Anvil;

const PORTAL: Address = Address::repeat_byte(0x01);
const FACTORY: Address = Address::repeat_byte(0x02);
const REGISTRY: Address = Address::repeat_byte(0x03);
const GAME: Address = Address::repeat_byte(0x04);
const ROOT: B256 = B256::repeat_byte(0x05);
const LATEST: BlockId = BlockId::latest();

const CREATED_AT: u64 = 1_000;
const L2_BLOCK: u64 = 77;

/// What the contracts answer, by the getters' signatures.
type Answers = Vec<(&'static str, Vec<U256>)>;

/// Code that answers these calls, and reverts on every other.
fn code(answers: &Answers) -> Bytes {
    const ENTRY: usize = 11;
    const BLOCK: usize = 14;
    let two_bytes = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
    let blocks = 5 + ENTRY * answers.len() + 3;
    let (mut entries, mut returns, mut words) = (vec![], vec![], vec![]);
    for (position, (signature, answer)) in answers.iter().enumerate() {
        // DUP1, PUSH4 selector, EQ, PUSH2 block, JUMPI
        entries.extend([0x80, 0x63]);
        entries.extend(&keccak256(signature)[..4]);
        entries.extend([0x14, 0x61]);
        entries.extend(two_bytes(blocks + BLOCK * position));
        entries.push(0x57);
        // JUMPDEST, PUSH2 length, PUSH2 offset, PUSH0, CODECOPY, PUSH2 length, PUSH0, RETURN
        let length = two_bytes(32 * answer.len());
        let offset = two_bytes(blocks + BLOCK * answers.len() + words.len());
        returns.extend(
            [
                &[0x5b, 0x61][..],
                &length,
                &[0x61],
                &offset,
                &[0x5f, 0x39, 0x61],
                &length,
                &[0x5f, 0xf3],
            ]
            .concat(),
        );
        words.extend(answer.iter().flat_map(|word| word.to_be_bytes::<32>()));
    }
    // PUSH0, CALLDATALOAD, PUSH1 224, SHR; at the end PUSH0, PUSH0, REVERT
    [
        &[0x5f, 0x35, 0x60, 0xe0, 0x1c][..],
        &entries,
        &[0x5f, 0x5f, 0xfd],
        &returns,
        &words,
    ]
    .concat()
    .into()
}

struct Rig {
    l1: Anvil,
    provider: L1Provider,
}

impl Rig {
    /// A deployment that calls its only game's claim valid, but for these answers.
    async fn start() -> Self {
        let l1 = Anvil::builder().ethereum().no_mining().spawn().await.unwrap();
        let provider = connect(l1.url(), Duration::from_secs(10)).unwrap();
        let rig = Self { l1, provider };
        let address = |address: Address| vec![address.into_word().into()];
        let number = |number: u64| vec![U256::from(number)];
        let portal = vec![
            ("disputeGameFactory()", address(FACTORY)),
            ("anchorStateRegistry()", address(REGISTRY)),
            // Another type than the game's: it was respected once.
            ("respectedGameType()", number(8)),
            ("respectedGameTypeUpdatedAt()", number(CREATED_AT - 1)),
            ("disputeGameFinalityDelaySeconds()", number(100)),
            ("disputeGameBlacklist(address)", number(0)),
            ("paused()", number(0)),
        ];
        let listed = vec![U256::ZERO, U256::from(CREATED_AT), GAME.into_word().into()];
        let factory = vec![("gameCount()", number(1)), ("gameAtIndex(uint256)", listed)];
        rig.answer(PORTAL, portal).await;
        rig.answer(FACTORY, factory).await;
        rig.judge(true, true).await;
        rig
    }

    async fn answer(&self, contract: Address, answers: Answers) {
        let set: Value = self.l1.call("anvil_setCode", (contract, code(&answers))).await.unwrap();
        assert!(set.is_null());
    }

    /// What game and registry say.
    async fn judge(&self, respected: bool, valid: bool) {
        let registry = vec![("isGameClaimValid(address)", vec![U256::from(valid)])];
        self.answer(REGISTRY, registry).await;
        let game = vec![
            ("rootClaim()", vec![ROOT.into()]),
            ("l2SequenceNumber()", vec![U256::from(L2_BLOCK)]),
            ("status()", vec![U256::from(2)]),
            ("resolvedAt()", vec![U256::from(CREATED_AT + 500)]),
            ("wasRespectedGameTypeWhenCreated()", vec![U256::from(respected)]),
        ];
        self.answer(GAME, game).await;
    }

    async fn doubts(&self, claim: GameClaim) -> Vec<Doubt> {
        let contracts = Contracts::of(&self.provider, PORTAL, LATEST).await.unwrap();
        assert_eq!(contracts.anchor_state_registry, Some(REGISTRY));
        let standings = contracts.standings(&self.provider, &[claim], LATEST).await.unwrap();
        standings[0].doubts.clone()
    }
}

#[tokio::test]
async fn an_anchor_state_registry_has_the_last_word() {
    let rig = Rig::start().await;
    let contracts = Contracts::of(&rig.provider, PORTAL, LATEST).await.unwrap();
    let games = contracts.games(&rig.provider, 0..1, LATEST).await.unwrap();
    let claim = games.first().and_then(Game::claim).unwrap();
    let expected = GameClaim {
        game: GAME,
        index: 0,
        game_type: 0,
        root_claim: ROOT,
        l2_block: L2_BLOCK,
    };
    assert_eq!(claim, expected);

    assert_eq!(rig.doubts(claim).await, []);
    rig.judge(true, false).await;
    assert_eq!(rig.doubts(claim).await, [Doubt::Invalid(REGISTRY)]);
    rig.judge(false, true).await;
    assert!(matches!(rig.doubts(claim).await[..], [Doubt::NotRespected { .. }]));
    // A registry and a game that do not answer bear nothing out.
    rig.answer(REGISTRY, vec![]).await;
    assert!(matches!(rig.doubts(claim).await[..], [Doubt::NotRespected { .. }]));
    rig.answer(GAME, vec![]).await;
    let doubts = rig.doubts(claim).await;
    assert!(doubts.contains(&Doubt::InProgress), "{doubts:?}");
}
