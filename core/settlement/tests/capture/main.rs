//! Keeping proofs, on a chain with the real registry, whose node forgets states as real ones do.

#![allow(clippy::unwrap_used)]

mod op_stack;
mod rig;

use std::sync::atomic::{AtomicUsize, Ordering};

use alloy::{eips::BlockNumHash, providers::Provider};
use rig::{HANG, Rig};
use serde_json::Value;
use set_settlement::capture::{Claims, NoProof};
use set_testkit::{Action, Anvil, Gate, RpcProxy, Rule};

const PLENTY: u64 = 1 << 30;
/// What nodes say of a state that they dropped.
const GONE: &str = "missing trie node 59030c2a (path ) state 0x59030c2a is not available";

#[tokio::test]
async fn evidence_outlives_the_nodes_state_and_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proofs.redb");
    // A node that keeps the states of eight blocks.
    let mut rig = Rig::start(Anvil::builder().arg("--prune-history").arg("8")).await;
    let mut capturing = rig.capture(Some(&path), rig.prover(&[rig.anvil.url()]), PLENTY).await;
    let first = rig.commit(2, 30).await;
    let game = rig.game(0).await;
    rig.claims.send_replace(Claims::new([game]));
    let status = capturing
        .reach(|status| status.through_block == Some(game.l2_block))
        .await;
    assert_eq!((status.commitments, status.error), (32, None));

    let second = rig.commit(1, 3).await;
    let later = rig.game(1).await;
    rig.claims.send_replace(Claims::new([game, later]));
    let status = capturing
        .reach(|status| status.through_block == Some(later.l2_block))
        .await;
    assert_eq!(status.commitments, 36, "none is taken for twice");
    rig.mine(12).await;

    let header = rig
        .anvil
        .provider()
        .get_block_by_number(game.l2_block.into())
        .await
        .unwrap()
        .unwrap()
        .header;
    let block = BlockNumHash {
        number: game.l2_block,
        hash: header.hash,
    };
    let error = rig.prover(&[rig.anvil.url()]).probe(block).await.unwrap_err();
    assert!(error.is_pruned(), "{error}");
    capturing.kill().await;
    let capturing = rig.capture(Some(&path), rig.prover(&[rig.anvil.url()]), PLENTY).await;
    for (batches, game) in [(first, game), (second, later)] {
        for batch_id in batches {
            let claimed = capturing
                .captures
                .evidence(&rig.anchored(batch_id).await)
                .await
                .unwrap();
            assert_eq!(claimed.game, game);
            assert_eq!(rig.verify(batch_id, claimed), game.l2_block);
        }
    }
}

#[tokio::test]
async fn a_state_that_is_gone_is_said_and_the_next_game_makes_up_for_it() {
    let mut rig = Rig::start(Anvil::builder().arg("--prune-history").arg("8")).await;
    let batches = rig.commit(1, 1).await;
    let game = rig.game(0).await;
    rig.mine(12).await;
    let mut capturing = rig.capture(None, rig.prover(&[rig.anvil.url()]), PLENTY).await;
    rig.claims.send_replace(Claims::new([game]));
    let status = capturing.reach(|status| status.error.is_some()).await;
    let error = status.error.unwrap();
    for words in [
        "--gcmode archive",
        "chain.proof_url",
        rig.anvil.url().as_str().trim_end_matches('/'),
    ] {
        assert!(error.contains(words), "{error}");
    }
    let anchored = rig.anchored(batches[0]).await;
    let error = capturing.captures.evidence(&anchored).await.unwrap_err();
    assert!(matches!(&error, NoProof::Unprovable { .. }), "{error}");

    rig.mine(1).await;
    let later = rig.game(1).await;
    rig.claims.send_replace(Claims::new([game, later]));
    let status = capturing
        .reach(|status| status.through_block == Some(later.l2_block))
        .await;
    assert_eq!((status.commitments, status.error), (2, None));
    let claimed = capturing.captures.evidence(&anchored).await.unwrap();
    assert_eq!(rig.verify(anchored.batch_id, claimed), later.l2_block);
}

