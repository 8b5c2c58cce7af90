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
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use op_alloy::network::Optimism;
use set_chain::{BlockRef, L2Provider};
use set_types::Log;

use crate::spending::fees_paid;

type Block = <Optimism as Network>::BlockResponse;
type Receipt = <Optimism as Network>::ReceiptResponse;

/// Receipts in one request, so that responses stay far below the size that nodes allow.
const MAX_RECEIPTS: usize = 50;
/// Receipts asked for at a head. Nonces are asked in their order, and the rest has its turn once these
/// are in a block. Only the first may have more versions: left out, it would never be seen included, and
/// nothing behind it either.
const MAX_ASKED: usize = 4 * MAX_RECEIPTS;
/// Blocks asked for at once when a reorg is measured.
const MAX_BLOCKS: usize = 50;

/// What to ask.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) account: Address,
    /// The head, at which nonce and balance are read.
    pub(crate) head: BlockRef,
    /// Whether the nonce is read at the node's newest block instead, which may be newer: while this
    /// process did not send, another may have.
    pub(crate) newest_nonce: bool,
    /// Nonces that are in no block, with the hashes of their versions; in order.
    pub(crate) open: Vec<(u64, Vec<B256>)>,
    /// Blocks that hold transactions whose settlement is awaited, each once.
    pub(crate) included: Vec<BlockRef>,
    /// The block that the settlement of `included` rests on.
    pub(crate) tag: Option<BlockRef>,
}

/// What the chain says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: BlockRef,
    pub(crate) account_nonce: u64,
    pub(crate) balance: U256,
    /// Whether the account carries code, that is a delegation (EIP-7702).
    pub(crate) has_code: bool,
    /// What became of each open nonce that was asked for.
    pub(crate) open: Vec<(u64, Sighting)>,
    /// Which of the `included` blocks are no longer canonical.
    pub(crate) reorged: Vec<BlockRef>,
    /// Whether `tag` and what is not `reorged` below it are canonical, so that the latter is settled.
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
    /// All fees that it paid, in wei.
    pub(crate) fees: U256,
    pub(crate) logs: Vec<Log>,
}

