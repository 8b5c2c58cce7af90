//! op-geth, killed: it forgets its newest blocks, and op-node makes others of the same numbers.

use alloy::providers::Provider;
use set_testkit::Sequencer;

use crate::stage::{PATIENCE, Stage, health, hold, metric, until};

/// How often op-geth may be killed until it has forgotten a block with commitments: mostly once or twice is enough.
const ATTEMPTS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn what_a_killed_node_forgets_is_anchored_again() {
    let stage = Stage::with(Sequencer::builder().seed(82).streams(3)).await;
    let sidecar = stage.sidecar().start().await.unwrap();
    stage.all_anchored(&stage.commit_everywhere(1)).await;

    let mut forgotten = false;
    for _ in 0..ATTEMPTS {
        stage.all_reported().await;
        // Some of it is in the newest block, and some in the pool.
        let newest = stage.commit_everywhere(1);
        stage.all_anchored(&newest).await;
        stage.commit_everywhere(1);
        let number = stage.op.provider().get_block_number().await.unwrap();
        stage.op.geth().kill().await.unwrap();

        // What the next call finds may have other words for it.
        until("a sidecar that says why it is not ready", async || {
            let said = hold(&sidecar, "chain").await;
            let (code, body) = health(&sidecar, "readyz").await;
            code == 503 && body.contains(&said)
        })
        .await;
        metric(&sidecar, "set_chain_reachable", "", "0").await;
        sidecar.process.line_with("node unreachable", PATIENCE).await.unwrap();

        // What was reported until then was judged by an op-node that knew it.
        stage.all_judged().await;
        // A service manager restarts op-node with op-geth: what op-geth has forgotten, an op-node that knows it would
        // give it again, or wait for.
        stage.op.node().kill().await.unwrap();
        stage.op.geth().restart().await.unwrap();
        let kept = stage.anchored(&newest).await;
        stage.op.node().restart().await.unwrap();
        until("new blocks", async || {
            stage.op.provider().get_block_number().await.unwrap() > number
        })
        .await;
        metric(&sidecar, "set_chain_reachable", "", "1").await;
        if kept < newest.len() {
            forgotten = true;
            break;
        }
    }
    assert!(forgotten, "op-geth, killed {ATTEMPTS} times, kept every commitment");
    stage.all_is_well(&sidecar).await;
}
