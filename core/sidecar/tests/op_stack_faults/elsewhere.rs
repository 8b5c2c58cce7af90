//! Nodes that are of another chain, or have not come to where this one is.

use serde_json::json;
use set_testkit::{
    OpStack, Sequencer,
    op_stack::{LoneGeth, Parts},
};

use crate::stage::{Stage, alarm, health, hold, metric, status, until};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_node_of_another_chain_or_behind_is_not_believed() {
    let stage = Stage::with(Sequencer::builder().seed(84).streams(2)).await;
    let waiting = stage.commit_everywhere(2);

    // L1's node in the place of L2's.
    let l1 = stage.op.l1.url();
    let sidecar = stage.sidecar().rpc_urls([l1]).launch().await.unwrap();
    // Before the first answer, and after one that comes too late, it has other words.
    until("the other chain named", async || {
        let held = hold(&sidecar, "chain").await.contains("chain 900");
        let (code, body) = health(&sidecar, "readyz").await;
        held && code == 503 && body.contains("chain 900")
    })
    .await;
    metric(&sidecar, "set_chain_reachable", "", "0").await;
    assert_eq!(stage.anchored(&waiting).await, 0);
    assert!(sidecar.stop().await.unwrap().success());

    // A node that has only just started to sync: it has no registry yet.
    let genesis = stage.dir.path().join("chain/genesis.json");
    let behind = LoneGeth::start(&stage.dir.path().join("behind"), &genesis, [])
        .await
        .unwrap();
    let sidecar = stage.sidecar().rpc_urls([behind.url()]).launch().await.unwrap();
    let at_genesis = |status: &serde_json::Value| status["chain"]["latest"]["number"] == "0x0";
    let shown = status(&sidecar, "a node at its first block", at_genesis).await;
    assert_eq!(
        shown["pipeline"]["stages"]["sent"].as_u64().unwrap_or_default(),
        0,
        "{shown:#}"
    );
    alarm(&sidecar, "head_stands").await;
    assert_eq!(stage.anchored(&waiting).await, 0);
    assert!(sidecar.stop().await.unwrap().success());

    // Both beside the right one: that one is asked. op-node is another chain's: nothing is safe by its word.
    let other = OpStack::builder(stage.dir.path().join("other")).parts(Parts::NODE);
    let other = other.start().await.unwrap();
    let urls = [behind.url(), l1, stage.op.rpc_url()];
    let sidecar = stage
        .sidecar()
        .rpc_urls(urls)
        .set("chain.op_node_url", other.node_url())
        .start()
        .await
        .unwrap();
    stage.all_anchored(&waiting).await;
    until("op-node contradicted", async || {
        let said = alarm(&sidecar, "op_node").await;
        said.contains("which the node does not have")
    })
    .await;
    metric(&sidecar, "set_chain_op_node_up", "", "0").await;
    let safe = async || stage.node("optimism_syncStatus", json!([])).await["safe_l2"]["number"].as_u64();
    let newest = stage.node("optimism_syncStatus", json!([])).await["unsafe_l2"]["number"].as_u64();
    until("safe blocks", async || safe().await >= newest).await;
    assert!(stage.none_reported(&waiting));
    assert!(sidecar.stop().await.unwrap().success());
    drop(other);

    let sidecar = stage.sidecar().rpc_urls(urls).start().await.unwrap();
    stage.all_is_well(&sidecar).await;
}
