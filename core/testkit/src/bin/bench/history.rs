//! A long past: blocks that seem to hold a million commitments, told to whoever asks for logs.

use std::{ops::RangeInclusive, sync::Arc};

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolEvent;
use eyre::Result;
use serde_json::{Value, json};
use set_chain::bindings::SetRegistry::BatchCommitted;
use set_testkit::{Action, Rpc, RpcProxy, Rule, Stack};

/// Blocks that the past takes.
const BLOCKS: u64 = 1_000;
/// Streams that it is spread over.
const STREAMS: u64 = 1_000;
/// Blocks in one answer, as many providers limit it.
const RANGE: u64 = 10;

#[derive(Debug)]
struct History {
    registry: Address,
    first: u64,
    /// Hash and timestamp of each block, as the chain has them.
    blocks: Vec<(Value, Value)>,
    per_block: u64,
}

/// Makes blocks, and a proxy before the node that tells of `commitments` in them. Nothing real may be
/// committed until whoever follows the logs is past them.
pub(crate) async fn told_by_proxy(stack: &Stack, commitments: u64) -> Result<RpcProxy> {
    let first = stack.chain.block_number().await? + 1;
    stack.chain.mine(BLOCKS).await?;
    let rpc = Rpc::new(stack.chain.url().clone());
    let tags = (first..first + BLOCKS).map(|number| json!([format!("{number:#x}"), false]));
    let headers = rpc.batch("eth_getBlockByNumber", tags.collect()).await?;
    let mut headers = headers.into_iter();
    let history = Arc::new(History {
        registry: stack.contracts.registry,
        first,
        blocks: headers
            .by_ref()
            .map(|mut header| (header["hash"].take(), header["timestamp"].take()))
            .collect(),
        per_block: commitments / BLOCKS,
    });
    let proxy = RpcProxy::start(stack.chain.url().clone()).await?;
    proxy.inject(Rule::log_range(RANGE));
    let end = first + BLOCKS;
    let logs = move |params: &Value| asked(params).map_or_else(|| json!([]), |range| history.logs(range));
    let past = Rule::on(["eth_getLogs"], Action::Reply(Arc::new(logs)));
    proxy.inject(
        past.when(move |params| asked(params).is_some_and(|range| *range.start() < end && *range.end() >= first)),
    );
    Ok(proxy)
}

fn asked(params: &Value) -> Option<RangeInclusive<u64>> {
    let number = |name: &str| u64::from_str_radix(params[0][name].as_str()?.strip_prefix("0x")?, 16).ok();
    Some(number("fromBlock")?..=number("toBlock")?)
}

impl History {
    fn logs(&self, range: RangeInclusive<u64>) -> Value {
        let last = self.first + self.blocks.len() as u64 - 1;
        let blocks = (*range.start()).max(self.first)..=(*range.end()).min(last);
        blocks
            .flat_map(|number| (0..self.per_block).map(move |index| self.log(number, index)))
            .collect()
    }

    fn log(&self, number: u64, index: u64) -> Value {
        let position = number - self.first;
        let count = position * self.per_block + index;
        let (stream, sequence) = (count % STREAMS, count / STREAMS + 1);
        let word = |kind: u64| keccak256([kind.to_be_bytes(), count.to_be_bytes()].concat());
        // A UUID, as all of the sequencer's ids are.
        let mut id = word(0);
        id[16..].fill(0);
        let event = BatchCommitted {
            batchId: id,
            tenantStoreKey: keccak256(stream.to_be_bytes()),
            eventsRoot: word(1),
            newStateRoot: word(2),
            sequenceStart: sequence,
            sequenceEnd: sequence,
            eventCount: 1,
        };
        let data = event.encode_log_data();
        // As many commitments share a transaction as in a real call.
        let transaction: B256 = keccak256([number.to_be_bytes(), (index / 150).to_be_bytes()].concat());
        let (hash, timestamp) = &self.blocks[position as usize];
        json!({
            "address": self.registry,
            "topics": data.topics(),
            "data": data.data,
            "blockNumber": format!("{number:#x}"),
            "blockHash": hash,
            "blockTimestamp": timestamp,
            "transactionHash": transaction,
            "transactionIndex": format!("{:#x}", index / 150),
            "logIndex": format!("{index:#x}"),
            "removed": false,
        })
    }
}
