//! Watches what the sidecar reports, as a tenant with an op-node of its own could.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;
use set_testkit::{OpStack, Rpc, Stack, sequencer::Report};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

const ASK_EVERY: Duration = Duration::from_millis(200);
/// op-node may be frozen.
const ANSWER: Duration = Duration::from_secs(2);

/// Holds each report, as it comes, against the newest block that op-node ever called safe.
#[derive(Debug)]
pub(crate) struct Auditor {
    early: Arc<Mutex<Vec<(Report, u64)>>>,
    watching: JoinHandle<()>,
}

impl Auditor {
    pub(crate) fn start(stack: Arc<Stack<Arc<OpStack>>>) -> Self {
        let early = Arc::new(Mutex::new(vec![]));
        let found = Arc::clone(&early);
        let watching = tokio::spawn(async move {
            let node = Rpc::new(stack.chain.node_url().clone());
            let mut ticks = interval(ASK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut seen, mut safe) = (0, 0);
            loop {
                ticks.tick().await;
                let reports = stack.sequencer.reports();
                // Asked after the report was seen: what was safe then is safe now.
                let asked = timeout(ANSWER, node.call("optimism_syncStatus", json!([]))).await;
                let Ok(Ok(status)) = asked else { continue };
                safe = status["safe_l2"]["number"].as_u64().unwrap_or_default().max(safe);
                let new = reports.get(seen..).unwrap_or_default().iter();
                let early = new.filter(|report| report.block_number.is_none_or(|block| block > safe));
                let early = early.map(|report| (report.clone(), safe));
                found.lock().unwrap_or_else(PoisonError::into_inner).extend(early);
                seen = reports.len();
            }
        });
        Self { early, watching }
    }

    /// Checks that nothing was reported before it was safe.
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
