//! A chain, a sequencer, and sidecars without their RPC.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use alloy::{
    eips::BlockId,
    network::{ReceiptResponse, TransactionBuilder},
    providers::Provider,
    rpc::types::{Filter, TransactionRequest},
};
use alloy_primitives::B256;
use alloy_sol_types::{SolCall, SolEvent};
use async_trait::async_trait;
use serde_json::{json, value::RawValue};
use set_chain::{
    ChainView, RegistryReader, SettlementTag,
    bindings::SetRegistry::{
        BatchCommitted, commitBatchesCall, pauseCall, setSequencerAuthorizationCall, setStreamSequencerCall,
        unpauseCall,
    },
    track,
};
use set_host::{Builtin, Host, HostConfig, HostServices, ServiceError};
use set_index::{Durable, Follower, FollowerOptions, Index};
use set_lease::Leadership;
use set_pipeline::{Account, Parts, Pipeline, PipelineConfig, PipelineHandle, PipelineStatus};
use set_testkit::{Anvil, Contracts, Sequencer, anvil::DEVNET_CHAIN_ID, deploy};
use set_txmgr::{BlockBudget, Journal, LocalKey, Spending, StartParts, TxConfig, TxMgr};
use set_types::{BatchId, PendingCommitment, StreamId};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// Far above what any step takes; only a hang reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(90);

/// The account that commits.
pub(crate) const SENDER: usize = 1;

/// The core's side of a plugin: it asks the node, and keeps nothing.
struct Node(set_chain::L2Provider);

#[async_trait]
impl HostServices for Node {
    async fn chain_call(&self, _: &str, method: &str, params: Box<RawValue>) -> Result<Box<RawValue>, ServiceError> {
        let answer = self.0.raw_request(method.to_owned().into(), params).await;
        answer.map_err(|error| ServiceError::retryable(error.to_string()))
    }

    async fn kv_get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, ServiceError> {
        Ok(None)
    }

    async fn kv_put(&self, _: &str, _: &str, _: Vec<u8>) -> Result<(), ServiceError> {
        Ok(())
    }
}

/// A chain with a block every second, its contracts, and a sequencer.
pub(crate) struct Rig {
    pub(crate) anvil: Anvil,
    pub(crate) contracts: Contracts,
    pub(crate) sequencer: Sequencer,
    key_file: tempfile::NamedTempFile,
}

/// What a pipeline is started with.
pub(crate) struct Setup<'a> {
    pub(crate) config: PipelineConfig,
    /// Where it keeps its data; `None`: nowhere.
    pub(crate) data: Option<&'a Path>,
    pub(crate) txmgr: TxConfig,
    /// The accounts that commit.
    pub(crate) senders: Vec<usize>,
}

impl Setup<'_> {
    pub(crate) fn new(config: PipelineConfig) -> Self {
        Self {
            config,
            data: None,
            txmgr: TxConfig::default(),
            senders: vec![SENDER],
        }
    }
}

/// A running pipeline with all it needs.
pub(crate) struct Running {
    pub(crate) pipeline: PipelineHandle,
    /// The chain as it sees it.
    pub(crate) heads: watch::Receiver<Arc<ChainView>>,
    /// Its sending accounts.
    pub(crate) txmgrs: Vec<TxMgr>,
    host: Host,
    tasks: Vec<JoinHandle<()>>,
}

