//! Fifty commitments over five streams, from the source's list to the report.

use std::collections::BTreeSet;

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
        ..Rig::config()
    };
    let running = rig.run(config, None).await;
    assert!(
        rig.sequencer.reported(50, HANG).await,
        "{:#?}",
        running.pipeline.view().status()
    );
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
    assert!(
        rig.sequencer.reported(57, HANG).await,
        "{:#?}",
        running.pipeline.view().status()
    );
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
    rig.commit(6);
    running
        .until("everything included", |status| {
            let included = status.stages.get(&Stage::Included).copied().unwrap_or(0);
            included + status.stages.get(&Stage::Safe).copied().unwrap_or(0) == 6
        })
        .await;
    rig.anvil.reorg(1).await.unwrap();
    assert!(
        rig.sequencer.reported(6, HANG).await,
        "{:#?}",
        running.pipeline.view().status()
    );
    rig.check(&BTreeSet::new()).await;
    assert!(running.pipeline.drain(HANG).await);
}