#[tokio::test]
async fn a_node_that_cannot_prove_is_named_at_the_start() {
    let rig = Rig::start(Anvil::builder().slots_in_an_epoch(1)).await;
    rig.mine(4).await;
    let pruned = RpcProxy::start(rig.anvil.url().clone()).await.unwrap();
    pruned.inject(Rule::on(["eth_getProof"], Action::error(GONE)));
    let mut capturing = rig.capture(None, rig.prover(&[&pruned.url()]), PLENTY).await;
    let status = capturing.reach(|status| status.error.is_some()).await;
    let error = status.error.unwrap();
    assert!(error.contains("--gcmode archive") && error.contains(GONE), "{error}");
}

#[tokio::test]
async fn another_node_proves_what_the_first_forgot() {
    let mut rig = Rig::start(Anvil::builder()).await;
    let batches = rig.commit(1, 1).await;
    let pruned = RpcProxy::start(rig.anvil.url().clone()).await.unwrap();
    pruned.inject(Rule::on(["eth_getProof"], Action::error(GONE)));
    let mut capturing = rig
        .capture(None, rig.prover(&[&pruned.url(), rig.anvil.url()]), PLENTY)
        .await;
    let game = rig.game(0).await;
    rig.claims.send_replace(Claims::new([game]));
    let status = capturing
        .reach(|status| status.through_block == Some(game.l2_block))
        .await;
    assert_eq!((status.commitments, status.error), (2, None));
    // Nor does anybody have to wait until it is kept.
    let live = rig
        .open(None, rig.prover(&[&pruned.url(), rig.anvil.url()]), PLENTY)
        .await;
    for batch_id in batches {
        let anchored = rig.anchored(batch_id).await;
        for captures in [&capturing.captures, &live] {
            assert_eq!(
                rig.verify(batch_id, captures.evidence(&anchored).await.unwrap()),
                game.l2_block
            );
        }
    }
}

#[tokio::test]
async fn what_a_reorg_took_from_the_claimed_block_is_not_kept_as_proven() {
    let mut rig = Rig::start(Anvil::builder()).await;
    let batches = rig.commit(0, 2).await;
    let anchored = rig.anchored(batches[0]).await;
    // The chain goes on without them, and a game claims that; the index hears of it later.
    let proxy = RpcProxy::start(rig.anvil.url().clone()).await.unwrap();
    let gate = Gate::closed();
    proxy.inject(Rule::on(["eth_getProof"], Action::Hold(gate.clone())));
    let mut capturing = rig.capture(None, rig.prover(&[&proxy.url()]), PLENTY).await;
    let before = rig.game(0).await;
    rig.claims.send_replace(Claims::new([before]));
    assert!(gate.reached(1, HANG).await);
    rig.anvil.reorg(1).await.unwrap();
    rig.mine(1).await;
    let game = rig.game(1).await;
    rig.claims.send_replace(Claims::new([game]));
    gate.open();
    let status = capturing
        .reach(|status| status.through_block == Some(game.l2_block))
        .await;
    assert_eq!(status.error, None);
    let error = capturing.captures.evidence(&anchored).await.unwrap_err();
    assert!(matches!(error, NoProof::NotHeld(_)), "{error}");

    let again = rig.commit(0, 2).await;
    let later = rig.game(2).await;
    rig.claims.send_replace(Claims::new([game, later]));
    capturing
        .reach(|status| status.through_block == Some(later.l2_block))
        .await;
    let claimed = capturing
        .captures
        .evidence(&rig.anchored(again[0]).await)
        .await
        .unwrap();
    assert_eq!(rig.verify(again[0], claimed), later.l2_block);
}

