//! Fifty commitments over five streams, from the source's list to the report.

use std::{collections::BTreeSet, time::Duration};

use set_pipeline::{EventsRootCheck, PipelineConfig, StateRootCheck};
use set_types::Stage;

use crate::rig::{HANG, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_is_anchored_once_and_reported_when_safe() {
    let rig = Rig::start(5).await;
    rig.commit(50);
    let config = PipelineConfig {
        verify_state_root: StateRootCheck::Enforce,
        verify_events_root: EventsRootCheck::Sample,
        // What is ready waits so long for what is still being checked.
        poll_interval: Duration::from_secs(5),
        blocked_recheck: Duration::from_secs(5),
        ..Rig::config()
    };
    let running = rig.run(config, None).await;
    rig.reported(50, &running).await;
    running
        .until("everything reported", |status| {
            status.stages.get(&Stage::Reported) == Some(&50) && status.holds.is_empty() && status.alarms.is_empty()
        })
        .await;
    rig.check(&BTreeSet::new()).await;
    let transactions: BTreeSet<_> = rig.committed().await.into_values().flatten().collect();
    assert!(transactions.len() <= 3, "fifty fit few transactions: {transactions:?}");

    // What comes later continues the streams.
    rig.commit(7);
    rig.reported(57, &running).await;
    rig.check(&BTreeSet::new()).await;
    assert!(running.pipeline.drain(HANG).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_before_the_tag_is_repaired_silently() {
    let rig = Rig::start(2).await;
    let running = rig
        .run(
            PipelineConfig {
                report_at: set_chain::SettlementTag::Finalized,
                ..Rig::config()
            },
            None,
        )
        .await;
    // Blocks come when they are asked for, so that nothing is finalized before it is undone.
    rig.anvil.set_block_time(0).await.unwrap();
    rig.commit(6);
    let all_are = async |stage: Stage| {
        running
            .until(&format!("all of them {stage:?}"), |status| {
                status.stages.get(&stage) == Some(&6)
            })
            .await;
    };
    all_are(Stage::Sent).await;
    rig.anvil.mine(1).await.unwrap();
    all_are(Stage::Included).await;
    rig.anvil.reorg(1).await.unwrap();
    all_are(Stage::Sent).await;
    rig.anvil.set_block_time(1).await.unwrap();
    rig.reported(6, &running).await;
    rig.check(&BTreeSet::new()).await;
    assert!(running.pipeline.drain(HANG).await);
}
