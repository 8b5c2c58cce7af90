//! A server over an index in memory, with the ports that the program would fill.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use alloy_primitives::{Address, B256, keccak256};
use async_trait::async_trait;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use set_chain::{BlockRef, ChainView, EndpointConfig, Head, RegistryReader};
use set_index::{Entry, Index, Step};
use set_rpc::{
    Condition, HealthParts, HealthServer, Parts, Pending, PendingQuery, Plugins, Registry, RpcConfig, RpcServer,
    SettlementProofs, SourceError, StatusReport, answer::PluginAnswer,
};
use set_testkit::ReservedPort;
use set_types::{
    BatchId, Commitment, CommittedLog, InclusionProof, InclusionProofRequest, PendingCommitment, PendingCursor, Stage,
    StreamId, Timestamp,
};
use set_ves::EventTree;
use tokio::sync::watch;

/// A batch id whose look-up panics, and one whose look-up never ends.
pub(crate) const PANICS: B256 = B256::repeat_byte(0xdd);
pub(crate) const HANGS: B256 = B256::repeat_byte(0xee);

pub(crate) fn stream(number: u8) -> StreamId {
    let half = |byte: u8| {
        let mut word = B256::ZERO;
        word[..16].fill(byte);
        word
    };
    StreamId {
        tenant_id: half(number).into(),
        store_id: half(0x55).into(),
    }
}

/// The leaves of a batch of three events.
pub(crate) fn leaves(stream: StreamId, number: u64) -> Vec<B256> {
    (0..3)
        .map(|event| keccak256(format!("{stream} {number} {event}")))
        .collect()
}

/// A stream's batch of three events; `number` counts from 0.
pub(crate) fn commitment(stream: StreamId, number: u64) -> Commitment {
    let state = |number: u64| keccak256(format!("state {stream} {number}"));
    let mut id = keccak256(format!("{stream} {number}"));
    id[16..].fill(0);
    Commitment {
        batch_id: id.into(),
        tenant_id: stream.tenant_id,
        store_id: stream.store_id,
        events_root: EventTree::new(leaves(stream, number)).unwrap().root(),
        prev_state_root: number.checked_sub(1).map_or(B256::ZERO, state),
        new_state_root: state(number),
        sequence_start: 3 * number + 1,
        sequence_end: 3 * number + 3,
        event_count: 3,
        committed_at: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn block(number: u64) -> BlockRef {
    BlockRef {
        number,
        hash: keccak256(number.to_be_bytes()),
        timestamp: 1_700_000_000 + 2 * number,
    }
}

pub(crate) fn entry(commitment: &Commitment, number: u64, log_index: u64) -> Entry {
    let log = CommittedLog {
        log: 0,
        batch_id: commitment.batch_id,
        stream_key: commitment.stream().key(),
        events_root: commitment.events_root,
        new_state_root: commitment.new_state_root,
        sequence_start: commitment.sequence_start,
        sequence_end: commitment.sequence_end,
        event_count: commitment.event_count,
    };
    Entry {
        log,
        tx_hash: keccak256(commitment.batch_id.to_b256()),
        block: block(number),
        log_index,
    }
}

pub(crate) fn pending(commitment: Commitment, stage: Stage, reason: Option<&str>) -> PendingCommitment {
    PendingCommitment {
        commitment,
        stage,
        reason: reason.map(str::to_owned),
        since: Timestamp::UNIX_EPOCH,
        tx_hash: None,
        block_number: None,
    }
}

/// A view with these blocks at its tags.
pub(crate) fn view(latest: u64, safe: u64, finalized: u64) -> ChainView {
    let head = Head {
        block: block(latest),
        parent_hash: block(latest - 1).hash,
        gas_limit: 30_000_000,
        gas_target: 15_000_000,
        gas_used: 0,
        base_fee: 1,
        next_base_fee: 1,
        suggested_tip: 0,
        da_footprint: None,
        da_footprint_scalar: None,
    };
    ChainView {
        latest: Some(head),
        safe: Some(block(safe)),
        finalized: Some(block(finalized)),
        reachable: true,
        error: None,
        endpoint: None,
        endpoints: Vec::new(),
        op_node: None,
        updated: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) struct Waiting(pub(crate) BTreeMap<BatchId, PendingCommitment>);

#[async_trait]
impl Pending for Waiting {
    async fn list(&self, query: PendingQuery) -> Vec<PendingCommitment> {
        let matches = |pending: &&PendingCommitment| {
            query.stream.is_none_or(|stream| stream == pending.commitment.stream())
                && query.stage.is_none_or(|stage| stage == pending.stage)
                && query.after.is_none_or(|after| PendingCursor::from(*pending) > after)
        };
        let mut found: Vec<_> = self.0.values().filter(matches).cloned().collect();
        found.sort_by_key(|pending| PendingCursor::from(pending));
        found.truncate(query.limit);
        found
    }

    async fn get(&self, batch_id: BatchId) -> Option<PendingCommitment> {
        assert_ne!(batch_id.to_b256(), PANICS, "as a handler might");
        if batch_id.to_b256() == HANGS {
            std::future::pending::<()>().await;
        }
        self.0.get(&batch_id).cloned()
    }
}

pub(crate) struct Parted;

impl StatusReport for Parted {
    fn status(&self) -> Value {
        json!({ "pipeline": { "paused": false }, "txmgr": { "inFlight": 2 } })
    }

    fn conditions(&self) -> Vec<(&'static str, Condition)> {
        let standby = Condition::Noted("standby: b holds the lease".to_owned());
        vec![("pipeline", Condition::Well), ("lease", standby)]
    }
}

/// One source that proves from the trees of [`leaves`].
pub(crate) struct Proving {
    pub(crate) plugins: watch::Sender<Vec<PluginAnswer>>,
}

#[async_trait]
impl Plugins for Proving {
    fn list(&self) -> Vec<PluginAnswer> {
        self.plugins.borrow().clone()
    }

    async fn inclusion_proof(&self, request: InclusionProofRequest) -> Result<InclusionProof, SourceError> {
        let number = (request.sequence - 1) / 3;
        if commitment(request.stream, number).batch_id != request.batch_id {
            return Err(SourceError::Refused("no such batch".to_owned()));
        }
        let leaves = leaves(request.stream, number);
        let index = usize::try_from((request.sequence - 1) % 3).unwrap();
        let tree = EventTree::new(leaves.clone()).unwrap();
        Ok(InclusionProof {
            batch_id: request.batch_id,
            sequence: request.sequence,
            leaf: leaves[index],
            leaf_index: index as u64,
            path: tree.proof(index).unwrap(),
            events_root: tree.root(),
        })
    }
}

pub(crate) fn plugin(id: &str, required: bool, state: &str) -> PluginAnswer {
    PluginAnswer {
        id: id.to_owned(),
        kind: "source".to_owned(),
        name: Some("test".to_owned()),
        version: Some("1.0.0".to_owned()),
        description: None,
        builtin: true,
        sha256: None,
        state: state.to_owned(),
        serving: state == "started",
        generation: 1,
        required,
        calls: 0,
        failures: 0,
        in_flight: 0,
    }
}

/// A registry that nobody can reach.
fn unreachable(nobodys: &ReservedPort) -> RegistryReader {
    set_chain::install_tls();
    let rpc_url = format!("http://127.0.0.1:{}/secret", nobodys.number()).parse().unwrap();
    let (timeout, poll_interval) = (Duration::from_secs(5), Duration::from_secs(1));
    let provider = set_chain::connect(&EndpointConfig {
        rpc_urls: vec![rpc_url],
        chain_id: None,
        timeout,
        poll_interval,
    })
    .unwrap();
    RegistryReader::new(provider, Address::repeat_byte(1))
}

fn metrics() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER
        .get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap())
        .clone()
}

/// Everything that a server stands on.
pub(crate) struct Fixture {
    pub(crate) index: Index,
    pub(crate) heads: watch::Sender<Arc<ChainView>>,
    pub(crate) plugins: Arc<Proving>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) waiting: BTreeMap<BatchId, PendingCommitment>,
    pub(crate) config: RpcConfig,
    pub(crate) proofs: Option<Arc<dyn SettlementProofs>>,
    /// Where the registry is asked for as long as a test puts no other in its place.
    _nobodys: ReservedPort,
}

