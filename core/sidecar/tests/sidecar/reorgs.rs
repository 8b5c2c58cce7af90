//! Blocks that are undone, at every depth, and tags that move without that.

use serde_json::{Value, json};
use set_testkit::{Action, Rule, Sequencer, Sidecar};

use crate::{
    stage::{PATIENCE, Stage},
    watch,
};

/// A chain whose tags the test moves, with a sidecar that reports at `safe`.
async fn settling(seed: u64, streams: usize) -> (Stage, Sidecar) {
    let stage = Stage::with(Sequencer::builder().seed(seed).streams(streams)).await;
    settled_to(&stage, 0, 0);
    let sidecar = start(&stage).await;
    (stage, sidecar)
}

async fn start(stage: &Stage) -> Sidecar {
    stage
        .quick_sidecar()
        .set("commitment.report_at", "safe")
        .set("txmgr.watch_until", "finalized")
        // What was once in a block keeps its bytes for ten times as long, however slow this machine is.
        .set("txmgr.resubmission_timeout", "30s")
        .start()
        .await
        .unwrap()
}

/// Decides how far the chain is settled.
fn settled_to(stage: &Stage, safe: u64, finalized: u64) {
    stage
        .node
        .replace([Rule::pin("safe", safe), Rule::pin("finalized", finalized)]);
}

/// Commits in every stream and waits until all is in blocks; gives how many that are, and the newest block
/// that can hold them.
async fn include(stage: &Stage, sidecar: &Sidecar, times: usize) -> (usize, u64) {
    let made = stage.commit_everywhere(times).len();
    let all = stage.sequencer().commitments().len();
    watch::status(sidecar, "all of it in blocks", |status| {
        let on_chain = ["included", "safe", "reported"].map(|stage| watch::in_stage(status, stage));
        on_chain.iter().sum::<usize>() == all
    })
    .await;
    (made, stage.chain().block_number().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_undone_before_it_is_safe_goes_out_again_in_silence() {
    let (stage, sidecar) = settling(51, 3).await;
    let (made, _) = include(&stage, &sidecar, 2).await;
    let before = stage.committed().await;
    // Deeper than what just went out.
    stage.undo_after(stage.stack.contracts.block).await;
    sidecar
        .process
        .line_with("a reorg took the transaction's block away", crate::stage::PATIENCE)
        .await
        .unwrap();
    let (more, head) = include(&stage, &sidecar, 1).await;
    watch::metric(&sidecar, "set_tx_reorged_total", &[])
        .await
        .filter(|count| *count > 0.0)
        .unwrap();
    settled_to(&stage, head, 0);
    stage.reported(made + more).await;
    stage.assert_all_anchored().await;
    let after = stage.committed().await;
    for (batch, transaction) in before {
        assert_eq!(after[&batch], transaction, "{batch} went out in other bytes");
    }
    watch::status(&sidecar, "the end of every hold", watch::is_well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_undone_after_its_report_raises_an_alarm_and_comes_back() {
    let (stage, sidecar) = settling(52, 2).await;
    let (made, head) = include(&stage, &sidecar, 2).await;
    settled_to(&stage, head, 0);
    stage.reported(made).await;
    watch::status(&sidecar, "all of it reported", |status| {
        watch::in_stage(status, "reported") == made
    })
    .await;

    // The pool takes nothing until the alarm was seen.
    stage.node.inject(Rule::on_send(Action::error("txpool is full")));
    stage.undo_after(stage.stack.contracts.block).await;
    let status = watch::status(&sidecar, "the alarm", |status| {
        watch::alarm(status, "reorg_after_report").is_some_and(|alarm| alarm["count"] == made)
    })
    .await;
    let alarm = watch::alarm(&status, "reorg_after_report").unwrap();
    let named: Vec<_> = alarm["batches"].as_array().unwrap().iter().collect();
    for commitment in stage.sequencer().commitments() {
        assert!(named.contains(&&json!(commitment.batch_id)), "{alarm}");
    }
    watch::metric_is(&sidecar, "set_pipeline_alarm", &[("kind", "reorg_after_report")], 1.0).await;
    sidecar.process.line_with("reorg_after_report", PATIENCE).await.unwrap();

    settled_to(&stage, head, 0);
    watch::status(&sidecar, "the end of the alarm", watch::is_well).await;
    watch::metric_is(&sidecar, "set_pipeline_alarm", &[("kind", "reorg_after_report")], 0.0).await;
    // The same bytes went out again, so that what was reported is true again.
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_deeper_than_what_is_in_flight_is_repaired() {
    let (stage, sidecar) = settling(53, 2).await;
    let mut made = 0;
    for _ in 0..4 {
        made += include(&stage, &sidecar, 1).await.0;
    }
    stage.chain().mine(12).await.unwrap();
    stage.undo_after(stage.stack.contracts.block).await;
    let (more, head) = include(&stage, &sidecar, 2).await;
    settled_to(&stage, head, head);
    stage.reported(made + more).await;
    stage.assert_all_anchored().await;
    watch::status(&sidecar, "the end of every hold", watch::is_well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_data_a_restarted_sidecar_repairs_what_is_undone() {
    let (stage, sidecar) = settling(54, 2).await;
    let (made, _) = include(&stage, &sidecar, 2).await;
    sidecar.process.kill();
    sidecar.process.wait(crate::stage::PATIENCE).await.unwrap();
    stage.undo_after(stage.stack.contracts.block).await;
    let sidecar = start(&stage).await;
    let (more, head) = include(&stage, &sidecar, 1).await;
    settled_to(&stage, head, head);
    stage.reported(made + more).await;
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_back_or_vanishes_undoes_nothing() {
    let (stage, sidecar) = settling(55, 2).await;
    let (first, head) = include(&stage, &sidecar, 2).await;
    settled_to(&stage, head, 0);
    stage.reported(first).await;

    let tag_is = async |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        watch::status(&sidecar, what, |status| wanted(&status["chain"]["safe"])).await;
    };
    let mut made = first;
    let unknown = [Action::Answer(Value::Null), Action::error("safe block not found")];
    for action in unknown {
        stage
            .node
            .replace([Rule::on_tag("safe", action), Rule::pin("finalized", 0)]);
        tag_is("no safe block", &Value::is_null).await;
        made += include(&stage, &sidecar, 1).await.0;
    }
    let back = stage.stack.contracts.block;
    settled_to(&stage, back, 0);
    tag_is("an earlier safe block", &|safe| safe["number"] == format!("{back:#x}")).await;
    assert_eq!(stage.sequencer().unreported().len(), made - first, "reported unsettled");

    let (more, head) = include(&stage, &sidecar, 1).await;
    settled_to(&stage, head, back);
    stage.reported(made + more).await;
    let status = watch::status(&sidecar, "the end of every hold", watch::is_well).await;
    assert_eq!(watch::alarm(&status, "reorg_after_report"), None);
    assert_eq!(
        watch::metric(&sidecar, "set_tx_reorged_total", &[])
            .await
            .unwrap_or_default(),
        0.0
    );
    assert_eq!(
        watch::metric(&sidecar, "set_index_rollbacks_total", &[])
            .await
            .unwrap_or_default(),
        0.0
    );
    assert!(!watch::logged(&sidecar, "reorg"));
    stage.assert_all_anchored().await;
}