/// Asks.
pub(crate) async fn ask(provider: &L2Provider, mut question: Question) -> Result<Answer, TransportError> {
    let head = question.head;
    let mut hashes = 0;
    question.open.retain(|(_, versions)| {
        let first = hashes == 0;
        hashes += versions.len();
        first || hashes <= MAX_ASKED
    });
    // Blocks above the head belong to a node that is ahead of this one; their turn comes.
    let seen = question.included.iter().filter(|block| block.number <= head.number);
    let newest = seen.max_by_key(|block| block.number).copied();

    let client = provider.client();
    let mut batch = BatchRequest::new(client);
    let at = BlockId::hash(head.hash);
    let nonce_at = if question.newest_nonce { BlockId::latest() } else { at };
    let account_nonce = batch.add_call::<_, U64>("eth_getTransactionCount", &(question.account, nonce_at))?;
    let balance = batch.add_call::<_, U256>("eth_getBalance", &(question.account, at))?;
    let code = batch.add_call::<_, Bytes>("eth_getCode", &(question.account, at))?;
    let newest_now = newest.map(|block| add_block(&mut batch, block.number)).transpose()?;
    let tag_now = question.tag.map(|tag| add_block(&mut batch, tag.number)).transpose()?;
    let hashes: Vec<_> = question.open.iter().flat_map(by_nonce).collect();
    let (at_once, later) = hashes.split_at(hashes.len().min(MAX_RECEIPTS));
    let mut receipts = Vec::with_capacity(hashes.len());
    add_receipts(&mut batch, at_once, &mut receipts)?;
    batch.send().await?;
    for hashes in later.chunks(MAX_RECEIPTS) {
        let mut batch = BatchRequest::new(client);
        add_receipts(&mut batch, hashes, &mut receipts)?;
        batch.send().await?;
    }

    let account_nonce = account_nonce.await?.to();
    let balance = balance.await?;
    let has_code = match code.await {
        Ok(code) => !code.is_empty(),
        // A gateway that does not pass this on hides nothing else.
        Err(RpcError::ErrorResp(_)) => false,
        Err(error) => return Err(error),
    };
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
        wanted.extend(question.included.iter().map(|block| block.number));
    }
    wanted.retain(|number| !blocks.contains_key(number) && *number <= head.number);
    fetch_blocks(provider, wanted, &mut blocks).await?;

    let now = |block: &BlockRef| blocks.get(&block.number).copied().flatten();
    let is_gone = |block: &BlockRef| now(block).is_some_and(|now| now.hash != block.hash);
    let holds = |block: &BlockRef| now(block).is_some_and(|now| now.hash == block.hash);
    // A canonical block's ancestors are canonical too. Where the node does not show the newest, what
    // is settled cannot be told from what a reorg took away, and a settlement that was told stays told.
    let rest_holds = newest.is_none_or(|newest| holds(&newest));
    let below_tag = |block: &&BlockRef| question.tag.is_some_and(|tag| block.number <= tag.number);
    let all_known = question
        .included
        .iter()
        .filter(below_tag)
        .all(|block| rest_holds || holds(block) || is_gone(block));
    Ok(Answer {
        head,
        account_nonce,
        balance,
        has_code,
        open: sightings
            .into_iter()
            .map(|(nonce, sighted)| (nonce, judge(sighted, &blocks)))
            .collect(),
        reorged: question
            .included
            .iter()
            .filter(|block| is_gone(block))
            .copied()
            .collect(),
        tag_holds: tag_holds && all_known,
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
        fees: fees_paid(receipt),
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

/// Every version of a nonce, with the nonce.
fn by_nonce((nonce, versions): &(u64, Vec<B256>)) -> impl Iterator<Item = (u64, B256)> + '_ {
    versions.iter().map(|hash| (*nonce, *hash))
}

fn add_receipts(
    batch: &mut BatchRequest<'_>,
    hashes: &[(u64, B256)],
    receipts: &mut Vec<(u64, Waiter<Option<Receipt>>)>,
) -> Result<(), TransportError> {
    for (nonce, hash) in hashes {
        receipts.push((*nonce, batch.add_call("eth_getTransactionReceipt", &(hash,))?));
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use alloy::rpc::types::TransactionRequest;
    use set_chain::EndpointConfig;
    use set_testkit::{Action, Anvil, RpcProxy, Rule};

    use super::*;

    /// A chain with one transaction in its first block, and one empty block on top.
    async fn chain() -> (Anvil, B256, BlockRef, BlockRef) {
        let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
        let provider = anvil.provider();
        let sender = Anvil::account(1).address();
        let request = TransactionRequest::default().from(sender).to(sender);
        let sent = provider.send_transaction(request.into()).await.unwrap();
        let hash = *sent.tx_hash();
        anvil.mine(2).await.unwrap();
        let [first, head] = [1, 2].map(|number| provider.get_block_by_number(BlockNumberOrTag::Number(number)));
        let (first, head) = (first.await.unwrap().unwrap(), head.await.unwrap().unwrap());
        (anvil, hash, reference(&first), reference(&head))
    }

    fn question(head: BlockRef) -> Question {
        Question {
            account: Anvil::account(1).address(),
            head,
            newest_nonce: false,
            open: Vec::new(),
            included: Vec::new(),
            tag: None,
        }
    }

    #[tokio::test]
    async fn a_nonce_with_more_versions_than_fit_at_once_is_seen_included() {
        let (anvil, hash, first, head) = chain().await;
        let unknown = (1..=2 * MAX_ASKED as u64).map(|number| B256::from(U256::from(number)));
        let asked = Question {
            open: vec![(0, unknown.chain([hash]).collect()), (1, vec![B256::ZERO])],
            ..question(head)
        };
        let answer = ask(anvil.provider(), asked).await.unwrap();
        assert_eq!(answer.account_nonce, 1);
        match answer.open.as_slice() {
            [(0, Sighting::Included(inclusion))] => assert_eq!((inclusion.hash, inclusion.block), (hash, first)),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn nothing_is_settled_while_the_node_hides_the_newest_block() {
        let (anvil, _, first, head) = chain().await;
        let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();
        let provider = set_chain::connect(&EndpointConfig {
            rpc_urls: vec![proxy.url()],
            chain_id: None,
            timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(50),
        })
        .unwrap();
        // A block that a reorg has replaced, below one that the node does not show.
        let gone = BlockRef {
            hash: B256::repeat_byte(1),
            ..first
        };
        let asked = Question {
            included: vec![gone, head],
            tag: Some(first),
            ..question(head)
        };
        let hide = Action::Ask(Arc::new(|params| {
            if params[0] == "0x2" {
                params[0] = "0xffffff".into();
            }
        }));
        proxy.inject(Rule::on(["eth_getBlockByNumber"], hide));
        assert!(!ask(&provider, asked.clone()).await.unwrap().tag_holds);
        proxy.heal();
        let fine = Question {
            included: vec![first, head],
            ..asked
        };
        assert!(ask(&provider, fine).await.unwrap().tag_holds);
    }
}
