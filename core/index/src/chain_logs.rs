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
use alloy_primitives::{B256, U64};
use serde::Deserialize;
use set_chain::{BlockRef, L2Provider, transport_cause};
use set_types::LogFilter;

use crate::follower::FollowError;

/// Headers asked for in one JSON-RPC batch; nodes limit batches (geth: 1,000 entries).
const HEADERS_PER_BATCH: usize = 100;

/// What is read of a block. The rest, transactions included, is skipped without a look.
#[derive(Debug, Deserialize)]
struct Header {
    number: U64,
    hash: B256,
    timestamp: U64,
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

/// Reads the logs of `(after, to]`, in one round trip with the headers at both ends.
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
    // Asked for last: if this is still the block that was the range's last before, the logs are of its chain.
    let last = add_header(&mut batch, to).map_err(node)?;
    // A node that gives up on the whole batch does so because of the range.
    batch.send().await.map_err(refused)?;
    Ok(Range {
        logs: logs.await.map_err(refused)?,
        before: before.await.map_err(node)?.map(BlockRef::from),
        last: last.await.map_err(node)?.map(BlockRef::from),
    })
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
