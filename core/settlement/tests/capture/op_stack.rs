//! On the OP Stack itself: real games on L1, and an op-geth that forgets states after 128 blocks.

use std::{sync::Arc, time::Duration};

use alloy::{
    eips::{BlockId, BlockNumHash},
    providers::Provider,
};
use set_proof::GameClaim;
use set_settlement::{
    capture::Claims,
    l1::{self, Contracts, L1Provider},
};
use set_testkit::{Anvil, OpStack, deploy_on};
use tokio::time::{interval, timeout};

use crate::{
    PLENTY,
    rig::{HANG, Ledger, SEQUENCER},
};

/// Blocks whose states op-geth keeps without `--gcmode archive`.
const KEPT_STATES: u64 = 128;
const BLOCK_TIME: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_game_on_l1_is_proven_after_op_geth_has_forgotten_its_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proofs.redb");
    let overlay = dir.path().join("second.toml");
    std::fs::write(&overlay, "[block]\ntime = \"1s\"\n").unwrap();
    let op = OpStack::builder(dir.path().join("chain"))
        .archive(false)
        .overlay(&overlay);
    let op = Arc::new(op.start().await.unwrap());
    let contracts = deploy_on(op.provider(), Anvil::account(SEQUENCER).address())
        .await
        .unwrap();
    let mut ledger = Ledger::follow(op.provider().clone(), contracts).await;
    let prover = ledger.prover(&[op.rpc_url()]);
    let mut capturing = ledger.capture(Some(&path), prover, PLENTY).await;

    let batches = ledger.send(2, 20).await;
    let mut block = 0;
    for batch_id in &batches {
        block = block.max(ledger.anchored(*batch_id).await.block.number);
    }
    let l1 = l1::connect(op.l1.url(), Duration::from_secs(10)).unwrap();
    let game = game_over(&l1, &op, block).await;
    ledger.claims.send_replace(Claims::new([game]));
    let status = capturing
        .reach(|status| status.through_block == Some(game.l2_block))
        .await;
    assert_eq!((status.commitments, status.error), (22, None));
    capturing.kill().await;

    let hash = op
        .provider()
        .get_block_by_number(game.l2_block.into())
        .await
        .unwrap()
        .unwrap()
        .header
        .hash;
    let claimed = BlockNumHash {
        number: game.l2_block,
        hash,
    };
    let prover = ledger.prover(&[op.rpc_url()]);
    prover.probe(claimed).await.unwrap();
    let mut heads = ledger.heads.clone();
    let forgotten = heads.wait_for(|view| {
        let head = view.latest.map_or(0, |head| head.block.number);
        head > game.l2_block + KEPT_STATES + 2
    });
    timeout(BLOCK_TIME * 4 * KEPT_STATES as u32, forgotten)
        .await
        .unwrap()
        .unwrap();
    let error = prover.probe(claimed).await.unwrap_err();
    assert!(error.is_pruned(), "{error}");

    let captures = ledger.open(Some(&path), prover, PLENTY).await;
    for batch_id in batches {
        let evidence = captures.evidence(&ledger.anchored(batch_id).await).await.unwrap();
        assert_eq!(evidence.game, game);
        assert_eq!(ledger.verify(batch_id, evidence), game.l2_block);
    }
}

/// The first game on L1 that claims `block` or a later one.
async fn game_over(l1: &L1Provider, op: &OpStack, block: u64) -> GameClaim {
    let at = BlockId::latest();
    let contracts = Contracts::of(l1, op.contracts.portal, at).await.unwrap();
    let mut looks = interval(Duration::from_millis(250));
    let look = async {
        loop {
            looks.tick().await;
            let count = contracts.game_count(l1, at).await.unwrap();
            let games = contracts.games(l1, 0..count, at).await.unwrap();
            let claims = games.iter().filter_map(|game| game.claim());
            if let Some(claim) = claims
                .filter(|claim| claim.l2_block >= block)
                .min_by_key(|claim| claim.l2_block)
            {
                return claim;
            }
        }
    };
    timeout(HANG, look).await.unwrap()
}
