//! A chain, a sequencer and a sidecar, and what is asked of them.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use alloy::{eips::BlockId, providers::Provider, rpc::types::Filter, sol_types::SolEvent};
use alloy_primitives::B256;
use serde_json::{Value, json};
use set_chain::{RegistryReader, bindings::SetRegistry};
use set_testkit::{
    OpStack, Rpc, Sequencer, Sidecar, SidecarBuilder, Stack, op_stack::Parts, sequencer::SequencerBuilder,
};
use set_types::BatchId;
use tempfile::TempDir;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{interval, timeout},
};

use crate::auditor::Auditor;

/// Longer than anything here takes on a busy machine; nothing waits for it when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);
/// How long a head may stand still before that is an alarm: longer than this chain's blocks take.
const HEAD_ALARM: &str = "8s";
/// Other programs' states change without telling anybody: asking is the only event there is.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Five programs and a sidecar are enough for one machine at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// A chain with a block every second, and a sequencer with streams.
pub(crate) struct Stage {
    pub(crate) op: Arc<OpStack>,
    pub(crate) stack: Arc<Stack<Arc<OpStack>>>,
    auditor: Auditor,
    pub(crate) dir: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    pub(crate) async fn with(sequencer: SequencerBuilder) -> Self {
        let turn = TURN.lock().await;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("second.toml"), "[block]\ntime = \"1s\"\n").unwrap();
        let op = OpStack::builder(dir.path().join("chain"))
            .overlay(dir.path().join("second.toml"))
            .parts(Parts::BATCHED);
        let op = Arc::new(op.start().await.unwrap());
        let stack = Arc::new(Stack::beside(&op, sequencer, dir.path()).await.unwrap());
        Self {
            op,
            auditor: Auditor::start(&stack),
            stack,
            dir,
            _turn: turn,
        }
    }

    /// A sidecar with its data in a file, which looks often and does not wait long before it tries again.
    pub(crate) fn sidecar(&self) -> SidecarBuilder {
        self.stack
            .sidecar(env!("CARGO_BIN_EXE_set-sidecar"))
            .overlay(self.dir.path().join("second.toml"))
            .set("sidecar.data_dir", self.dir.path().join("data").display())
            .set("chain.rpc_timeout", "2s")
            .set("settlement.head_alarm", HEAD_ALARM)
            .set("commitment.poll_interval", "500ms")
            .set("commitment.retry_pause_max", "2s")
            .set("commitment.blocked_recheck", "2s")
            .set("txmgr.publish_retry", "500ms")
            .set("txmgr.publish_retry_max", "2s")
            .set("txmgr.resubmission_timeout", "6s")
    }

    pub(crate) fn sequencer(&self) -> &Sequencer {
        &self.stack.sequencer
    }

    /// Commits one batch in each of the sequencer's streams, so many times over.
    pub(crate) fn commit_everywhere(&self, times: usize) -> Vec<BatchId> {
        let streams = self.sequencer().streams();
        let all = (0..times).flat_map(|_| streams.iter());
        all.map(|stream| self.sequencer().commit(*stream, 3).batch_id).collect()
    }

    /// Calls op-node.
    pub(crate) async fn node(&self, method: &str, params: Value) -> Value {
        let node = Rpc::new(self.op.node_url().clone());
        node.call(method, params).await.unwrap()
    }

    /// How many of these the chain has.
    pub(crate) async fn anchored(&self, batches: &[BatchId]) -> usize {
        let committed = self.committed().await;
        batches
            .iter()
            .filter(|batch| committed.contains_key(&batch.to_b256()))
            .count()
    }

    /// Waits until the chain has all of these.
    pub(crate) async fn all_anchored(&self, batches: &[BatchId]) {
        until("all of them on chain", async || {
            self.anchored(batches).await == batches.len()
        })
        .await;
    }

    /// Whether the sequencer was told nothing of these.
    pub(crate) fn none_reported(&self, batches: &[BatchId]) -> bool {
        let reports = self.sequencer().reports();
        !reports.iter().any(|report| batches.contains(&report.batch_id))
    }

    /// How often each batch was committed, and in which transaction last.
    async fn committed(&self) -> BTreeMap<B256, (usize, B256)> {
        let filter = Filter::new()
            .address(self.stack.contracts.registry)
            .event_signature(SetRegistry::BatchCommitted::SIGNATURE_HASH)
            .from_block(0);
        let mut committed = BTreeMap::new();
        for log in self.op.provider().get_logs(&filter).await.unwrap() {
            let entry = committed.entry(log.topics()[1]).or_insert((0, B256::ZERO));
            *entry = (entry.0 + 1, log.transaction_hash.unwrap());
        }
        committed
    }

    /// Waits until all that the sequencer has is reported, and was judged by the auditor.
    pub(crate) async fn all_reported(&self) {
        let commitments = self.sequencer().commitments().len();
        let all_reported = self.sequencer().reported(commitments, PATIENCE).await;
        assert!(all_reported, "not reported: {:#?}", self.sequencer().unreported());
        self.all_judged().await;
    }

    /// Waits until all that was reported was judged by the auditor.
    pub(crate) async fn all_judged(&self) {
        self.auditor.judged(self.sequencer().reports().len()).await;
    }

    /// Waits until all that the sequencer has is reported, and checks that each is on chain once, as it was made, was
    /// reported with the transaction that holds it, and not before that was safe; and that the sidecar shows no
    /// trouble any more.
    pub(crate) async fn all_is_well(&self, sidecar: &Sidecar) {
        self.all_reported().await;
        let commitments = self.sequencer().commitments();
        let committed = self.committed().await;
        let reports = self.sequencer().reports();
        let registry = RegistryReader::new(self.op.provider().clone(), self.stack.contracts.registry);
        for commitment in &commitments {
            let batch = commitment.batch_id;
            let record = registry.record(batch, BlockId::latest()).await.unwrap().unwrap();
            assert!(record.matches(commitment), "{record:?} is not {commitment:?}");
            let (times, hash) = committed[&batch.to_b256()];
            assert_eq!(times, 1, "{batch} was committed {times} times");
            let mut recorded = reports
                .iter()
                .filter(|report| report.batch_id == batch && report.recorded);
            assert_eq!(
                recorded.next().map(|report| report.chain_tx_hash),
                Some(hash),
                "{batch}"
            );
        }
        assert_eq!(self.sequencer().contradictions(), BTreeMap::new());
        self.auditor.found_nothing();
        status(sidecar, "the end of all trouble", |status| {
            entries(status, "alarms").is_empty() && entries(status, "holds").is_empty()
        })
        .await;
        until("a sidecar that is ready", async || {
            health(sidecar, "readyz").await.0 == 200
        })
        .await;
    }
}