impl Fixture {
    /// An empty index, and a chain at block 10.
    pub(crate) async fn new() -> Self {
        let plugins = watch::Sender::new(vec![plugin("sequencer", true, "started")]);
        let any = ([127, 0, 0, 1], 0).into();
        let nobodys = ReservedPort::any().unwrap();
        Self {
            index: Index::open(None).await.unwrap(),
            heads: watch::Sender::new(Arc::new(view(10, 8, 6))),
            plugins: Arc::new(Proving { plugins }),
            registry: Arc::new(unreachable(&nobodys)),
            waiting: BTreeMap::new(),
            config: RpcConfig {
                listen: any,
                health_listen: any,
                ..RpcConfig::default()
            },
            proofs: None,
            _nobodys: nobodys,
        }
    }

    /// Enters commitments, each in a block of its own, from block 5 on.
    pub(crate) async fn anchor(&self, commitments: &[Commitment]) {
        for (number, commitment) in (5..).zip(commitments) {
            let step = Step {
                entries: vec![entry(commitment, number, 3)],
                opened: vec![commitment.stream()],
            };
            self.index.apply(block(number), step).await.unwrap();
        }
        self.index.confirm();
    }

    /// Has the index follow the chain to a block, with nothing more on the way.
    pub(crate) async fn follow_to(&self, number: u64) {
        self.index.apply(block(number), Step::default()).await.unwrap();
    }

    pub(crate) fn wait(&mut self, pending: PendingCommitment) {
        self.waiting.insert(pending.commitment.batch_id, pending);
    }

    pub(crate) async fn serve(&self) -> RpcServer {
        metrics();
        let parts = Parts {
            chain_id: 84_532_001,
            version: "1.2.3",
            index: self.index.clone(),
            heads: self.heads.subscribe(),
            registry: Arc::clone(&self.registry),
            pending: Arc::new(Waiting(self.waiting.clone())),
            status: Arc::new(Parted),
            plugins: self.plugins.clone(),
            settlement: None,
            proofs: self.proofs.clone(),
        };
        RpcServer::start(&self.config, parts).await.unwrap()
    }

    pub(crate) fn health_parts(&self) -> HealthParts {
        HealthParts {
            heads: self.heads.subscribe(),
            index: self.index.clone(),
            plugins: self.plugins.clone(),
            status: Arc::new(Parted),
            metrics: metrics(),
        }
    }

    pub(crate) async fn serve_health(&self) -> HealthServer {
        HealthServer::start(self.config.health_listen, self.health_parts())
            .await
            .unwrap()
    }
}

/// Posts a body as it is; the status and the answer.
pub(crate) async fn post(server: &RpcServer, body: impl Into<reqwest::Body>) -> (u16, Value) {
    set_chain::install_tls();
    let request = reqwest::Client::new()
        .post(format!("http://{}", server.address()))
        .header("content-type", "application/json")
        .body(body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// One call; its `result` or its `error`.
pub(crate) async fn call(server: &RpcServer, method: &str, params: Value) -> Result<Value, Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (_, mut answer) = post(server, body.to_string()).await;
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(answer["error"].take()),
    }
}
