//! Asking the chain, once for each new head, what became of everything that was sent.
//!
//! One round trip: the account's nonce and balance at the head, the receipts of what is in no block
//! yet, and the two blocks that tell whether what is in one is still canonical. A second one only
//! where a receipt names a block other than the head, or a reorg shows.

use std::collections::{BTreeMap, BTreeSet};

use alloy::{
    consensus::TxReceipt,
    eips::{BlockId, BlockNumberOrTag},
    network::{Network, ReceiptResponse},
    providers::Provider,
    rpc::client::{BatchRequest, Waiter},
    transports::{RpcError, TransportError},
};
use alloy_primitives::{Address, B256, U64, U256};
use op_alloy::network::Optimism;
use set_chain::{BlockRef, L2Provider};
use set_types::Log;

type Block = <Optimism as Network>::BlockResponse;
type Receipt = <Optimism as Network>::ReceiptResponse;

/// Receipts asked for at once. Nonces are asked in their order, so the rest has its turn once these
/// are in a block; responses stay far below the size that nodes allow.
const MAX_RECEIPTS: usize = 50;
/// Blocks asked for at once when a reorg is measured.
const MAX_BLOCKS: usize = 50;

/// What to ask.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) account: Address,
    /// The head, at which nonce and balance are read.
    pub(crate) head: BlockRef,
    /// Nonces that are in no block, with the hashes of their versions; in order.
    pub(crate) open: Vec<(u64, Vec<B256>)>,
    /// Nonces that are in a block.
    pub(crate) included: Vec<(u64, BlockRef)>,
    /// The block that the settlement of `included` rests on.
    pub(crate) tag: Option<BlockRef>,
}

/// What the chain says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: BlockRef,
    pub(crate) account_nonce: u64,
    pub(crate) balance: U256,
    /// What became of each open nonce that was asked for.
    pub(crate) open: Vec<(u64, Sighting)>,
    /// Nonces whose block is no longer canonical.
    pub(crate) reorged: Vec<u64>,
    /// Whether `tag` is canonical, so that what lies below it is settled.
    pub(crate) tag_holds: bool,
}

/// What became of a nonce that was in no block.
#[derive(Debug)]
pub(crate) enum Sighting {
    /// One of its versions is in a canonical block.
    Included(Box<Inclusion>),
    /// None of its versions is in a block.
    Absent,
    /// The node did not say, or contradicts itself.
    Unclear,
}

/// A version in a block.
#[derive(Debug)]
pub(crate) struct Inclusion {
    pub(crate) hash: B256,
    pub(crate) block: BlockRef,
    pub(crate) succeeded: bool,
    pub(crate) gas_used: u64,
    pub(crate) logs: Vec<Log>,
}

/// Asks.
pub(crate) async fn ask(provider: &L2Provider, mut question: Question) -> Result<Answer, TransportError> {
    let head = question.head;
    let mut hashes = 0;
    question.open.retain(|(_, versions)| {
        hashes += versions.len();
        hashes <= MAX_RECEIPTS
    });
    // Blocks above the head belong to a node that is ahead of this one; their turn comes.
    let newest = question.included.iter().map(|(_, block)| *block);
    let newest = newest
        .filter(|block| block.number <= head.number)
        .max_by_key(|block| block.number);

    let client = provider.client();
    let mut batch = BatchRequest::new(client);
    let at = BlockId::hash(head.hash);
    let account_nonce = batch.add_call::<_, U64>("eth_getTransactionCount", &(question.account, at))?;
    let balance = batch.add_call::<_, U256>("eth_getBalance", &(question.account, at))?;
    let newest_now = newest.map(|block| add_block(&mut batch, block.number)).transpose()?;
    let tag_now = question.tag.map(|tag| add_block(&mut batch, tag.number)).transpose()?;
    let mut receipts = Vec::new();
    for (nonce, versions) in &question.open {
        for hash in versions {
            let receipt = batch.add_call::<_, Option<Receipt>>("eth_getTransactionReceipt", &(hash,))?;
            receipts.push((*nonce, receipt));
        }
    }
    batch.send().await?;

    let account_nonce = account_nonce.await?.to();
    let balance = balance.await?;
    let mut blocks = BTreeMap::from([(head.number, Some(head))]);
    if let (Some(block), Some(now)) = (newest, newest_now) {
        blocks.insert(block.number, now.await?.as_ref().map(reference));
    }
    let tag_holds = match (question.tag, tag_now) {
        (Some(tag), Some(now)) => now.await?.is_some_and(|now| now.header.hash == tag.hash),
        _ => false,
    };
    let mut sightings: BTreeMap<u64, Vec<Sighted>> = BTreeMap::new();
    for (nonce, receipt) in receipts {
        let sighted = match receipt.await {
            Ok(receipt) => receipt.map_or(Sighted::Nothing, |receipt| Sighted::Receipt(Box::new(receipt))),
            // The node is there but does not answer this, for example while it builds its index.
            Err(RpcError::ErrorResp(_)) => Sighted::Refused,
            Err(error) => return Err(error),
        };
        sightings.entry(nonce).or_default().push(sighted);
    }

    let mut wanted: BTreeSet<u64> = sightings
        .values()
        .flatten()
        .filter_map(Sighted::block_number)
        .filter(|number| *number <= head.number)
        .collect();
    let moved =
        newest.is_some_and(|block| matches!(blocks.get(&block.number), Some(Some(now)) if now.hash != block.hash));
    if moved {
        wanted.extend(question.included.iter().map(|(_, block)| block.number));
    }
    wanted.retain(|number| !blocks.contains_key(number) && *number <= head.number);
    fetch_blocks(provider, wanted, &mut blocks).await?;

    let is_gone = |block: &BlockRef| matches!(blocks.get(&block.number), Some(Some(now)) if now.hash != block.hash);
    Ok(Answer {
        head,
        account_nonce,
        balance,
        open: sightings
            .into_iter()
            .map(|(nonce, sighted)| (nonce, judge(sighted, &blocks)))
            .collect(),
        reorged: question
            .included
            .iter()
            .filter(|(_, block)| is_gone(block))
            .map(|(nonce, _)| *nonce)
            .collect(),
        tag_holds,
    })
}

