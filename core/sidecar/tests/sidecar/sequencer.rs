//! A sequencer that fails in each of the ways that its API has, and one whose list is full.

use std::time::Duration;

use serde_json::{Value, json};
use set_testkit::{
    Rule, Sequencer, Sidecar,
    sequencer::{Defect, Faults, Preload, RateLimit},
};
use set_types::Timestamp;

use crate::{
    stage::{PATIENCE, Stage},
    watch,
};

/// Waits until the sidecar says that the source does not answer, in every place where it is to be seen.
async fn seen_as_down(sidecar: &Sidecar, reason: &str) {
    let status = watch::status(sidecar, reason, |status| {
        let source = &status["pipeline"]["source"];
        source["healthy"] == false && source["error"].as_str().is_some_and(|error| error.contains(reason))
    })
    .await;
    assert_eq!(watch::in_stage(&status, "quarantined"), 0, "{status}");
    watch::health_says(sidecar, "healthz", reason).await;
    sidecar
        .process
        .line_with("the source does not answer", PATIENCE)
        .await
        .unwrap();
}

async fn seen_as_up(sidecar: &Sidecar) {
    watch::status(sidecar, "the source well", |status| {
        let source = &status["pipeline"]["source"];
        source["healthy"] == true && source["error"].is_null() && watch::is_well(status)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_outage_is_seen_and_ends_without_a_trace() {
    type Outage = (fn(&mut Faults), &'static str);
    let outages: [Outage; 9] = [
        (|faults| faults.silence_ms = Some(300), "504"),
        (|faults| faults.hang_ups = u32::MAX, "the connection broke"),
        (|faults| faults.rate_limited = u32::MAX, "429"),
        (|faults| faults.pool_exhausted = u32::MAX, "pool_exhausted"),
        (|faults| faults.internal_errors = u32::MAX, "500"),
        (|faults| faults.truncated = u32::MAX, "no list of commitments"),
        (|faults| faults.cut_off = u32::MAX, "the connection broke"),
        (|faults| faults.web_pages = u32::MAX, "no list of commitments"),
        // Nobody gets an answer who asks at all.
        (
            |faults| {
                faults.rate_limit = Some(RateLimit {
                    requests: 0,
                    window_ms: 60_000,
                });
            },
            "429",
        ),
    ];
    let stage = Stage::with(Sequencer::builder().seed(81).streams(2)).await;
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    let mut made = 0;
    for (fault, said) in outages {
        stage.sequencer().set_faults(|faults| {
            faults.retry_after_s = Some(1);
            fault(faults);
        });
        made += stage.commit_everywhere(1).len();
        seen_as_down(&sidecar, said).await;
        stage.sequencer().heal();
        stage.reported(made).await;
        seen_as_up(&sidecar).await;
    }
    assert!(watch::metric(&sidecar, "set_pipeline_polls_total", &[("result", "failed")]).await >= Some(9.0));
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn down_at_start_and_away_for_a_while_it_is_waited_for() {
    let mut stage = Stage::with(Sequencer::builder().seed(82).streams(2)).await;
    stage.stack.sequencer.go_down().await;
    let sidecar = stage.quick_sidecar().launch().await.unwrap();
    seen_as_down(&sidecar, "refused").await;
    stage.stack.sequencer.come_back().await.unwrap();
    let mut made = stage.commit_everywhere(2).len();
    stage.reported(made).await;
    sidecar.ready().await.unwrap();

    // Without blocks they stay on their way.
    stage.chain().set_block_time(0).await.unwrap();
    let sent = stage.commit_everywhere(1).len();
    made += sent;
    watch::status(&sidecar, "them on their way", |status| {
        watch::in_stage(status, "sent") == sent
    })
    .await;
    stage.stack.sequencer.go_down().await;
    seen_as_down(&sidecar, "").await;
    stage.chain().set_block_time(1).await.unwrap();
    watch::status(&sidecar, "them in blocks and not reported", |status| {
        watch::in_stage(status, "included") == sent
    })
    .await;
    stage.stack.sequencer.come_back().await.unwrap();
    stage.reported(made).await;
    seen_as_up(&sidecar).await;
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_bad_in_part_stop_nothing() {
    let faults: [fn(&mut Faults); 8] = [
        |faults| faults.stale_ms = 3_000,
        |faults| faults.holes = true,
        |faults| faults.malformed = 30,
        |faults| faults.content_type = Some("application/octet-stream".into()),
        |faults| faults.delay_ms = 300,
        |faults| faults.timeouts_after_write = 3,
        |faults| faults.timeouts_before_write = 3,
        |faults| {
            faults.rate_limit = Some(RateLimit {
                requests: 4,
                window_ms: 1_000,
            });
        },
    ];
    let stage = Stage::with(Sequencer::builder().seed(83).streams(3)).await;
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    let mut made = 0;
    for fault in faults {
        stage.sequencer().set_faults(|faults| {
            faults.retry_after_s = Some(1);
            fault(faults);
        });
        made += stage.commit_everywhere(3).len();
        stage.reported(made).await;
        if stage.sequencer().faults().malformed > 0 {
            let status = watch::status(&sidecar, "what cannot be read", |status| {
                status["pipeline"]["malformed"]
                    .as_array()
                    .is_some_and(|entries| entries.len() == 30)
            })
            .await;
            let reason = &status["pipeline"]["malformed"][0]["reason"];
            assert!(reason.as_str().unwrap().contains("batch_id"), "{reason}");
            watch::metric_is(&sidecar, "set_pipeline_malformed", &[], 30.0).await;
        }
        stage.sequencer().heal();
    }
    seen_as_up(&sidecar).await;
    stage.assert_all_anchored().await;
    let reports = stage.sequencer().reports();
    let recorded = reports.iter().filter(|report| report.recorded).count();
    assert_eq!(recorded, made);
    // What stays listed is not reported again and again.
    assert!(reports.len() < 2 * made, "{} reports of {made}", reports.len());
}

/// Whether there is an alarm of a full window, which says what it is full of.
fn says(status: &Value, of: &str) -> bool {
    let message = watch::alarm(status, "window_full").and_then(|alarm| alarm["message"].as_str());
    message.is_some_and(|message| message.contains(of))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_full_of_what_is_anchored_does_not_stop_known_streams() {
    const WINDOW: usize = 12;
    let stage = Stage::with(Sequencer::builder().seed(84).streams(3)).await;
    let settled = |block| {
        stage
            .node
            .replace(["safe", "finalized"].map(|tag| Rule::pin(tag, block)))
    };
    settled(stage.stack.contracts.block);
    let sidecar = stage
        .quick_sidecar()
        .set("commitment.poll_limit", WINDOW)
        .set("commitment.report_at", "safe")
        .set("txmgr.watch_until", "safe")
        .start()
        .await
        .unwrap();
    let mut made = 0;
    for _ in 0..3 {
        made += stage.commit_everywhere(4).len();
        watch::status(&sidecar, "all of it in blocks", |status| {
            watch::in_stage(status, "included") == made
        })
        .await;
    }
    // Nobody can know of this one before the window moves.
    let hidden = stage.sequencer().open_stream(1);
    stage.sequencer().commit(hidden, 2);
    let status = watch::status(&sidecar, "the alarm", |status| says(status, "12 included")).await;
    assert_eq!(status["pipeline"]["window"]["stages"], json!({"included": WINDOW}));
    watch::metric_is(&sidecar, "set_pipeline_window_full", &[], 1.0).await;
    assert_eq!(stage.committed().await.len(), made);

    settled(stage.chain().block_number().await.unwrap());
    watch::status(&sidecar, "the hidden one", |status| {
        watch::in_stage(status, "included") == 1 && watch::in_stage(status, "reported") == made
    })
    .await;
    settled(stage.chain().block_number().await.unwrap());
    stage.reported(made + 1).await;
    watch::status(&sidecar, "the end of the alarm", watch::is_well).await;
    watch::metric_is(&sidecar, "set_pipeline_window_full", &[], 0.0).await;
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_that_cannot_be_anchored_do_not_stop_known_streams() {
    let stage = Stage::with(Sequencer::builder().seed(85).streams(3)).await;
    let first = stage.quick_sidecar().start().await.unwrap();
    let mut made = stage.commit_everywhere(2).len();
    stage.reported(made).await;
    first.process.kill();
    first.process.wait(PATIENCE).await.unwrap();

    let known = stage.sequencer().streams();
    let bad = stage.sequencer().preload(Preload {
        streams: 50,
        batches: 100,
        defect: Some(Defect::EventCount),
        newest: Some(Timestamp::now() - Duration::from_secs(3_600)),
        ..Preload::default()
    });
    let behind: Vec<_> = known
        .iter()
        .map(|stream| stage.sequencer().commit(*stream, 2))
        .collect();
    made += behind.len();
    let unknown = stage.sequencer().open_stream(1);
    let hidden = stage.sequencer().commit(unknown, 2);

    // A new run knows the streams only by what is on chain.
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    stage.reported(made).await;
    let status = watch::status(&sidecar, "the alarm, and all bad ones set aside", |status| {
        let set_aside = watch::in_stage(status, "quarantined") + watch::in_stage(status, "blocked");
        says(status, "quarantined") && set_aside == bad.len()
    })
    .await;
    assert_eq!(status["pipeline"]["source"]["windowFull"], json!(true));
    let mut waiting: Vec<_> = stage.sequencer().unreported();
    waiting.retain(|commitment| commitment.stream() == unknown);
    assert_eq!(waiting, [hidden]);
    assert_eq!(stage.committed().await.len(), made);
    assert_eq!(stage.sequencer().contradictions().len(), 0);

    // One more in a known stream, while the window stays full.
    stage.sequencer().commit(known[1], 2);
    stage.reported(made + 1).await;
}
