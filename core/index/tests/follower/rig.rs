//! A chain with the real registry on it, and an index that follows it.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    network::{ReceiptResponse, TransactionBuilder},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolCall;
use async_trait::async_trait;
use serde_json::{json, value::RawValue};
use set_chain::{ChainView, EndpointConfig, L2Provider, bindings::SetRegistry, track};
use set_host::{Builtin, Host, HostConfig, HostServices, ServiceError};
use set_index::{Anchored, Follower, FollowerOptions, Index};
use set_testkit::{Anvil, Contracts, RpcProxy, anvil::DEVNET_CHAIN_ID, deploy};
use set_types::{BatchId, StreamId};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// Far above what any step takes; only a hang reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// The core's side of a plugin: it asks the node, and keeps nothing.
struct Node(L2Provider);

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

/// The submitter that an operator would run, behind the plugin boundary.
async fn submitter(provider: L2Provider, contracts: Contracts) -> Host {
    let plugin = json!({
        "id": "registry", "kind": "submitter", "builtin": "registry-submitter", "required": true,
        "config": { "registry": contracts.registry, "start_block": contracts.block },
        "allow": { "chain_calls": ["eth_call", "eth_getLogs", "eth_chainId"] },
    });
    let config = HostConfig {
        plugins: vec![serde_json::from_value(plugin).unwrap()],
        ..HostConfig::default()
    };
    let builtin = Builtin {
        name: "registry-submitter",
        entry: set_registry_submitter::PLUGIN,
    };
    Host::start(config, &[builtin], Arc::new(Node(provider))).await.unwrap()
}

/// A chain with a registry on it.
pub(crate) struct Chain {
    pub(crate) anvil: Anvil,
    pub(crate) contracts: Contracts,
}

impl Chain {
    pub(crate) async fn start() -> Self {
        let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
        let contracts = deploy(&anvil, Anvil::account(1).address()).await.unwrap();
        Self { anvil, contracts }
    }

    /// Commits a stream's next batch of three events in a block of its own. `number` counts from 0.
    pub(crate) async fn commit(&self, stream: StreamId, number: u64, fork: &str) -> Committed {
        let name = |what: &str, number: u64| keccak256(format!("{what} {fork} {number} {stream}"));
        let call = SetRegistry::commitBatchCall {
            batchId: name("batch", number),
            tenantId: stream.tenant_id.to_b256(),
            storeId: stream.store_id.to_b256(),
            eventsRoot: name("events", number),
            prevStateRoot: if number == 0 {
                B256::ZERO
            } else {
                state(stream, number - 1)
            },
            newStateRoot: state(stream, number),
            sequenceStart: 3 * number + 1,
            sequenceEnd: 3 * number + 3,
            eventCount: 3,
        };
        let request = TransactionRequest::default()
            .with_from(Anvil::account(1).address())
            .with_to(self.contracts.registry)
            .with_gas_limit(500_000)
            .with_input(call.abi_encode());
        let provider = self.anvil.provider();
        let tx_hash = *provider.send_transaction(request.into()).await.unwrap().tx_hash();
        self.anvil.mine(1).await.unwrap();
        let receipt = provider.get_transaction_receipt(tx_hash).await.unwrap().unwrap();
        assert!(receipt.status());
        Committed {
            batch_id: call.batchId.into(),
            tx_hash,
            block_hash: receipt.block_hash().unwrap(),
        }
    }

    pub(crate) async fn head(&self) -> B256 {
        let block = self
            .anvil
            .provider()
            .get_block_by_number(BlockNumberOrTag::Latest)
            .await
            .unwrap();
        block.unwrap().header.hash
    }
}

/// The same on every fork, so that a stream continues whatever became of its earlier batches.
pub(crate) fn state(stream: StreamId, number: u64) -> B256 {
    keccak256(format!("state {number} {stream}"))
}

pub(crate) struct Committed {
    pub(crate) batch_id: BatchId,
    pub(crate) tx_hash: B256,
    pub(crate) block_hash: B256,
}

pub(crate) fn stream(number: u8) -> StreamId {
    StreamId {
        tenant_id: B256::repeat_byte(number).into(),
        store_id: B256::repeat_byte(0x50).into(),
    }
}

/// An index that is being followed.
pub(crate) struct Followed {
    pub(crate) index: Index,
    pub(crate) heads: watch::Receiver<Arc<ChainView>>,
    pub(crate) host: Host,
    pub(crate) tasks: Vec<JoinHandle<()>>,
}

impl Followed {
    pub(crate) async fn start(provider: L2Provider, contracts: Contracts, path: Option<&Path>, max_range: u64) -> Self {
        let index = Index::open(path).await.unwrap();
        let (heads, tracking) = track(provider.clone(), DEVNET_CHAIN_ID, Duration::from_millis(20));
        let options = FollowerOptions {
            chain_id: DEVNET_CHAIN_ID,
            from_block: contracts.block,
            max_range,
        };
        let host = submitter(provider.clone(), contracts).await;
        let decoder = host.submitter().unwrap();
        let follower = Follower::new(provider, decoder, index.clone(), heads.clone(), options);
        let tasks = vec![
            tokio::spawn(tracking),
            tokio::spawn(follower.run(std::future::pending())),
        ];
        Self {
            index,
            heads,
            host,
            tasks,
        }
    }

    /// Returns once the index is at the block with this hash.
    pub(crate) async fn reach(&self, hash: B256) {
        let mut synced = self.index.synced();
        let reached =
            synced.wait_for(|synced| synced.is_caught_up() && synced.block.is_some_and(|block| block.hash == hash));
        let waited = timeout(HANG, reached).await.map(|reached| drop(reached.unwrap()));
        assert!(waited.is_ok(), "the index stays at {:?}", self.index.synced().borrow());
    }

    pub(crate) async fn holds(&self, committed: &Committed) -> Option<Anchored> {
        let anchored = self.index.get(committed.batch_id).await.unwrap()?;
        assert_eq!(anchored.tx_hash, committed.tx_hash);
        assert_eq!(anchored.block.hash, committed.block_hash);
        assert!(anchored.block.timestamp > 1_600_000_000);
        Some(anchored)
    }

    pub(crate) async fn stop(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
        self.host.shutdown(HANG).await;
    }
}

pub(crate) fn connect(proxy: &RpcProxy) -> L2Provider {
    let (timeout, poll_interval) = (Duration::from_secs(10), Duration::from_millis(20));
    set_chain::connect(&EndpointConfig {
        rpc_urls: vec![proxy.url()],
        chain_id: None,
        timeout,
        poll_interval,
    })
    .unwrap()
}
