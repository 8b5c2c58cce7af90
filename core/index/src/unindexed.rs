//! Commitments from before what the index holds: found by the time that the contract recorded.
//!
//! Where nodes have dropped old logs, the contract still says that it holds a commitment and since when, but
//! not which transaction brought it. A block is found by its timestamp, and the transaction in it by the
//! commitment's id, which its input names. Nodes keep blocks for longer than logs and state.

use alloy::{eips::BlockNumberOrTag, providers::Provider};
use alloy_primitives::{B256, Bytes, U64};
use serde::Deserialize;
use set_chain::{BlockRef, L2Provider, transport_cause};
use set_types::{RecordedCommitment, StreamId};

use crate::{
    Anchored, Index,
    chain_logs::{is_pruned, read_headers},
    follower::FollowError,
    tables::ANCHOR,
};

/// Headers read for one search, at most. Halving alone would need 64 for any chain.
const LOOKS: usize = 96;

/// Where a search begins.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) provider: L2Provider,
    /// First block that can hold a commitment.
    pub(crate) first_block: u64,
}

/// Why a commitment from before the index was not found.
#[derive(Debug, thiserror::Error)]
#[error("looking for a commitment that is older than the index: {0}")]
pub struct SearchError(#[from] FollowError);

#[derive(Debug, Deserialize)]
struct Block {
    number: U64,
    hash: B256,
    timestamp: U64,
    transactions: Vec<Transaction>,
}

#[derive(Debug, Deserialize)]
struct Transaction {
    hash: B256,
    input: Bytes,
}

#[derive(Debug, Deserialize)]
struct Receipt {
    status: Option<U64>,
}

impl Index {
    /// Finds a commitment that the contract holds and whose log is older than the index. `None` if it is not
    /// older, or if nodes have dropped its block too.
    ///
    /// Costs a few round trips, and more where blocks do not come at regular times: not for what the index may
    /// hold. Position in the block is not told.
    ///
    /// # Errors
    /// [`SearchError`] where a node or the store does not answer.
    pub async fn find_unindexed(
        &self,
        stream: StreamId,
        record: &RecordedCommitment,
    ) -> Result<Option<Anchored>, SearchError> {
        let Some(origin) = self.origin() else { return Ok(None) };
        let anchor = self.query(|reader| reader.followed(ANCHOR)).await;
        let Some(anchor) = anchor.map_err(FollowError::from)? else {
            return Ok(None);
        };
        // Nothing is missing between the first block that matters and the first that is indexed.
        if anchor.number < origin.first_block || anchor.timestamp < record.timestamp {
            return Ok(None);
        }
        let id = record.batch_id.to_b256();
        let mut next = block_since(&origin, anchor, record.timestamp).await?;
        let mut found = None;
        // One block has a timestamp on an L2; a development chain may make several at once.
        while let Some(block) = next.filter(|block| block.timestamp == record.timestamp && found.is_none()) {
            found = transaction_with(&origin.provider, block, &id)
                .await?
                .map(|tx_hash| (tx_hash, block));
            let after = block.number + 1;
            next = match found {
                None if after <= anchor.number => header(&origin.provider, after).await?,
                _ => None,
            };
        }
        let Some((tx_hash, block)) = found else {
            return Ok(None);
        };
        Ok(Some(Anchored {
            batch_id: record.batch_id,
            stream_key: stream.key(),
            stream: Some(stream),
            events_root: record.events_root,
            new_state_root: record.new_state_root,
            sequence_start: record.sequence_start,
            sequence_end: record.sequence_end,
            event_count: record.event_count,
            tx_hash,
            block,
            log_index: 0,
            reported: false,
            followed: self.synced().borrow().block.filter(|_| self.is_confirmed()),
        }))
    }
}

/// The first block at or after a time, up to `anchor`. Blocks of an L2 come at regular times, so that a guess
/// mostly hits; every other look halves what is left, for chains where they do not.
async fn block_since(origin: &Origin, anchor: BlockRef, timestamp: u64) -> Result<Option<BlockRef>, FollowError> {
    let (mut low, mut high) = (origin.first_block, anchor.number);
    let (mut lower, mut upper) = (None::<BlockRef>, anchor);
    for look in 0..LOOKS {
        if low > high {
            return Ok(Some(upper));
        }
        let guess = match lower {
            // The last look hit: most likely nothing before it is as late.
            _ if upper.timestamp == timestamp && look % 2 == 0 => high,
            Some(lower) if upper.timestamp > lower.timestamp && look % 2 == 0 => {
                let (blocks, seconds) = (upper.number - lower.number, upper.timestamp - lower.timestamp);
                let ahead = u128::from(timestamp - lower.timestamp) * u128::from(blocks) / u128::from(seconds);
                lower.number.saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX))
            }
            _ => low + (high - low) / 2,
        };
        let guess = guess.clamp(low, high);
        match header(&origin.provider, guess).await? {
            Some(block) if block.timestamp < timestamp => (lower, low) = (Some(block), guess + 1),
            Some(block) if guess == 0 => return Ok(Some(block)),
            Some(block) => (upper, high) = (block, guess - 1),
            // The node has dropped it; what is later may be there.
            None => low = guess + 1,
        }
    }
    Ok(None)
}

