//! Reading ranges of logs and block headers from a node.

use std::collections::BTreeMap;

use alloy::{
    eips::BlockNumberOrTag,
    providers::Provider,
    rpc::{
        client::{BatchRequest, Waiter},
        types::{Filter, Log},
    },
    transports::TransportError,
};
use alloy_primitives::{B256, Bloom, BloomInput, U64};
use serde::Deserialize;
use set_chain::{BlockRef, L2Provider, transport_cause};
use set_types::LogFilter;

use crate::follower::FollowError;

/// Headers asked for in one JSON-RPC batch; nodes limit batches (geth: 1,000 entries).
const HEADERS_PER_BATCH: usize = 100;
/// In ranges of so many blocks, which is all that following the head asks for, each block's logs are held
/// against its header.
const CHECKED_BLOCKS: u64 = 16;
/// What nodes say of history that they have dropped: geth, nethermind and reth (code 4444 of EIP-4444, "missing
/// trie node", "header not found" excepted, which a node that lags says too), erigon, besu, and gateways.
const PRUNED: [&str; 8] = [
    "pruned",
    "pruning",
    "4444",
    "missing trie node",
    "history unavailable",
    "history is not available",
    "historical data",
    "old data not available",
];

/// What is read of a block. The rest, transactions included, is skipped without a look.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Header {
    number: U64,
    hash: B256,
    timestamp: U64,
    #[serde(rename = "logsBloom")]
    bloom: Option<Bloom>,
}

impl Header {
    /// Whether the block may hold logs that the filter matches. Without a bloom nobody knows.
    fn may_hold(&self, filter: &LogFilter) -> bool {
        let holds = |bytes: &[u8]| {
            self.bloom
                .is_some_and(|bloom| bloom.contains_input(BloomInput::Raw(bytes)))
        };
        filter.addresses.iter().any(|address| holds(address.as_slice()))
            && filter.topics.iter().any(|topic| holds(topic.as_slice()))
    }
}

impl From<Header> for BlockRef {
    fn from(header: Header) -> Self {
        Self {
            number: header.number.to(),
            hash: header.hash,
            timestamp: header.timestamp.to(),
        }
    }
}

/// The logs of a range, and the two blocks that prove which chain they are from.
pub(crate) struct Range {
    pub(crate) logs: Vec<Log>,
    /// The block before the range, as the node has it now.
    pub(crate) before: Option<BlockRef>,
    /// The last block of the range, as the node has it now.
    pub(crate) last: Option<BlockRef>,
}

/// Whether an error says that the node has dropped history for good.
pub(crate) fn is_pruned(cause: &str) -> bool {
    let cause = cause.to_lowercase();
    PRUNED.iter().any(|words| cause.contains(words))
}

/// Reads the logs of `(after, to]`, in one round trip with the headers at both ends.
///
/// A node may have a block before it has its logs. Where a header says that a block may hold what is looked
/// for and the answer has nothing of it, the block is asked for again, by its hash.
///
/// # Errors
/// [`FollowError::Refused`] if the node does not answer for this range, [`FollowError::Node`] if it
/// answers nothing at all.
pub(crate) async fn read_range(
    provider: &L2Provider,
    filter: &LogFilter,
    after: u64,
    to: u64,
) -> Result<Range, FollowError> {
    const METHOD: &str = "eth_getLogs";
    let node = |error: TransportError| FollowError::Node {
        method: METHOD,
        cause: transport_cause(&error),
    };
    let refused = |error: TransportError| FollowError::Refused {
        from: after + 1,
        to,
        cause: transport_cause(&error),
    };
    let wanted = Filter::new()
        .address(filter.addresses.clone())
        .event_signature(filter.topics.clone())
        .from_block(after + 1)
        .to_block(to);
    let mut batch = BatchRequest::new(provider.client());
    let logs: Waiter<Vec<Log>> = batch.add_call(METHOD, &(wanted,)).map_err(node)?;
    let before = add_header(&mut batch, after).map_err(node)?;
    let between = (after + 1..to).take_while(|_| to - after <= CHECKED_BLOCKS);
    let between = between
        .map(|number| add_header(&mut batch, number))
        .collect::<Result<Vec<_>, _>>()
        .map_err(node)?;
    // Asked for last: if this is still the block that was the range's last before, the logs are of its chain.
    let last = add_header(&mut batch, to).map_err(node)?;
    // A node that gives up on the whole batch does so because of the range.
    batch.send().await.map_err(refused)?;
    let mut logs = logs.await.map_err(refused)?;
    let before = before.await.map_err(node)?;
    let mut headers = vec![];
    for header in between {
        headers.extend(header.await.map_err(node)?);
    }
    let last = last.await.map_err(node)?;
    headers.extend(&last);
    headers.retain(|header| {
        let number = header.number.to::<u64>();
        header.may_hold(filter) && !logs.iter().any(|log| log.block_number == Some(number))
    });
    let asked_again = headers.iter().map(|header| header.hash);
    logs.extend(read_blocks(provider, filter, asked_again.collect()).await?);
    Ok(Range {
        logs,
        before: before.map(BlockRef::from),
        last: last.map(BlockRef::from),
    })
}

/// Reads the logs of these blocks, each by its hash: a node that lacks a block, or its logs, says so.
async fn read_blocks(provider: &L2Provider, filter: &LogFilter, hashes: Vec<B256>) -> Result<Vec<Log>, FollowError> {
    const METHOD: &str = "eth_getLogs";
    if hashes.is_empty() {
        return Ok(vec![]);
    }
    let node = |error: TransportError| FollowError::Node {
        method: METHOD,
        cause: transport_cause(&error),
    };
    let mut batch = BatchRequest::new(provider.client());
    let answers = hashes
        .into_iter()
        .map(|hash| {
            let wanted = Filter::new()
                .address(filter.addresses.clone())
                .event_signature(filter.topics.clone())
                .at_block_hash(hash);
            batch.add_call(METHOD, &(wanted,))
        })
        .collect::<Result<Vec<Waiter<Vec<Log>>>, _>>()
        .map_err(node)?;
    batch.send().await.map_err(node)?;
    let mut logs = vec![];
    for answer in answers {
        logs.extend(answer.await.map_err(node)?);
    }
    Ok(logs)
}

/// Reads the headers of these blocks; a block that the node does not have is left out.
///
/// # Errors
/// [`FollowError::Node`] if the node does not answer.
pub(crate) async fn read_headers(
    provider: &L2Provider,
    numbers: &[u64],
) -> Result<BTreeMap<u64, BlockRef>, FollowError> {
    let node = |error: TransportError| FollowError::Node {
        method: "eth_getBlockByNumber",
        cause: transport_cause(&error),
    };
    let mut headers = BTreeMap::new();
    for numbers in numbers.chunks(HEADERS_PER_BATCH) {
        let mut batch = BatchRequest::new(provider.client());
        let waiters = numbers
            .iter()
            .map(|number| add_header(&mut batch, *number))
            .collect::<Result<Vec<_>, _>>()
            .map_err(node)?;
        batch.send().await.map_err(node)?;
        for waiter in waiters {
            if let Some(block) = waiter.await.map_err(node)?.map(BlockRef::from) {
                headers.insert(block.number, block);
            }
        }
    }
    Ok(headers)
}

fn add_header(batch: &mut BatchRequest<'_>, number: u64) -> Result<Waiter<Option<Header>>, TransportError> {
    batch.add_call("eth_getBlockByNumber", &(BlockNumberOrTag::Number(number), false))
}