impl Rig {
    /// `streams` of a sequencer that commits on demand only. `safe` follows the head by one block.
    pub(crate) async fn start(streams: usize) -> Self {
        let anvil = Anvil::builder()
            .block_time(1)
            .slots_in_an_epoch(1)
            .spawn()
            .await
            .unwrap();
        let contracts = deploy(&anvil, Anvil::account(SENDER).address()).await.unwrap();
        let sequencer = Sequencer::builder().streams(streams).start().await.unwrap();
        let key_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key_file.path(), sequencer.admin_key()).unwrap();
        Self {
            anvil,
            contracts,
            sequencer,
            key_file,
        }
    }

    /// What a test runs with: polls quickly, reports what is safe.
    pub(crate) fn config() -> PipelineConfig {
        PipelineConfig {
            poll_interval: Duration::from_millis(200),
            report_at: SettlementTag::Safe,
            retry_pause: Duration::from_millis(200),
            blocked_recheck: Duration::from_millis(500),
            quarantine_recheck: Duration::from_secs(5),
            ..PipelineConfig::default()
        }
    }

    /// Starts a pipeline, with its data in a directory or nowhere.
    pub(crate) async fn run(&self, config: PipelineConfig, data: Option<&Path>) -> Running {
        self.run_with(Setup {
            data,
            ..Setup::new(config)
        })
        .await
    }

    /// Starts a pipeline.
    pub(crate) async fn run_with(&self, setup: Setup<'_>) -> Running {
        let data = setup.data;
        let provider = self.anvil.provider().clone();
        let host = Host::start(self.plugins(), &builtins(), Arc::new(Node(provider.clone())))
            .await
            .unwrap();
        let (heads, tracking) = track(provider.clone(), DEVNET_CHAIN_ID, Duration::from_millis(100));
        let file = |name: &str| data.map(|data| data.join(name));
        let index = released(async || Index::open(file("index.redb").as_deref()).await).await;
        let durable = released(async || Durable::open(file("durable.redb").as_deref()).await).await;
        let options = FollowerOptions {
            chain_id: DEVNET_CHAIN_ID,
            from_block: self.contracts.block,
            max_range: 1_000,
        };
        let submitter = host.submitter().unwrap();
        let follower = Follower::new(
            provider.clone(),
            submitter.clone(),
            index.clone(),
            heads.clone(),
            options,
        );
        let mut accounts = Vec::new();
        let budget = BlockBudget::default();
        for sender in &setup.senders {
            accounts.push(self.account(*sender, &setup, heads.clone(), budget.clone()).await);
        }
        let tasks = vec![
            tokio::spawn(tracking),
            tokio::spawn(follower.run(std::future::pending())),
        ];
        let txmgrs = accounts.iter().map(|account| account.txmgr.clone()).collect();
        let parts = Parts {
            source: host.source().unwrap(),
            policies: host.policies(),
            submitter,
            accounts,
            leadership: Leadership::always(),
            heads: heads.clone(),
            index,
            durable,
            chain_id: DEVNET_CHAIN_ID,
        };
        Running {
            pipeline: Pipeline::start(setup.config, parts).await.unwrap(),
            host,
            tasks,
            heads,
            txmgrs,
        }
    }

    /// A sending account with its transaction manager.
    pub(crate) async fn account(
        &self,
        sender: usize,
        setup: &Setup<'_>,
        heads: watch::Receiver<Arc<ChainView>>,
        budget: BlockBudget,
    ) -> Account {
        let signer = LocalKey::from(Anvil::account(sender));
        let journal = match setup.data {
            Some(data) => {
                let account = Anvil::account(sender).address();
                released(async || Journal::open(data, DEVNET_CHAIN_ID, account)).await
            }
            None => Journal::in_memory(),
        };
        let (txmgr, events) = set_txmgr::start(StartParts {
            config: setup.txmgr.clone(),
            signer: Arc::new(signer),
            provider: self.anvil.provider().clone(),
            chain_id: DEVNET_CHAIN_ID,
            heads,
            journal,
            spending: Spending::in_memory(),
            leadership: Leadership::always(),
            budget,
        })
        .unwrap();
        Account { txmgr, events }
    }

    fn plugins(&self) -> HostConfig {
        let source = json!({
            "id": "sequencer", "kind": "source", "builtin": "sequencer-http", "required": true, "deadline": "25s",
            "config": {
                "base_url": self.sequencer.url(),
                "api_key": format!("file:{}", self.key_file.path().display()),
            },
        });
        let policy = json!({
            "id": "policy", "kind": "policy", "builtin": "paymaster-policy", "required": true, "config": {},
        });
        let submitter = json!({
            "id": "registry", "kind": "submitter", "builtin": "registry-submitter", "required": true,
            "config": { "registry": self.contracts.registry, "start_block": self.contracts.block },
            "allow": {
                "calls": [{
                    "to": self.contracts.registry,
                    "selectors": [
                        "commitBatch(bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,uint64,uint64,uint32)",
                        format!("0x{}", alloy_primitives::hex::encode(bulk_selector())),
                    ],
                }],
            },
        });
        HostConfig {
            plugins: [source, policy, submitter]
                .into_iter()
                .map(|plugin| serde_json::from_value(plugin).unwrap())
                .collect(),
            ..HostConfig::default()
        }
    }

    /// Commits batches of three events, one stream after the other.
    pub(crate) fn commit(&self, batches: usize) -> Vec<BatchId> {
        let streams = self.sequencer.streams();
        (0..batches)
            .map(|number| self.sequencer.commit(streams[number % streams.len()], 3).batch_id)
            .collect()
    }

    /// Pauses the registry, or lets it go on.
    pub(crate) async fn pause(&self, paused: bool) {
        let input = if paused {
            pauseCall {}.abi_encode()
        } else {
            unpauseCall {}.abi_encode()
        };
        self.administer(input).await;
    }

    /// Lets an account commit, or not any more.
    pub(crate) async fn authorise(&self, sender: usize, authorized: bool) {
        let sequencer = Anvil::account(sender).address();
        let call = setSequencerAuthorizationCall { sequencer, authorized };
        self.administer(call.abi_encode()).await;
    }

    /// Lets only this account commit to a stream.
    pub(crate) async fn bind(&self, stream: StreamId, sender: usize) {
        let call = setStreamSequencerCall {
            tenantId: stream.tenant_id.to_b256(),
            storeId: stream.store_id.to_b256(),
            sequencer: Anvil::account(sender).address(),
        };
        self.administer(call.abi_encode()).await;
    }

    /// The registry's owner calls it.
    async fn administer(&self, input: Vec<u8>) {
        let request = TransactionRequest::default()
            .with_from(Anvil::account(0).address())
            .with_to(self.contracts.registry)
            .with_gas_limit(200_000)
            .with_input(input);
        let provider = self.anvil.provider();
        let sent = provider.send_transaction(request.into()).await.unwrap();
        self.anvil.mine(1).await.unwrap();
        let receipt = provider
            .get_transaction_receipt(*sent.tx_hash())
            .await
            .unwrap()
            .unwrap();
        assert!(receipt.status());
    }

    /// Transactions that an account has on chain.
    pub(crate) async fn sent(&self, sender: usize) -> u64 {
        let account = Anvil::account(sender).address();
        self.anvil.provider().get_transaction_count(account).await.unwrap()
    }

    /// Waits until so many commitments are reported.
    pub(crate) async fn reported(&self, count: usize, running: &Running) {
        assert!(
            self.sequencer.reported(count, HANG).await,
            "{count} commitments were not reported within {HANG:?}: {:#?} {:#?}",
            running.pipeline.view().status(),
            running.pipeline.view().pending(Default::default(), None, 10)
        );
    }

    /// Every commitment of the sequencer but `stuck` is on chain, exactly once and as it was made, and was
    /// reported with the transaction that committed it and no other.
    pub(crate) async fn check(&self, stuck: &BTreeSet<BatchId>) {
        assert_eq!(self.sequencer.contradictions(), BTreeMap::new());
        let reader = RegistryReader::new(self.anvil.provider().clone(), self.contracts.registry);
        let reports: BTreeMap<BatchId, B256> = self
            .sequencer
            .reports()
            .into_iter()
            .map(|report| (report.batch_id, report.chain_tx_hash))
            .collect();
        let committed = self.committed().await;
        for commitment in self.sequencer.commitments() {
            let batch_id = commitment.batch_id;
            let record = reader.record(batch_id, BlockId::latest()).await.unwrap();
            if stuck.contains(&batch_id) {
                assert_eq!(record, None, "{batch_id} was to stay where it is");
                assert!(!reports.contains_key(&batch_id));
                continue;
            }
            assert!(record.unwrap().matches(&commitment));
            let transactions = &committed[&batch_id];
            assert_eq!(transactions.len(), 1, "{batch_id} was committed {transactions:?}");
            assert_eq!(reports.get(&batch_id), Some(&transactions[0]));
        }
    }

    /// The transactions that committed each batch, by the chain's logs.
    pub(crate) async fn committed(&self) -> BTreeMap<BatchId, Vec<B256>> {
        let filter = Filter::new()
            .address(self.contracts.registry)
            .event_signature(BatchCommitted::SIGNATURE_HASH)
            .from_block(0);
        let mut committed: BTreeMap<BatchId, Vec<B256>> = BTreeMap::new();
        for log in self.anvil.provider().get_logs(&filter).await.unwrap() {
            let batch_id = BatchId::from(log.topics()[1]);
            committed
                .entry(batch_id)
                .or_default()
                .push(log.transaction_hash.unwrap());
        }
        committed
    }
}