/// A block's header; `None` where the node lacks it, or says that it has dropped it.
async fn header(provider: &L2Provider, number: u64) -> Result<Option<BlockRef>, FollowError> {
    let headers = read_headers(provider, &[number]).await;
    Ok(unless_pruned(headers)?.and_then(|mut headers| headers.remove(&number)))
}

/// The transaction of a block that brought a commitment: it names its id, and did not fail. `None` if it cannot be
/// told.
async fn transaction_with(provider: &L2Provider, at: BlockRef, id: &B256) -> Result<Option<B256>, FollowError> {
    const BLOCK: &str = "eth_getBlockByNumber";
    const RECEIPT: &str = "eth_getTransactionReceipt";
    let params = (BlockNumberOrTag::Number(at.number), true);
    let block: Option<Block> = unless_pruned(ask(provider, BLOCK, params).await)?.flatten();
    let read = |block: &Block| BlockRef {
        number: block.number.to(),
        hash: block.hash,
        timestamp: block.timestamp.to(),
    };
    let Some(block) = block.filter(|block| read(block) == at) else {
        return Ok(None);
    };
    let names = |transaction: &&Transaction| transaction.input.windows(32).any(|word| word == id.as_slice());
    let mut candidates = vec![];
    for transaction in block.transactions.iter().filter(names) {
        // Without a receipt nothing speaks against it.
        let receipt: Option<Receipt> = ask(provider, RECEIPT, (transaction.hash,)).await.ok().flatten();
        if receipt.is_none_or(|receipt| receipt.status != Some(U64::ZERO)) {
            candidates.push(transaction.hash);
        }
    }
    // Two that both may have brought it: a wrong hash would be reported for good.
    Ok(match candidates[..] {
        [only] => Some(only),
        _ => None,
    })
}

async fn ask<P, R>(provider: &L2Provider, method: &'static str, params: P) -> Result<R, FollowError>
where
    P: alloy::rpc::json_rpc::RpcSend,
    R: alloy::rpc::json_rpc::RpcRecv,
{
    let answer = provider.raw_request(method.into(), params).await;
    answer.map_err(|error| FollowError::Node {
        method,
        cause: transport_cause(&error),
    })
}

/// What a node has dropped is not there, as for a node that answers null.
fn unless_pruned<T>(answer: Result<T, FollowError>) -> Result<Option<T>, FollowError> {
    match answer {
        Err(FollowError::Node { cause, .. }) if is_pruned(&cause) => Ok(None),
        answer => answer.map(Some),
    }
}
