//! op-node, which makes the blocks: told to leave that, killed, and back.

use serde_json::json;
use set_testkit::Sequencer;

use crate::stage::{Stage, alarm, health, metric, over};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn while_nobody_makes_blocks_commitments_wait() {
    let stage = Stage::with(Sequencer::builder().seed(83).streams(3)).await;
    let sidecar = stage.sidecar().start().await.unwrap();
    stage.all_anchored(&stage.commit_everywhere(1)).await;

    // One sequencer leaves, and another one takes over from its last block.
    let last = stage.node("admin_stopSequencer", json!([])).await;
    let waiting = stage.commit_everywhere(2);
    let said = alarm(&sidecar, "head_stands").await;
    assert!(said.contains("admin_sequencerActive"), "{said}");
    metric(&sidecar, "set_settlement_alarm", "kind=\"head_stands\"", "1").await;
    let (code, body) = health(&sidecar, "healthz").await;
    assert!(
        code == 206 && body.contains("the newest block is still"),
        "{code} {body}"
    );
    assert_eq!(stage.anchored(&waiting).await, 0);
    stage.node("admin_startSequencer", json!([last])).await;
    stage.all_anchored(&waiting).await;
    over(&sidecar, "head_stands").await;

    stage.all_reported().await;

    // op-node is gone, and with it both the blocks and the word on what is safe.
    stage.op.node().kill().await.unwrap();
    let waiting = stage.commit_everywhere(2);
    alarm(&sidecar, "head_stands").await;
    alarm(&sidecar, "op_node").await;
    metric(&sidecar, "set_chain_op_node_up", "", "0").await;
    metric(&sidecar, "set_chain_reachable", "", "1").await;
    assert_eq!(stage.anchored(&waiting).await, 0);
    stage.op.node().restart().await.unwrap();
    stage.all_anchored(&waiting).await;
    stage.all_is_well(&sidecar).await;
}
