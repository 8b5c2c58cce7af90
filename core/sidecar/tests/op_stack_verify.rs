//! `set-sidecar verify` against the real contracts of L1, and against nothing else: there is no L2 here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use alloy::consensus::Header;
use alloy_primitives::{Address, Bytes, U64};
use serde_json::Value;
use set_proof::{GameClaim, OutputRoot, SettlementProof};
use set_testkit::{
    Anvil,
    op_stack::{ALPHABET_GAME, Disputes, FINALITY_DELAY, GAME_CLOCK, L1Contracts, start_l1},
};

/// Development accounts: who opens games in good faith, and who does not.
const PROPOSER: usize = 3;
const STRANGER: usize = 1;

/// Exit codes.
const PROVEN: i32 = 0;
const BROKEN: i32 = 1;
const CLAIMED: i32 = 3;
const UNDECIDED: i32 = 4;

struct Rig {
    l1: Anvil,
    contracts: L1Contracts,
    dir: tempfile::TempDir,
    registry: Address,
    proof: SettlementProof,
}

impl Rig {
    /// An L1, and a proof that was made on a chain, of a record in code; its claim is to be opened yet. L1 makes blocks when
    /// it is told to, each a second after the last: no game's clock and no delay runs with a machine's.
    async fn start() -> Self {
        let vectors: Value = serde_json::from_str(include_str!("../../proof/vectors/proofs.json")).unwrap();
        let proof = SettlementProof::from_json(&vectors["proofs"][2].to_string()).unwrap();
        let (l1, contracts) = start_l1(proof.output_root.hash()).await.unwrap();
        let _: Value = l1.call("anvil_setBlockTimestampInterval", (1,)).await.unwrap();
        Self {
            l1,
            contracts,
            dir: tempfile::tempdir().unwrap(),
            registry: serde_json::from_value(vectors["registry"].clone()).unwrap(),
            proof,
        }
    }

