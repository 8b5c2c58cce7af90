//! Watches what the sidecar reports, as a tenant with an op-node of its own could.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;
use set_testkit::{OpStack, Rpc, Stack, sequencer::Report};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::stage::PATIENCE;

const ASK_EVERY: Duration = Duration::from_millis(200);
/// op-node may be frozen.
const ANSWER: Duration = Duration::from_secs(2);

/// Holds each report, as it comes, against the newest block that op-node ever called safe.
#[derive(Debug)]
pub(crate) struct Auditor {
    early: Arc<Mutex<Vec<(Report, u64)>>>,
    /// How many reports were judged.
    judged: watch::Receiver<usize>,
    watching: JoinHandle<()>,
}

impl Auditor {
    pub(crate) fn start(stack: &Arc<Stack<Arc<OpStack>>>) -> Self {
        let early = Arc::new(Mutex::new(vec![]));
        let found = Arc::clone(&early);
        let node = Rpc::new(stack.chain.node_url().clone());
        let (judge, judged) = watch::channel(0);
        // The chain ends with the test, and its programs say their last words there.
        let stack = Arc::downgrade(stack);
        let watching = tokio::spawn(async move {
            let mut ticks = interval(ASK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut seen, mut safe) = (0, 0);
            loop {
                ticks.tick().await;
                let Some(reports) = stack.upgrade().map(|stack| stack.sequencer.reports()) else {
                    return;
                };
                // Asked after the report was seen: what was safe then is safe now.
                let asked = timeout(ANSWER, node.call("optimism_syncStatus", json!([]))).await;
                let Ok(Ok(status)) = asked else { continue };
                safe = status["safe_l2"]["number"].as_u64().unwrap_or_default().max(safe);
                let new = reports.get(seen..).unwrap_or_default().iter();
                let early = new.filter(|report| report.block_number.is_none_or(|block| block > safe));
                let early = early.map(|report| (report.clone(), safe));
                found.lock().unwrap_or_else(PoisonError::into_inner).extend(early);
                seen = reports.len();
                judge.send_replace(seen);
            }
        });
        Self {
            early,
            judged,
            watching,
        }
    }

    /// Waits until so many reports were judged. Before op-node is killed all should be: it may call less safe when it
    /// is back.
    pub(crate) async fn judged(&self, reports: usize) {
        let mut judged = self.judged.clone();
        let enough = timeout(PATIENCE, judged.wait_for(|judged| *judged >= reports)).await;
        assert!(
            matches!(enough, Ok(Ok(_))),
            "not judged: op-node did not say what is safe"
        );
    }

    /// Checks that nothing that was judged was reported before it was safe.
    pub(crate) fn found_nothing(&self) {
        assert!(!self.watching.is_finished(), "nobody watched");
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(early.is_empty(), "reported before it was safe: {early:#?}");
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
