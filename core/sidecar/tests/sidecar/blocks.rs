//! Blocks that do not take what is sent: full ones, and a builder that passes over what is large.

use set_testkit::{Rule, Sequencer, sequencer::Preload};

use crate::{stage::Stage, watch};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_over_for_its_size_goes_out_in_smaller_calls() {
    const STREAMS: usize = 10;
    const BATCHES: usize = 12;
    let preload = Preload {
        streams: STREAMS,
        batches: BATCHES,
        ..Preload::default()
    };
    let stage = Stage::with(Sequencer::builder().seed(95).streams(0).preload(preload)).await;
    // Some thirty commitments of 128 bytes each and more.
    stage.node.inject(Rule::swallow(5_000));
    let sidecar = stage
        .quick_sidecar()
        .set("txmgr.resubmission_timeout", "3s")
        .start()
        .await
        .unwrap();
    stage.reported(STREAMS * BATCHES).await;
    stage.assert_all_anchored().await;
    watch::status(&sidecar, "the end of every hold", watch::is_well).await;
}
