//! kill -9 at any moment, with and without the data directory.

use std::time::Duration;

use set_testkit::{
    Sequencer, SidecarBuilder,
    sequencer::{Load, Preload},
};

use crate::stage::{PATIENCE, Stage};

const BATCHES: usize = 60;

async fn stage() -> Stage {
    let load = Load {
        interval: Duration::from_millis(60),
        events: 1..=4,
        batches: Some(BATCHES as u64),
    };
    Stage::with(Sequencer::builder().seed(11).streams(4).load(load)).await
}

/// Kills the sidecar whenever so many commitments were reported, and starts it again.
async fn killed_again_and_again(stage: &Stage, sidecar: &SidecarBuilder) {
    for reported in [3, 17, 31, 44] {
        let running = sidecar.start().await.unwrap();
        stage.reported(reported).await;
        running.process.kill();
        running.process.wait(PATIENCE).await.unwrap();
    }
    let running = sidecar.start().await.unwrap();
    stage.reported(BATCHES).await;
    assert!(running.stop().await.unwrap().success());
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_on_its_way() {
    let preload = Preload {
        streams: 5,
        batches: 4,
        ..Preload::default()
    };
    let stage = Stage::with(Sequencer::builder().seed(14).streams(0).preload(preload)).await;
    let running = stage
        .sidecar()
        // What is ready waits so long for what is still being checked, so that one call takes all of it.
        .set("commitment.poll_interval", "1m")
        .set("commitment.blocked_recheck", "1m")
        .set("sidecar.shutdown_timeout", "100s")
        .set("sidecar.log", "info,set_txmgr=debug")
        .start()
        .await
        .unwrap();
    let sent = running.process.line_with("transaction sent", PATIENCE);
    sent.await.unwrap();
    running.process.terminate();
    assert!(running.process.wait(PATIENCE).await.unwrap().success());
    assert_eq!(
        stage.committed().await.len(),
        20,
        "the call that was sent is in a block"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_its_data_directory_it_goes_on() {
    let stage = stage().await;
    let data = stage.dir.path().join("data");
    let sidecar = stage.sidecar().set("sidecar.data_dir", data.display());
    killed_again_and_again(&stage, &sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_without_a_data_directory_it_goes_on() {
    let stage = stage().await;
    let sidecar = stage.sidecar();
    killed_again_and_again(&stage, &sidecar).await;
}