    fn disputes(&self) -> Disputes<'_> {
        Disputes::new(&self.l1, &self.contracts)
    }

    /// Opens a game for a proof's output root.
    async fn claim(&self, proof: &SettlementProof, account: usize, game_type: u32, index: u64) -> SettlementProof {
        let (root, l2_block) = (proof.output_root.hash(), proof.claim.unwrap().l2_block);
        let game = self.disputes().open(account, game_type, root, l2_block).await.unwrap();
        let claim = GameClaim {
            game,
            index,
            game_type,
            root_claim: root,
            l2_block,
        };
        SettlementProof {
            claim: Some(claim),
            ..proof.clone()
        }
    }

    /// Runs the program; the exit code, and all that it says.
    async fn verify(&self, proof: &SettlementProof, more: &[&str]) -> (i32, String) {
        let file = self.dir.path().join("proof.json");
        std::fs::write(&file, serde_json::to_string(proof).unwrap()).unwrap();
        let portal = match more {
            ["--portal", ..] => vec![],
            _ => vec!["--portal".to_owned(), self.contracts.portal.to_string()],
        };
        let run = tokio::process::Command::new(assert_cmd::cargo::cargo_bin!("set-sidecar"))
            .arg("verify")
            .arg(&file)
            .args(["--registry", &self.registry.to_string(), "--l1", self.l1.url().as_str()])
            .args(portal)
            .args(more)
            .output()
            .await
            .unwrap();
        let said = [run.stdout, run.stderr].concat();
        (run.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    async fn expect(&self, proof: &SettlementProof, code: i32, words: &str) {
        let (exit, said) = self.verify(proof, &[]).await;
        assert!(
            exit == code && said.contains(words),
            "expected {code} and `{words}`, got {exit}:\n{said}"
        );
    }

    /// Moves L1's clock ahead.
    async fn pass(&self, time: Duration) {
        let newest: Value = self.l1.call("eth_getBlockByNumber", ("latest", false)).await.unwrap();
        let timestamp: U64 = serde_json::from_value(newest["timestamp"].clone()).unwrap();
        let next = timestamp.to::<u64>() + time.as_secs();
        let _: Value = self.l1.call("evm_setNextBlockTimestamp", (next,)).await.unwrap();
        self.l1.mine(1).await.unwrap();
    }

    /// Lets the games' clocks run out.
    async fn wait(&self) {
        self.pass(GAME_CLOCK).await;
    }

    /// Lets the finality delay pass, and L1 finalize it.
    async fn settle(&self) {
        self.pass(2 * FINALITY_DELAY).await;
        self.disputes().finalize().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn a_claim_is_proven_when_finalized_l1_bears_it_out_and_not_before() {
    let rig = Rig::start().await;
    let disputes = rig.disputes();
    disputes.finalize().await.unwrap();
    let proof = rig.claim(&rig.proof, PROPOSER, ALPHABET_GAME, 0).await;
    rig.expect(&proof, CLAIMED, "the factory does not list a game 0 yet")
        .await;
    disputes.finalize().await.unwrap();
    rig.expect(&proof, CLAIMED, "claimed, not proven: the game is still in progress")
        .await;
    rig.wait().await;
    disputes.resolve(proof.claim.unwrap().game, 0).await.unwrap();
    rig.expect(&proof, CLAIMED, "the game is still in progress").await;
    disputes.finalize().await.unwrap();
    rig.expect(&proof, CLAIMED, "its outcome is final 6 seconds after that")
        .await;
    rig.settle().await;
    rig.expect(&proof, PROVEN, "\nproven\n").await;

    // What only L1 binds: change any of it, and the link to L1 is the one that breaks.
    let claim = proof.claim.unwrap();
    for claim in [
        GameClaim {
            game: Address::repeat_byte(7),
            ..claim
        },
        GameClaim {
            game: rig.contracts.portal,
            ..claim
        },
        GameClaim { game_type: 0, ..claim },
    ] {
        let changed = SettlementProof {
            claim: Some(claim),
            ..proof.clone()
        };
        rig.expect(&changed, BROKEN, "the link `claim` is broken").await;
    }
    let changed = SettlementProof {
        claim: Some(GameClaim { index: 1, ..claim }),
        ..proof.clone()
    };
    rig.expect(&changed, CLAIMED, "does not list a game 1 yet").await;

    // The chain is the verifier's to say, and the game's.
    let (exit, said) = rig.verify(&proof, &["--chain-id", "10"]).await;
    assert!(exit == BROKEN && said.contains("`chain`"), "{said}");
    let of_another_chain = SettlementProof {
        chain_id: 10,
        ..proof.clone()
    };
    let (exit, said) = rig.verify(&of_another_chain, &["--chain-id", "10"]).await;
    assert!(
        exit == BROKEN && said.contains("the game is about chain 84532001"),
        "{said}"
    );

    // What is no portal.
    let (exit, said) = rig.verify(&proof, &["--portal", &rig.registry.to_string()]).await;
    assert!(exit == UNDECIDED && said.contains("is it the right address"), "{said}");

    // What the guardian takes back is not proven any more.
    disputes.blacklist(claim.game).await.unwrap();
    disputes.finalize().await.unwrap();
    rig.expect(&proof, CLAIMED, "the game is blacklisted").await;
    disputes.respect(ALPHABET_GAME).await.unwrap();
    disputes.finalize().await.unwrap();
    rig.expect(&proof, CLAIMED, "are retired").await;
}

/// A stranger makes up a block that never was, over a state that was, and opens a game for it.
#[tokio::test]
#[ignore = "needs the contracts of op-stack/l1-contracts; scripts/test op-stack runs it"]
async fn a_strangers_false_game_proves_nothing() {
    let rig = Rig::start().await;
    let disputes = rig.disputes();
    let mut header: Header = alloy_rlp::decode_exact(&rig.proof.header).unwrap();
    header.extra_data = Bytes::from_static(b"made up");
    let made_up = SettlementProof {
        header: alloy_rlp::encode(&header).into(),
        output_root: OutputRoot::of(&header).unwrap(),
        ..rig.proof.clone()
    };
    let made_up = rig.claim(&made_up, STRANGER, ALPHABET_GAME, 0).await;
    disputes.finalize().await.unwrap();
    // No link is broken: only L1 knows better, and it does not say so yet.
    rig.expect(&made_up, CLAIMED, "still in progress").await;
    let claim = made_up.claim.unwrap();
    disputes.attack(PROPOSER, claim.game, claim.root_claim).await.unwrap();
    rig.wait().await;
    disputes.resolve(claim.game, 1).await.unwrap();
    rig.settle().await;
    rig.expect(&made_up, CLAIMED, "the challenger won the game: its claim is false")
        .await;

    // The same block in a type of game that nobody watches, and of which nobody knows what it claims.
    disputes.allow(77).await.unwrap();
    let unwatched = rig.claim(&made_up, STRANGER, 77, 1).await;
    disputes.finalize().await.unwrap();
    rig.expect(&unwatched, CLAIMED, "the game is of unknown type 77").await;

    // A false claim under the index of an honest game.
    let honest = rig.claim(&rig.proof, PROPOSER, ALPHABET_GAME, 2).await.claim.unwrap();
    disputes.finalize().await.unwrap();
    let borrowed = GameClaim {
        root_claim: claim.root_claim,
        ..honest
    };
    let borrowed = SettlementProof {
        claim: Some(borrowed),
        ..made_up
    };
    rig.expect(&borrowed, BROKEN, "the link `claim` is broken: the game claims")
        .await;
}
