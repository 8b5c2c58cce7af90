//! A chain with the contracts, the plugin beside it, and commitments to send.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use alloy::providers::Provider;
use alloy_sol_types::SolCall;
use serde::Deserialize;
use serde_json::{Value, json, value::to_raw_value};
use set_chain::bindings::SetRegistry::{
    getPrevStateRootCall, getStreamHeadsCall, registryVersionCall, setStreamSequencerCall,
};
use set_plugin_sdk::{
    harness::Harness,
    prelude::*,
    types::alloy_primitives::{Address, B256, Bytes, U64, U256, address, keccak256},
};
use set_registry_submitter::PLUGIN;
use set_testkit::{Anvil, Contracts, deploy};

/// Anvil's accounts 0 to 2: the registry's owner, its sequencer, and somebody else.
const OWNER: Address = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
pub(crate) const SEQUENCER: Address = address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
pub(crate) const OTHER: Address = address!("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");

/// Functions that a public registry lacks.
const NOT_PUBLIC: [[u8; 4]; 3] = [
    registryVersionCall::SELECTOR,
    getStreamHeadsCall::SELECTOR,
    getPrevStateRootCall::SELECTOR,
];

/// A chain that mines when asked, with the contracts on it.
pub(crate) struct Registry {
    chain: Anvil,
    pub(crate) contracts: Contracts,
}

/// A stream as its source knows it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) ids: StreamId,
    /// The newest commitment.
    pub(crate) last: Option<Commitment>,
    uuid: bool,
}

/// Another word each time.
fn word() -> B256 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    keccak256(COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes())
}

fn id(uuid: bool) -> B256 {
    let mut id = word();
    if uuid {
        id[16..].fill(0);
    }
    id
}

impl Stream {
    /// A stream without commitments, whose ids are UUIDs or full words.
    pub(crate) fn new(uuid: bool) -> Self {
        let ids = StreamId {
            tenant_id: id(uuid).into(),
            store_id: id(uuid).into(),
        };
        Self { ids, last: None, uuid }
    }

    /// Where the stream stands at its source.
    pub(crate) fn head(&self) -> StreamHead {
        self.last
            .as_ref()
            .map_or(StreamHead::unopened(self.ids), Commitment::head)
    }

    /// Its next commitment.
    pub(crate) fn next(&mut self) -> Commitment {
        let head = self.head();
        let event_count = 1 + u32::from(word()[0]);
        let commitment = Commitment {
            batch_id: id(self.uuid).into(),
            tenant_id: self.ids.tenant_id,
            store_id: self.ids.store_id,
            events_root: word(),
            prev_state_root: head.state_root,
            new_state_root: word(),
            sequence_start: head.sequence + 1,
            sequence_end: head.sequence + u64::from(event_count),
            event_count,
            committed_at: Timestamp::UNIX_EPOCH,
        };
        self.last = Some(commitment.clone());
        commitment
    }
}

/// The part of a receipt that matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    status: U64,
    gas_used: U64,
    block_number: U64,
    logs: Vec<Log>,
}

pub(crate) fn outcomes(response: &SettleResponse) -> Vec<SettleOutcome> {
    response
        .settlements
        .iter()
        .map(|settled| settled.outcome.clone())
        .collect()
}