#[tokio::test]
async fn a_game_that_falls_gives_way_to_a_later_one() {
    let mut rig = Rig::start(Anvil::builder()).await;
    let batches = rig.commit(1, 1).await;
    let mut capturing = rig.capture(None, rig.prover(&[rig.anvil.url()]), PLENTY).await;
    let game = rig.game(0).await;
    rig.claims.send_replace(Claims::new([game]));
    capturing
        .reach(|status| status.through_block == Some(game.l2_block))
        .await;
    rig.claims.send_replace(Claims::default());
    let anchored = rig.anchored(batches[0]).await;
    let error = capturing.captures.evidence(&anchored).await.unwrap_err();
    assert!(matches!(error, NoProof::NotClaimed { newest: None, .. }), "{error}");

    rig.commit(0, 1).await;
    let later = rig.game(1).await;
    rig.claims.send_replace(Claims::new([later]));
    let status = capturing
        .reach(|status| status.through_block == Some(later.l2_block))
        .await;
    assert_eq!(status.commitments, 3);
    let claimed = capturing.captures.evidence(&anchored).await.unwrap();
    assert_eq!(claimed.game, later);
    assert_eq!(rig.verify(anchored.batch_id, claimed), later.l2_block);
}

#[tokio::test]
async fn what_is_killed_on_its_way_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proofs.redb");
    let mut rig = Rig::start(Anvil::builder().gas_limit(60_000_000)).await;
    let batches = rig.commit(0, 260).await;
    let game = rig.game(0).await;
    let proxy = RpcProxy::start(rig.anvil.url().clone()).await.unwrap();
    // The second large question is never answered.
    let (gate, asked) = (Gate::closed(), AtomicUsize::new(0));
    let second = move |params: &Value| {
        let large = params[1].as_array().is_some_and(|slots| slots.len() > 200);
        large && asked.fetch_add(1, Ordering::SeqCst) > 0
    };
    proxy.inject(Rule::on(["eth_getProof"], Action::Hold(gate.clone())).when(second));
    let capturing = rig.capture(Some(&path), rig.prover(&[&proxy.url()]), PLENTY).await;
    rig.claims.send_replace(Claims::new([game]));
    assert!(gate.reached(1, HANG).await);
    capturing.kill().await;

    let mut capturing = rig.capture(Some(&path), rig.prover(&[rig.anvil.url()]), PLENTY).await;
    let status = capturing
        .reach(|status| status.through_block == Some(game.l2_block))
        .await;
    assert_eq!(status.commitments, 260, "none is taken for twice");
    for batch_id in batches.into_iter().step_by(20) {
        let claimed = capturing
            .captures
            .evidence(&rig.anchored(batch_id).await)
            .await
            .unwrap();
        rig.verify(batch_id, claimed);
    }
}

#[tokio::test]
async fn the_oldest_gives_way_where_there_is_no_room_for_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("proofs.redb");
    let mut rig = Rig::start(Anvil::builder().arg("--prune-history").arg("8")).await;
    let first = rig.commit(0, 40).await;
    let game = rig.game(0).await;
    let mut capturing = rig.capture(Some(&path), rig.prover(&[rig.anvil.url()]), PLENTY).await;
    rig.claims.send_replace(Claims::new([game]));
    let status = capturing
        .reach(|status| status.through_block == Some(game.l2_block))
        .await;
    capturing.kill().await;

    let limit = status.bytes * 3 / 2;
    let mut capturing = rig.capture(Some(&path), rig.prover(&[rig.anvil.url()]), limit).await;
    let second = rig.commit(0, 40).await;
    let later = rig.game(1).await;
    rig.claims.send_replace(Claims::new([game, later]));
    let status = capturing
        .reach(|status| status.through_block == Some(later.l2_block))
        .await;
    assert!(status.bytes <= limit && status.error.is_none(), "{status:?}");
    rig.mine(12).await;
    let claimed = capturing
        .captures
        .evidence(&rig.anchored(second[0]).await)
        .await
        .unwrap();
    assert_eq!(rig.verify(second[0], claimed), later.l2_block);
    let error = capturing
        .captures
        .evidence(&rig.anchored(first[0]).await)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`settlement.max_proof_bytes`") && error.ends_with("the block's state is no longer there"),
        "{error}"
    );
}
