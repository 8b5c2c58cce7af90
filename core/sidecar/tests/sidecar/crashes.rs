//! kill -9 at each step of a commitment's life, with and without the data directory.

use std::fmt;

use alloy::sol_types::SolCall;
use serde_json::Value;
use set_chain::bindings::SetRegistry::getStreamHeadsCall;
use set_testkit::{Action, Anvil, Gate, Rule, Sequencer, Sidecar, sequencer::Preload};

use crate::{
    stage::{PATIENCE, Stage, side_by_side},
    watch,
};

const STREAMS: usize = 3;
const BATCHES: usize = 4;
const ALL: usize = STREAMS * BATCHES;

/// Where the sidecar is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The source listed them; the chain was not asked yet where their streams stand.
    Found,
    /// They are in calls; the account's nonce is not known yet.
    Planned,
    /// Their transactions are signed, and have not reached the node.
    Signed,
    /// Their transactions are in the node's pool.
    Sent,
    /// The same, and then the node loses its pool.
    SentAndLost,
    /// They are in blocks that are not safe.
    Included,
    /// They are in safe blocks, and the source has taken no report.
    Settled,
    /// The source has taken the reports, and its answers were lost.
    Reported,
}

const STEPS: [Step; 8] = [
    Step::Found,
    Step::Planned,
    Step::Signed,
    Step::Sent,
    Step::SentAndLost,
    Step::Included,
    Step::Settled,
    Step::Reported,
];

#[derive(Debug, Clone, Copy)]
struct Case {
    step: Step,
    keeps_data: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = if self.keeps_data { "with" } else { "without" };
        write!(f, "killed when {:?}, {data} its data directory", self.step)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_it_goes_on() {
    let cases = STEPS.into_iter().flat_map(|step| {
        [true, false].map(|keeps_data| {
            let case = Case { step, keeps_data };
            (case.to_string(), killed(case))
        })
    });
    side_by_side(cases).await;
}

async fn killed(Case { step, keeps_data }: Case) {
    let preload = Preload {
        streams: STREAMS,
        batches: BATCHES,
        events: 3,
        ..Preload::default()
    };
    let sequencer = Sequencer::builder().seed(21).streams(0).preload(preload);
    let stage = Stage::on(Anvil::builder().no_mining().slots_in_an_epoch(1), sequencer).await;
    let mut sidecar = stage
        .quick_sidecar()
        .set("commitment.report_at", "safe")
        .set("txmgr.watch_until", "safe")
        .set("txmgr.resubmission_timeout", "2s");
    if keeps_data {
        sidecar = sidecar.set("sidecar.data_dir", stage.data_dir().display());
    }

    let gate = Gate::closed();
    hold(&stage, step, &gate).await;
    let running = sidecar.start().await.unwrap();
    reach(&stage, step, &running, &gate).await;
    running.process.kill();
    running.process.wait(PATIENCE).await.unwrap();
    if step == Step::SentAndLost {
        let _: Value = stage.chain().call("anvil_dropAllTransactions", ()).await.unwrap();
    }

    stage.node.heal();
    stage.sequencer().heal();
    stage.chain().set_block_time(1).await.unwrap();
    let next = stage.sequencer().streams()[0];
    stage.sequencer().commit(next, 2);
    let running = sidecar.start().await.unwrap();
    stage.reported(ALL + 1).await;
    let status = watch::status(&running, "the end of every hold", watch::is_well).await;
    assert_eq!(status["pipeline"]["stages"]["quarantined"], Value::Null, "{status}");
    stage.assert_all_anchored().await;
    assert!(running.stop().await.unwrap().success());
}

/// Keeps what is under way from going past the step.
async fn hold(stage: &Stage, step: Step, gate: &Gate) {
    // What is finalized is safe.
    let not_safe = || ["safe", "finalized"].map(|tag| Rule::pin(tag, stage.stack.contracts.block));
    match step {
        Step::Found => stage.node.inject(Rule::on_functions(
            [getStreamHeadsCall::SELECTOR],
            Action::Hold(gate.clone()),
        )),
        Step::Planned => stage
            .node
            .inject(Rule::on(["eth_getTransactionCount"], Action::error("header not found"))),
        Step::Signed => stage.node.inject(Rule::on_send(Action::Hold(gate.clone()))),
        Step::Sent | Step::SentAndLost => not_safe().into_iter().for_each(|rule| stage.node.inject(rule)),
        Step::Included => {
            not_safe().into_iter().for_each(|rule| stage.node.inject(rule));
            stage.chain().set_block_time(1).await.unwrap();
        }
        Step::Settled => {
            stage
                .sequencer()
                .set_faults(|faults| faults.timeouts_before_write = u32::MAX);
            stage.chain().set_block_time(1).await.unwrap();
        }
        Step::Reported => {
            stage
                .sequencer()
                .set_faults(|faults| faults.timeouts_after_write = u32::MAX);
            stage.chain().set_block_time(1).await.unwrap();
        }
    }
}

/// Waits until everything is at the step.
async fn reach(stage: &Stage, step: Step, sidecar: &Sidecar, gate: &Gate) {
    let all_in = async |name: &str| {
        watch::status(sidecar, name, |status| watch::in_stage(status, name) == ALL).await;
    };
    match step {
        Step::Found => {
            assert!(gate.reached(1, PATIENCE).await);
            all_in("found").await;
        }
        Step::Planned => all_in("planned").await,
        Step::Signed => assert!(gate.reached(1, PATIENCE).await),
        Step::Sent | Step::SentAndLost => all_in("sent").await,
        Step::Included => all_in("included").await,
        Step::Settled => {
            all_in("safe").await;
            assert_eq!(stage.sequencer().unreported().len(), ALL);
        }
        Step::Reported => stage.reported(ALL).await,
    }
}
