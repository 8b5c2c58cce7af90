//! Bad commitments: each stops its own stream, says why, and nobody else waits.

use std::collections::BTreeSet;

use set_pipeline::{EventsRootCheck, PipelineConfig, StateRootCheck};
use set_testkit::sequencer::Defect;
use set_types::{BatchId, Stage};

use crate::rig::{HANG, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_commitment_stops_its_own_stream_and_says_why() {
    let defects = [
        (Defect::PrevStateRoot, "`prev_state_root` is"),
        (Defect::EventCount, "`event_count` is 4"),
        (Defect::StateRoot, "VES v1 gives"),
        (Defect::EventsRoot, "does not verify"),
        (Defect::Gap, "waiting for sequence 7"),
    ];
    let rig = Rig::start(defects.len() + 1).await;
    let streams = rig.sequencer.streams();
    let mut bad: Vec<(BatchId, &str)> = Vec::new();
    let mut stuck = BTreeSet::new();
    for (number, (defect, reason)) in defects.into_iter().enumerate() {
        rig.sequencer.commit(streams[number], 3);
        rig.sequencer.commit(streams[number], 3);
        let flawed = rig.sequencer.commit_flawed(streams[number], 3, defect).batch_id;
        bad.push((flawed, reason));
        stuck.insert(flawed);
        stuck.insert(rig.sequencer.commit(streams[number], 3).batch_id);
    }
    let good = streams[defects.len()];
    for _ in 0..4 {
        rig.sequencer.commit(good, 3);
    }
    let config = PipelineConfig {
        verify_state_root: StateRootCheck::Enforce,
        verify_events_root: EventsRootCheck::Full,
        // What is set aside stays so while it is looked at.
        quarantine_recheck: HANG,
        ..Rig::config()
    };
    let data = tempfile::tempdir().unwrap();
    let running = rig.run(config.clone(), Some(data.path())).await;
    let expected = 2 * defects.len() + 4;
    rig.reported(expected, &running).await;
    running
        .until("the bad ones set aside", |status| {
            let blocked = status.stages.get(&Stage::Blocked).copied().unwrap_or(0);
            let quarantined = status.stages.get(&Stage::Quarantined).copied().unwrap_or(0);
            blocked + quarantined == stuck.len() && quarantined >= defects.len() - 1
        })
        .await;
    let show = |running: &crate::rig::Running| {
        for (batch_id, reason) in &bad {
            let pending = running.get(*batch_id).unwrap();
            let said = pending.reason.unwrap();
            assert!(said.contains(reason), "{said}");
            let wanted = if reason.starts_with("waiting") {
                Stage::Blocked
            } else {
                Stage::Quarantined
            };
            assert_eq!(pending.stage, wanted);
        }
    };
    show(&running);
    rig.check(&stuck).await;
    let since: Vec<_> = bad
        .iter()
        .map(|(batch, _)| running.get(*batch).unwrap().since)
        .collect();
    running.kill().await;

    // The same after a restart, and known since the first time.
    let running = rig.run(config, Some(data.path())).await;
    running
        .until("the bad ones set aside again", |status| {
            status.stages.get(&Stage::Quarantined).copied().unwrap_or(0) >= defects.len() - 1
                && !status.stages.contains_key(&Stage::Found)
        })
        .await;
    show(&running);
    for ((batch_id, reason), since) in bad.iter().zip(since) {
        if !reason.starts_with("waiting") {
            assert_eq!(running.get(*batch_id).unwrap().since, since);
        }
    }
    rig.check(&stuck).await;
    assert!(running.pipeline.drain(HANG).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_registry_holds_everything_and_resumes_by_itself() {
    let rig = Rig::start(2).await;
    rig.pause(true).await;
    rig.commit(6);
    let running = rig.run(Rig::config(), None).await;
    running
        .until("the hold", |status| {
            status
                .holds
                .iter()
                .any(|hold| hold.reason.to_lowercase().contains("pause"))
        })
        .await;
    rig.pause(false).await;
    rig.reported(6, &running).await;
    rig.check(&BTreeSet::new()).await;
    running.until("no hold", |status| status.holds.is_empty()).await;
    assert!(running.pipeline.drain(HANG).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_proof_is_caught_by_a_sample_and_forgiven_once_the_source_is_healed() {
    let rig = Rig::start(2).await;
    rig.sequencer.set_faults(|faults| faults.false_proofs = true);
    let batches = rig.commit(4);
    let config = PipelineConfig {
        verify_events_root: EventsRootCheck::Sample,
        ..Rig::config()
    };
    let data = tempfile::tempdir().unwrap();
    let running = rig.run(config.clone(), Some(data.path())).await;
    let caught = |status: &set_pipeline::PipelineStatus| status.stages.get(&Stage::Quarantined) == Some(&2);
    running.until("both streams stopped", caught).await;
    let first = running.get(batches[0]).unwrap();
    assert!(first.reason.unwrap().contains("does not verify"));
    assert_eq!(rig.sent(crate::rig::SENDER).await, 0);
    running.kill().await;

    // A restart looks for it anew, and finds it again.
    let running = rig.run(config, Some(data.path())).await;
    running.until("both streams stopped again", caught).await;
    rig.sequencer.heal();
    rig.reported(4, &running).await;
    rig.check(&BTreeSet::new()).await;
    assert!(running.pipeline.drain(HANG).await);
}
