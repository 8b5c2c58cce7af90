//! Killed at any moment and started again, with its data or without.

use std::collections::BTreeSet;

use set_types::Stage;

use crate::rig::{HANG, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_each_stage_loses_nothing_and_repeats_nothing() {
    for keeps_data in [true, false] {
        let rig = Rig::start(5).await;
        let data = tempfile::tempdir().unwrap();
        let data = keeps_data.then(|| data.path());
        let mut made = 0;
        for stage in [
            Stage::Found,
            Stage::Planned,
            Stage::Sent,
            Stage::Included,
            Stage::Reported,
        ] {
            rig.commit(10);
            made += 10;
            let running = rig.run(Rig::config(), data).await;
            // Whatever stage this is caught in, or the next: the point is that it is anywhere.
            running
                .until("a stage", |status| {
                    status.stages.keys().any(|reached| *reached >= stage)
                })
                .await;
            running.kill().await;
        }
        let running = rig.run(Rig::config(), data).await;
        rig.reported(made, &running).await;
        rig.check(&BTreeSet::new()).await;
        assert!(running.pipeline.drain(HANG).await);
    }
}