pub(crate) fn committed(count: usize) -> Vec<SettleOutcome> {
    vec![SettleOutcome::Committed; count]
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let chain = Anvil::builder().no_mining().spawn().await.unwrap();
        let contracts = deploy(&chain, SEQUENCER).await.unwrap();
        Self { chain, contracts }
    }

    /// The plugin beside this registry; `config` goes over its configuration.
    pub(crate) async fn try_plugin(&self, config: Value) -> Result<Harness, PluginError> {
        self.start_plugin(config, &[]).await
    }

    pub(crate) async fn plugin(&self, config: Value) -> Harness {
        self.try_plugin(config).await.unwrap()
    }

    /// The plugin beside a registry that refuses what the public one lacks.
    pub(crate) async fn public_plugin(&self, config: Value) -> Harness {
        self.start_plugin(config, &NOT_PUBLIC).await.unwrap()
    }

    async fn start_plugin(&self, overlay: Value, refused: &'static [[u8; 4]]) -> Result<Harness, PluginError> {
        let mut config = json!({ "registry": self.contracts.registry });
        let keys = overlay.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(keys);
        let provider = self.chain.provider().clone();
        let ask = move |method: String, params: Value| {
            let provider = provider.clone();
            async move {
                let data: Bytes = serde_json::from_value(params[0]["data"].clone()).unwrap();
                if refused.iter().any(|selector| data.starts_with(selector)) {
                    return Err(PluginError::permanent("eth_call: execution reverted"));
                }
                let params = to_raw_value(&params).unwrap();
                let answer = provider.raw_request_dyn(Cow::Owned(method), &params).await;
                let answer = answer.map_err(|error| PluginError::permanent(error.to_string()))?;
                Ok(serde_json::from_str(answer.get()).unwrap())
            }
        };
        Harness::builder(PLUGIN).config(config).chain(ask).start().await
    }

    /// The next `commitments` of each stream.
    pub(crate) fn request(&self, streams: &mut [Stream], commitments: usize) -> PlanRequest {
        let heads = streams.iter().map(Stream::head).collect();
        let next = streams
            .iter_mut()
            .flat_map(|stream| (0..commitments).map(|_| stream.next()));
        self.request_of(next.collect(), heads)
    }

    pub(crate) fn request_of(&self, commitments: Vec<Commitment>, heads: Vec<StreamHead>) -> PlanRequest {
        PlanRequest {
            commitments,
            heads,
            limits: CallLimits {
                gas: 16_777_216,
                bytes: 131_072,
                estimated_bytes: 60_000,
                da_footprint: None,
                da_footprint_scalar: None,
                calls: 10,
            },
            from: SEQUENCER,
        }
    }

    /// Commits the next ones of each stream.
    pub(crate) async fn commit(&self, plugin: &Harness, streams: &mut [Stream], commitments: usize) {
        let request = self.request(streams, commitments);
        for call in plugin.plan(&request).await.unwrap().calls {
            let settle = self.send(&call, SEQUENCER).await;
            let settled = plugin.settle(&settle).await.unwrap();
            assert_eq!(outcomes(&settled), committed(call.batches.len()));
        }
    }

    /// Sends a call and mines it.
    pub(crate) async fn send(&self, call: &CandidateCall, from: Address) -> SettleRequest {
        let receipt = self.mine(from, call.to, &call.data, Some(call.gas_limit)).await;
        SettleRequest {
            call: call.clone(),
            succeeded: receipt.status == U64::ONE,
            gas_used: receipt.gas_used.to(),
            block_number: receipt.block_number.to(),
            from,
            logs: receipt.logs,
        }
    }

    /// Calls the registry as its owner.
    pub(crate) async fn administer(&self, call: &impl SolCall) {
        let receipt = self
            .mine(OWNER, self.contracts.registry, &call.abi_encode().into(), None)
            .await;
        assert_eq!(receipt.status, U64::ONE);
    }

    /// Binds a stream to one sequencer.
    pub(crate) async fn bind(&self, stream: &Stream, sequencer: Address) {
        let call = setStreamSequencerCall {
            tenantId: stream.ids.tenant_id.to_b256(),
            storeId: stream.ids.store_id.to_b256(),
            sequencer,
        };
        self.administer(&call).await;
    }

    async fn mine(&self, from: Address, to: Address, data: &Bytes, gas: Option<u64>) -> Receipt {
        let mut transaction = json!({ "from": from, "to": to, "data": data });
        transaction["gas"] = json!(U64::from(gas.unwrap_or(1_000_000)));
        let hash: B256 = self.chain.call("eth_sendTransaction", (transaction,)).await.unwrap();
        self.chain.mine(1).await.unwrap();
        self.chain.call("eth_getTransactionReceipt", (hash,)).await.unwrap()
    }

    /// The newest block's hash.
    pub(crate) async fn head_hash(&self) -> B256 {
        let block: Value = self
            .chain
            .call("eth_getBlockByNumber", ("latest", false))
            .await
            .unwrap();
        serde_json::from_value(block["hash"].clone()).unwrap()
    }

    /// Asks the plugin for heads, records and logs, and compares them with what was committed.
    pub(crate) async fn holds(&self, plugin: &Harness, commitments: &[Commitment], streams: &[Stream]) {
        let request = HeadsRequest {
            streams: streams.iter().map(|stream| stream.ids).collect(),
            at_block: None,
        };
        let expected: Vec<_> = streams.iter().map(Stream::head).collect();
        assert_eq!(plugin.heads(&request).await.unwrap().heads, expected);

        let mut batches: Vec<_> = commitments.iter().map(|commitment| commitment.batch_id).collect();
        batches.push(word().into());
        let records = plugin
            .lookup(&LookupRequest {
                batches,
                at_block: None,
            })
            .await
            .unwrap()
            .records;
        let (nothing, records) = records.split_last().unwrap();
        assert_eq!(nothing, &None);
        for (record, commitment) in records.iter().zip(commitments) {
            let record = record.unwrap();
            assert!(record.matches(commitment) && record.timestamp > 0, "{record:?}");
        }

        let filter = plugin.log_filter().await.unwrap();
        let filter = json!({
            "address": filter.addresses, "topics": [filter.topics],
            "fromBlock": U256::from(filter.from_block.unwrap_or(0)),
        });
        let logs: Vec<Log> = self.chain.call("eth_getLogs", (filter,)).await.unwrap();
        let told = plugin.decode(&DecodeRequest { logs }).await.unwrap();
        let by_id: HashMap<_, _> = told.committed.iter().map(|log| (log.batch_id, log)).collect();
        for commitment in commitments {
            let log = by_id[&commitment.batch_id];
            assert_eq!(log.stream_key, commitment.stream().key());
            assert_eq!(
                (log.events_root, log.new_state_root),
                (commitment.events_root, commitment.new_state_root)
            );
            let range = (
                commitment.sequence_start,
                commitment.sequence_end,
                commitment.event_count,
            );
            assert_eq!((log.sequence_start, log.sequence_end, log.event_count), range);
        }
        for stream in streams {
            let opened = told.opened.iter().filter(|opened| opened.stream == stream.ids);
            assert!(opened.map(|opened| opened.stream_key).eq([stream.ids.key()]));
        }
    }
}