/// Opens a file once the pipeline before has let go of it. Its threads end on their own, and no event says
/// so; between processes the system does it.
async fn released<T, E: std::fmt::Debug>(open: impl AsyncFn() -> Result<T, E>) -> T {
    let start = std::time::Instant::now();
    loop {
        match open().await {
            Ok(opened) => return opened,
            Err(error) if start.elapsed() > HANG => panic!("{error:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn bulk_selector() -> [u8; 4] {
    commitBatchesCall::SELECTOR
}

fn builtins() -> [Builtin; 3] {
    [
        Builtin {
            name: "sequencer-http",
            entry: set_sequencer_http::PLUGIN,
        },
        Builtin {
            name: "paymaster-policy",
            entry: set_paymaster_policy::PLUGIN,
        },
        Builtin {
            name: "registry-submitter",
            entry: set_registry_submitter::PLUGIN,
        },
    ]
}

impl Running {
    /// Waits until the pipeline's status is as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&PipelineStatus) -> bool) {
        let view = self.pipeline.view();
        let mut revisions = self.pipeline.revisions();
        let reached = timeout(HANG, revisions.wait_for(|_| wanted(&view.status()))).await;
        assert!(
            reached.is_ok_and(|reached| reached.is_ok()),
            "never saw {what}: {:#?} {:#?}",
            view.status(),
            view.pending(Default::default(), None, 20)
        );
    }

    pub(crate) fn get(&self, batch_id: BatchId) -> Option<PendingCommitment> {
        self.pipeline.view().get(batch_id)
    }

    /// Ends everything at once, as a kill would.
    pub(crate) async fn kill(self) {
        self.pipeline.drain(Duration::ZERO).await;
        for task in self.tasks {
            task.abort();
            let _ended = task.await;
        }
        self.host.shutdown(HANG).await;
    }
}
