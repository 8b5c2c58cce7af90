//! A node that is down, restarts, is slow, fails, lies, limits, or has forgotten.

use std::time::Duration;

use serde_json::{Value, json};
use set_testkit::{Action, Anvil, ReservedPort, RpcProxy, Rule, Sequencer, Sidecar};

use crate::{
    stage::{PATIENCE, Stage, side_by_side},
    watch,
};

/// Waits until the sidecar says that it cannot use its node, in every place where it is to be seen.
async fn seen_as_unreachable(sidecar: &Sidecar, reason: &str) {
    watch::status(sidecar, reason, |status| {
        let chain = &status["chain"];
        let said = chain["error"].as_str().is_some_and(|error| error.contains(reason));
        let hold = watch::hold(status, "chain").and_then(|hold| hold["reason"].as_str());
        let held = hold.is_some_and(|hold| hold.contains(reason));
        chain["reachable"] == false && said && held
    })
    .await;
    watch::health_is(sidecar, "readyz", 503, reason).await;
    assert_eq!(watch::health(sidecar, "livez").await.0, 200);
    watch::metric_is(sidecar, "set_chain_reachable", &[], 0.0).await;
    sidecar.process.line_with("node unreachable", PATIENCE).await.unwrap();
}

/// Waits until nothing is held back any more.
async fn seen_as_well(sidecar: &Sidecar) {
    watch::status(sidecar, "the end of every hold", |status| {
        let chain = &status["chain"];
        chain["reachable"] == true && chain["error"].is_null() && watch::is_well(status)
    })
    .await;
    watch::health_is(sidecar, "readyz", 200, "").await;
    watch::metric_is(sidecar, "set_chain_reachable", &[], 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn down_at_start_it_is_waited_for() {
    let mut stage = Stage::with(Sequencer::builder().seed(31).streams(2)).await;
    stage.node.go_down().await;
    let made = stage.commit_everywhere(2);
    let sidecar = stage.quick_sidecar().launch().await.unwrap();
    seen_as_unreachable(&sidecar, "refused").await;
    assert_eq!(stage.committed().await.len(), 0);
    stage.node.come_back().await.unwrap();
    stage.reported(made.len()).await;
    seen_as_well(&sidecar).await;
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_gets_again_what_it_lost() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("chain.json");
    // Nobody else is given it while the node is away.
    let port = ReservedPort::any().unwrap();
    let chain = Anvil::builder().no_mining().state(&state).port(port.number());
    let mut stage = Stage::on(chain.clone(), Sequencer::builder().seed(32).streams(2)).await;
    let made = stage.commit_everywhere(2);
    let sidecar = stage
        .quick_sidecar()
        .set("txmgr.resubmission_timeout", "2s")
        .start()
        .await
        .unwrap();
    watch::status(&sidecar, "all of them sent", |status| {
        watch::in_stage(status, "sent") == made.len()
    })
    .await;

    stage.chain().process().terminate();
    stage.chain().process().wait(PATIENCE).await.unwrap();
    seen_as_unreachable(&sidecar, "HTTP status 502").await;
    // It kept its blocks and lost its pool.
    stage.stack.chain = chain.block_time(1).spawn().await.unwrap();
    stage.reported(made.len()).await;
    seen_as_well(&sidecar).await;
    stage.assert_all_anchored().await;
}

/// What a node does to every question, and what is said about it.
fn outages() -> Vec<(&'static str, Rule, &'static str)> {
    let limited = Action::Error {
        code: -32005,
        message: "daily request count exceeded".into(),
    };
    let slow = Action::Delay(Duration::from_secs(3));
    let other_chain = Action::Answer(json!("0x1"));
    vec![
        ("it is overloaded", Rule::every(Action::Status(503)), "503"),
        ("it limits the rate by status", Rule::every(Action::Status(429)), "429"),
        (
            "it limits the rate by error",
            Rule::every(limited),
            "daily request count",
        ),
        ("it is too slow", Rule::every(slow), "timed out"),
        ("it hangs up", Rule::every(Action::Drop), ""),
        (
            "it is another chain's",
            Rule::on(["eth_chainId"], other_chain),
            "chain 1,",
        ),
        (
            "it has no head",
            Rule::on_tag("latest", Action::Answer(Value::Null)),
            "latest",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_it_answers_nothing_is_lost_or_sent_twice() {
    let cases = outages().into_iter().enumerate().map(|(number, (name, rule, said))| {
        let case = async move {
            let seed = 40 + number as u64;
            let stage = Stage::with(Sequencer::builder().seed(seed).streams(2)).await;
            let before = stage.commit_everywhere(2);
            let sidecar = stage.quick_sidecar().start().await.unwrap();
            stage.reported(before.len()).await;
            stage.node.inject(rule);
            let during = stage.commit_everywhere(2);
            seen_as_unreachable(&sidecar, said).await;
            stage.node.heal();
            stage.reported(before.len() + during.len()).await;
            seen_as_well(&sidecar).await;
            stage.assert_all_anchored().await;
        };
        (name.to_owned(), case)
    });
    side_by_side(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_hides_is_not_taken_for_undone() {
    let stage = Stage::with(Sequencer::builder().seed(33).streams(2)).await;
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    let before = stage.commit_everywhere(1);
    stage.reported(before.len()).await;

    // First only receipts are missing; the logs tell all the same where commitments are.
    let receipts = Rule::on(["eth_getTransactionReceipt"], Action::Answer(Value::Null));
    stage.node.replace([receipts]);
    let hidden = stage.commit_everywhere(1);
    stage.reported(before.len() + hidden.len()).await;

    // Then everything after the head of now.
    let head = stage.chain().block_number().await.unwrap();
    stage.node.replace([Rule::behind(head)]);
    let later = stage.commit_everywhere(1);
    mined(&stage, 3).await;
    assert_eq!(stage.sequencer().contradictions().len(), 0);
    stage.node.heal();
    stage.reported(before.len() + hidden.len() + later.len()).await;
    seen_as_well(&sidecar).await;
    stage.assert_all_anchored().await;
    assert!(!watch::logged(&sidecar, "reorg"), "{:#?}", sidecar.process.lines());
}

/// Waits until the chain has so many more blocks.
async fn mined(stage: &Stage, blocks: u64) {
    let until = stage.chain().block_number().await.unwrap() + blocks;
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while stage.chain().block_number().await.unwrap() < until {
        ticks.tick().await;
    }
}

/// Commitments that are on chain and unreported, in a history of some hundred blocks, and a sidecar that
/// knows nothing of them.
async fn with_history(seed: u64) -> (Stage, usize) {
    let chain = Anvil::builder().no_mining().slots_in_an_epoch(1);
    let stage = Stage::on(chain, Sequencer::builder().seed(seed).streams(3)).await;
    stage.chain().mine(120).await.unwrap();
    stage.chain().set_block_time(1).await.unwrap();
    let made = stage.commit_everywhere(3).len();
    stage
        .sequencer()
        .set_faults(|faults| faults.timeouts_before_write = u32::MAX);
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    watch::status(&sidecar, "all of them on chain", |status| {
        watch::in_stage(status, "included") == made
    })
    .await;
    sidecar.process.kill();
    sidecar.process.wait(PATIENCE).await.unwrap();
    stage.sequencer().heal();
    stage.chain().mine(120).await.unwrap();
    (stage, made)
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_asked_for_in_as_many_parts_as_it_takes() {
    let (stage, made) = with_history(34).await;
    stage.node.inject(Rule::log_range(16));
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    stage.reported(made).await;
    stage.assert_all_anchored().await;
    watch::status(&sidecar, "the index at the head", |status| {
        status["index"]["commitments"] == made && status["index"]["error"].is_null()
    })
    .await;
    assert!(watch::metric(&sidecar, "set_index_refusals_total", &[]).await > Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_old_logs_what_is_anchored_is_reported_all_the_same() {
    let (stage, made) = with_history(35).await;
    let head = stage.chain().block_number().await.unwrap();
    stage.node.inject(Rule::pruned_logs(head - 110));
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    let next = stage.commit_everywhere(1).len();
    stage.reported(made + next).await;
    stage.assert_all_anchored().await;
    drop(sidecar);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_takes_over_while_one_fails() {
    let stage = Stage::with(Sequencer::builder().seed(36).streams(2)).await;
    let mut second = RpcProxy::start(stage.chain().url().clone()).await.unwrap();
    let urls = [stage.node.url(), second.url()];
    let sidecar = stage
        .quick_sidecar()
        .rpc_urls(&urls)
        // None of the faults below is silence, and a machine that stalls is no reason to ask another node.
        .set("chain.rpc_timeout", "30s")
        .start()
        .await
        .unwrap();
    let mut made = stage.commit_everywhere(2).len();
    stage.reported(made).await;
    assert_eq!(second.calls("eth_sendRawTransaction"), 0);

    let origin = |url: &url::Url| url.origin().ascii_serialization();
    for (rule, answers) in [
        (Rule::every(Action::Status(429)), &urls[1]),
        (Rule::every(Action::Drop), &urls[1]),
        (Rule::on(["eth_chainId"], Action::Answer(json!("0x1"))), &urls[1]),
    ] {
        stage.node.replace([rule]);
        made += stage.commit_everywhere(2).len();
        stage.reported(made).await;
        watch::status(&sidecar, "the other node in use", |status| {
            status["chain"]["reachable"] == true && status["chain"]["endpoint"] == origin(answers)
        })
        .await;
        stage.node.heal();
    }
    // The other way round.
    second.go_down().await;
    made += stage.commit_everywhere(2).len();
    stage.reported(made).await;
    watch::status(&sidecar, "the first node in use", |status| {
        status["chain"]["endpoint"] == origin(&urls[0])
    })
    .await;
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_nodes_that_lags_behind_undoes_nothing() {
    let stage = Stage::with(Sequencer::builder().seed(37).streams(2)).await;
    let second = RpcProxy::start(stage.chain().url().clone()).await.unwrap();
    let urls = [stage.node.url(), second.url()];
    let sidecar = stage.quick_sidecar().rpc_urls(&urls).start().await.unwrap();
    let mut made = stage.commit_everywhere(2).len();
    stage.reported(made).await;

    // The one that is asked first is away; the other stands some blocks behind, and takes transactions.
    let head = stage.chain().block_number().await.unwrap();
    second.inject(Rule::behind(head));
    mined(&stage, 5).await;
    made += stage.commit_everywhere(2).len();
    stage.node.inject(Rule::every(Action::Status(503)));
    mined(&stage, 5).await;
    assert_eq!(stage.sequencer().contradictions().len(), 0);
    stage.node.heal();
    stage.reported(made).await;
    made += stage.commit_everywhere(2).len();
    stage.reported(made).await;
    watch::status(&sidecar, "the end of every hold", watch::is_well).await;
    stage.assert_all_anchored().await;
    assert!(!watch::logged(&sidecar, "reorganised"));
}
