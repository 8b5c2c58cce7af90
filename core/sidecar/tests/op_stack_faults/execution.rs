//! op-geth, killed: it forgets its newest blocks, and op-node makes others of the same numbers.

use alloy::providers::Provider;
use set_testkit::Sequencer;

use crate::stage::{PATIENCE, Stage, health, hold, metric, until};

/// How often op-geth may be killed until it has forgotten a block: mostly it forgets some each time.
const ATTEMPTS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn what_a_killed_op_geth_forgets_is_anchored_again() {
    let stage = Stage::with(Sequencer::builder().seed(82).streams(3)).await;
    let sidecar = stage.sidecar().start().await.unwrap();
    stage.all_anchored(&stage.commit_everywhere(1)).await;

    let mut forgotten = false;
    for _ in 0..ATTEMPTS {
        // Some of it is in the newest block, and some in the pool.
        let newest = stage.commit_everywhere(1);
        stage.all_anchored(&newest).await;
        stage.commit_everywhere(1);
        let number = stage.op.provider().get_block_number().await.unwrap();
        let before = stage.hash(number).await;
        stage.op.geth().kill().await.unwrap();

        let said = hold(&sidecar, "chain").await;
        let (code, body) = health(&sidecar, "readyz").await;
        assert!(code == 503 && body.contains(&said), "{code} {body}: {said}");
        metric(&sidecar, "set_chain_reachable", "", "0").await;
        sidecar.process.line_with("node unreachable", PATIENCE).await.unwrap();

        stage.op.geth().restart().await.unwrap();
        // Where op-geth has forgotten blocks that op-node knows, op-node takes that for a node that is syncing, and
        // waits; started again, it asks op-geth what it has.
        stage.op.node().restart().await.unwrap();
        until("new blocks", async || {
            stage.op.provider().get_block_number().await.unwrap() > number
        })
        .await;
        metric(&sidecar, "set_chain_reachable", "", "1").await;
        if stage.hash(number).await != before {
            forgotten = true;
            break;
        }
    }
    assert!(forgotten, "op-geth, killed {ATTEMPTS} times, kept all blocks");
    stage.all_is_well(&sidecar).await;
}