/// Waits until `set_status` is as wanted, and gives it.
pub(crate) async fn status(sidecar: &Sidecar, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let asking = async {
        let mut ticks = interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            last = sidecar.call("set_status", json!([])).await.unwrap();
            if wanted(&last) {
                return;
            }
        }
    };
    let found = timeout(PATIENCE, asking).await;
    assert!(found.is_ok(), "never saw {what}; the status stays {last:#}");
    last
}

/// Waits until there is an alarm of this kind, of whatever part, and gives its message.
pub(crate) async fn alarm(sidecar: &Sidecar, kind: &str) -> String {
    let find = |status: &Value| {
        entries(status, "alarms")
            .into_iter()
            .find(|alarm| alarm["kind"] == kind)
    };
    let status = status(sidecar, kind, |status| find(status).is_some()).await;
    find(&status).unwrap()["message"].as_str().unwrap().to_owned()
}

/// Waits until the pipeline holds everything back for this kind of reason, and gives the reason.
pub(crate) async fn hold(sidecar: &Sidecar, kind: &str) -> String {
    let find = |status: &Value| entries(status, "holds").into_iter().find(|hold| hold["kind"] == kind);
    let status = status(sidecar, kind, |status| find(status).is_some()).await;
    find(&status).unwrap()["reason"].as_str().unwrap().to_owned()
}

/// Waits until `set_status` shows no alarm of this kind.
pub(crate) async fn over(sidecar: &Sidecar, kind: &str) {
    let none = |status: &Value| entries(status, "alarms").iter().all(|alarm| alarm["kind"] != kind);
    status(sidecar, "the alarm's end", none).await;
}

/// The entries of all lists with this name, whatever part they belong to.
fn entries(value: &Value, name: &str) -> Vec<Value> {
    match value {
        Value::Object(members) => {
            let of = |(key, member): (&String, &Value)| match member {
                Value::Array(list) if key == name => list.clone(),
                member => entries(member, name),
            };
            members.iter().flat_map(of).collect()
        }
        Value::Array(list) => list.iter().flat_map(|entry| entries(entry, name)).collect(),
        _ => vec![],
    }
}

/// Status and body of one of the health server's routes.
pub(crate) async fn health(sidecar: &Sidecar, path: &str) -> (u16, String) {
    let answer = reqwest::get(sidecar.health.join(path).unwrap()).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Waits until a metric has a value, in a series that bears this label where one is given.
pub(crate) async fn metric(sidecar: &Sidecar, name: &str, label: &str, value: &str) {
    let fits = |line: &str| {
        let (series, shown) = line.rsplit_once(' ').unwrap_or_default();
        let (found, labels) = series.split_once('{').unwrap_or((series, ""));
        found == name && labels.contains(label) && shown == value
    };
    let shown = async || health(sidecar, "metrics").await.1.lines().any(fits);
    until(name, shown).await;
}

/// Asks until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asking = async {
        let mut ticks = interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            if is_so().await {
                return;
            }
        }
    };
    assert!(timeout(PATIENCE, asking).await.is_ok(), "never saw {what}");
}