/// What the node said about one hash.
enum Sighted {
    Nothing,
    Refused,
    Receipt(Box<Receipt>),
}

impl Sighted {
    fn block_number(&self) -> Option<u64> {
        match self {
            Self::Receipt(receipt) => receipt.block_number(),
            _ => None,
        }
    }
}

/// Believes a receipt only if its block is the canonical one of its number.
fn judge(sighted: Vec<Sighted>, blocks: &BTreeMap<u64, Option<BlockRef>>) -> Sighting {
    let mut verdict = Sighting::Absent;
    for sighted in sighted {
        let receipt = match sighted {
            Sighted::Nothing => continue,
            Sighted::Refused => {
                verdict = Sighting::Unclear;
                continue;
            }
            Sighted::Receipt(receipt) => receipt,
        };
        let block = receipt
            .block_number()
            .and_then(|number| blocks.get(&number).copied().flatten());
        match block {
            Some(block) if receipt.block_hash() == Some(block.hash) => {
                return Sighting::Included(Box::new(inclusion(&receipt, block)));
            }
            _ => verdict = Sighting::Unclear,
        }
    }
    verdict
}

fn inclusion(receipt: &Receipt, block: BlockRef) -> Inclusion {
    let logs = receipt.inner.inner.logs().iter().map(|log| Log {
        address: log.address(),
        topics: log.topics().to_vec(),
        data: log.data().data.clone(),
    });
    Inclusion {
        hash: receipt.transaction_hash(),
        block,
        succeeded: receipt.status(),
        gas_used: receipt.gas_used(),
        logs: logs.collect(),
    }
}

async fn fetch_blocks(
    provider: &L2Provider,
    wanted: BTreeSet<u64>,
    blocks: &mut BTreeMap<u64, Option<BlockRef>>,
) -> Result<(), TransportError> {
    let wanted: Vec<u64> = wanted.into_iter().collect();
    for numbers in wanted.chunks(MAX_BLOCKS) {
        let client = provider.client();
        let mut batch = BatchRequest::new(client);
        let answers = numbers
            .iter()
            .map(|number| Ok((*number, add_block(&mut batch, *number)?)))
            .collect::<Result<Vec<_>, TransportError>>()?;
        batch.send().await?;
        for (number, answer) in answers {
            blocks.insert(number, answer.await?.as_ref().map(reference));
        }
    }
    Ok(())
}

fn add_block(batch: &mut BatchRequest<'_>, number: u64) -> Result<Waiter<Option<Block>>, TransportError> {
    batch.add_call("eth_getBlockByNumber", &(BlockNumberOrTag::Number(number), false))
}

fn reference(block: &Block) -> BlockRef {
    BlockRef {
        number: block.header.number,
        hash: block.header.hash,
        timestamp: block.header.timestamp,
    }
}
