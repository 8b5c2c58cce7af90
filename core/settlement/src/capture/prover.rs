//! The nodes that prove what the chain's state holds: `eth_getProof`, asked for many commitments at a time.

use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use alloy::{
    eips::{BlockId, BlockNumHash, BlockNumberOrTag},
    providers::Provider,
    rpc::{
        client::BatchRequest,
        types::{EIP1186AccountProofResponse, Header},
    },
    transports::{RpcError, TransportError},
};
use alloy_primitives::{Address, B256, Bytes};
use set_chain::{ChainError, EndpointConfig, L2Provider, connect, transport_cause};
use set_proof::{OutputRoot, slots};
use set_types::BatchId;
use url::Url;

use super::{
    evidence::{self, State},
    trie::{PartMap, WalkError},
};

/// What makes a node keep the state that proofs are made of: the advice about one that does not.
pub const STATE_SETTING: &str = "run a node that keeps old states (op-geth: --gcmode archive with --state.scheme hash; \
                                 op-reth: its historical proofs; reth: --rpc.eth-proof-window), or name one as \
                                 `chain.proof_url`";

/// Words of nodes that have dropped a state.
const GONE: [&str; 7] = [
    "missing trie node",
    "outofrange",
    "not available",
    "unavailable",
    "pruned",
    "proof window",
    "historical",
];
/// Words of nodes that do not know a block.
const UNKNOWN: [&str; 4] = [
    "header not found",
    "block not found",
    "unknown block",
    "header for hash not found",
];

/// Nodes that are asked for proofs, one after another. Nothing they say is believed without its hash.
#[derive(Debug)]
pub struct Prover {
    nodes: Vec<Node>,
    /// The one that proved last.
    preferred: AtomicUsize,
    registry: Address,
}

#[derive(Debug)]
struct Node {
    /// Scheme, host and port.
    name: String,
    provider: L2Provider,
}

/// Why one node did not prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It has dropped the block's state.
    Pruned(String),
    /// It answers with another error.
    Refused(String),
    /// It does not answer.
    Unreachable(String),
    /// It does not know the block.
    UnknownBlock,
    /// Its block has another output root than the game claims.
    OtherBlock,
    /// What it says does not lead to the block's hash.
    Faulty(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pruned(words) => write!(f, "it no longer has the block's state ({words})"),
            Self::Refused(words) => write!(f, "it refuses eth_getProof ({words})"),
            Self::Unreachable(words) => write!(f, "it cannot be asked ({words})"),
            Self::UnknownBlock => f.write_str("it does not know the block"),
            Self::OtherBlock => f.write_str("its block is not the one that the game claims"),
            Self::Faulty(words) => write!(f, "its proof does not hold ({words})"),
        }
    }
}

/// Why no node proved what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProveError {
    /// The block.
    pub block: u64,
    /// Each node by scheme, host and port, and its failure.
    pub failures: Vec<(String, Failure)>,
}

impl ProveError {
    /// Whether the state is gone from a node that could be asked, so that only another block or another node helps.
    pub fn is_pruned(&self) -> bool {
        let pruned = |(_, failure): &(_, _)| matches!(failure, Failure::Pruned(_));
        self.failures.iter().any(pruned)
    }

    /// Whether nobody can prove anything at this block any more.
    pub(crate) fn is_lasting(&self) -> bool {
        let pruned = |(_, failure): &(_, _)| matches!(failure, Failure::Pruned(_));
        self.failures.iter().all(pruned)
    }

    /// Whether every node is well and just does not have the block.
    pub(crate) fn is_unknown(&self) -> bool {
        self.failures
            .iter()
            .all(|(_, failure)| *failure == Failure::UnknownBlock)
    }

    /// What happened, and what to do about it where a setting of the node helps.
    pub fn advised(&self) -> String {
        if self.is_pruned() {
            format!("{self}; {STATE_SETTING}")
        } else {
            self.to_string()
        }
    }

    /// The kind of failure in words that name no node, for whom the nodes do not concern.
    pub fn summary(&self) -> &'static str {
        match self.label() {
            "pruned" => "the block's state is no longer there",
            "refused" => "eth_getProof is refused",
            "other_block" => "the claimed block is not known",
            "faulty" => "what is answered does not lead to the block",
            _ => "nobody answers",
        }
    }

    /// The kind of failure, as metrics name it.
    pub fn label(&self) -> &'static str {
        if self.is_pruned() {
            return "pruned";
        }
        match self.failures.last() {
            Some((_, Failure::Refused(_))) => "refused",
            Some((_, Failure::UnknownBlock | Failure::OtherBlock)) => "other_block",
            Some((_, Failure::Faulty(_))) => "faulty",
            _ => "unreachable",
        }
    }
}

impl fmt::Display for ProveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing can be proven at block {}: ", self.block)?;
        for (position, (node, failure)) in self.failures.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{node}: {failure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ProveError {}

impl Prover {
    /// Opens the way to each of `urls`, which are asked in this order. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ChainError`] for a URL that is not `http://` or `https://`, or where there is none.
    pub fn connect(urls: &[Url], timeout: Duration, registry: Address) -> Result<Self, ChainError> {
        if urls.is_empty() {
            return Err(ChainError::NoEndpoint);
        }
        let node = |url: &Url| {
            let provider = connect(&EndpointConfig {
                rpc_urls: vec![url.clone()],
                // A node of another chain does not know the block.
                chain_id: None,
                timeout,
                poll_interval: timeout,
            })?;
            let name = url.origin().ascii_serialization();
            Ok(Node { name, provider })
        };
        Ok(Self {
            nodes: urls.iter().map(node).collect::<Result<_, ChainError>>()?,
            preferred: AtomicUsize::new(0),
            registry,
        })
    }

    /// Asks the preferred nodes again, from the first.
    pub(crate) fn prefer_first(&self) {
        self.preferred.store(0, Ordering::Relaxed);
    }

    /// Whether a proof can be had at `block`: asks for the registry's account and status alone.
    ///
    /// # Errors
    /// [`ProveError`] with what each node says.
    pub async fn probe(&self, block: BlockNumHash) -> Result<(), ProveError> {
        self.fetch(block, &[]).await.map(drop)
    }

    /// The block with this number, if its output root is `output_root`: the block that a game claims.
    ///
    /// # Errors
    /// [`ProveError`] with what each node says; [`Failure::OtherBlock`] where its block has another output root.
    pub(crate) async fn claimed_block(&self, number: u64, output_root: B256) -> Result<BlockNumHash, ProveError> {
        self.ask(number, |node| node.claimed_block(number, output_root)).await
    }

    /// The evidence of these commitments at `block`, checked: all of it leads to the block's hash.
    pub(crate) async fn fetch(&self, block: BlockNumHash, batches: &[BatchId]) -> Result<Fetched, ProveError> {
        self.ask(block.number, |node| node.fetch(block, self.registry, batches))
            .await
    }

    /// Asks one node after another, the one that answered last first.
    async fn ask<'a, T, F>(&'a self, block: u64, question: impl Fn(&'a Node) -> F) -> Result<T, ProveError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut failures = vec![];
        for offset in 0..self.nodes.len() {
            let index = (first + offset) % self.nodes.len();
            let node = &self.nodes[index];
            match question(node).await {
                Ok(answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(failure) => failures.push((node.name.clone(), failure)),
            }
        }
        Err(ProveError { block, failures })
    }
}

/// What a node proved.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// All that the evidence consists of, and nothing else.
    pub(crate) parts: PartMap,
    /// The commitments that the block's state does not hold.
    pub(crate) absent: Vec<BatchId>,
}

impl Node {
    async fn claimed_block(&self, number: u64, output_root: B256) -> Result<BlockNumHash, Failure> {
        let params = (BlockNumberOrTag::Number(number), false);
        let header: Option<Header> = self.provider.client().request("eth_getBlockByNumber", params).await?;
        let header = header.ok_or(Failure::UnknownBlock)?.inner;
        match OutputRoot::of(&header) {
            Some(root) if root.hash() == output_root => Ok(BlockNumHash {
                number,
                hash: header.hash_slow(),
            }),
            _ => Err(Failure::OtherBlock),
        }
    }

    async fn fetch(&self, block: BlockNumHash, registry: Address, batches: &[BatchId]) -> Result<Fetched, Failure> {
        let (header, proof) = self.registry(block, registry, batches).await?;
        let asked = batches.to_vec();
        let (parts, contracts) = off_thread(move || {
            let mut parts = PartMap::default();
            let hash = parts.add(alloy_rlp::encode(&header.inner).into());
            if hash != block.hash {
                let words = format!("the header that it gives for block {} hashes to {hash}", block.hash);
                return Err(Failure::Faulty(words));
            }
            add(&mut parts, proof);
            let contracts = contracts(&parts, block, registry, &asked)?;
            Ok((parts, contracts))
        })
        .await?;
        let answers = self.contracts(block, &contracts).await?;
        let asked = batches.to_vec();
        off_thread(move || {
            let mut parts = parts;
            for (proof, code) in answers {
                add(&mut parts, proof);
                parts.add(code);
            }
            Ok(select(&parts, block, registry, &asked)?)
        })
        .await
    }

    /// The header, and the proof of the registry's account and of every slot that the commitments may have.
    async fn registry(
        &self,
        block: BlockNumHash,
        registry: Address,
        batches: &[BatchId],
    ) -> Result<(Header, EIP1186AccountProofResponse), Failure> {
        let keys: BTreeSet<_> = batches.iter().flat_map(|batch_id| slots::asked(*batch_id)).collect();
        let at = BlockId::hash(block.hash);
        let mut batch = BatchRequest::new(self.provider.client());
        let header = batch.add_call::<_, Option<Header>>("eth_getBlockByHash", &(block.hash, false))?;
        let proof = batch.add_call("eth_getProof", &(registry, keys, at))?;
        batch.send().await?;
        let header = header.await?.ok_or(Failure::UnknownBlock)?;
        Ok((header, proof.await?))
    }

    /// The proofs of data contracts' accounts, and their code.
    async fn contracts(
        &self,
        block: BlockNumHash,
        contracts: &BTreeSet<Address>,
    ) -> Result<Vec<(EIP1186AccountProofResponse, Bytes)>, Failure> {
        if contracts.is_empty() {
            return Ok(vec![]);
        }
        let at = BlockId::hash(block.hash);
        let no_keys: [B256; 0] = [];
        let mut batch = BatchRequest::new(self.provider.client());
        let mut waiting = vec![];
        for address in contracts {
            let proof = batch.add_call("eth_getProof", &(address, no_keys, at))?;
            let code = batch.add_call("eth_getCode", &(address, at))?;
            waiting.push((proof, code));
        }
        batch.send().await?;
        let mut answers = vec![];
        for (proof, code) in waiting {
            answers.push((proof.await?, code.await?));
        }
        Ok(answers)
    }
}

/// Runs what hashes and decodes thousands of nodes where it holds nobody up.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let stopped = |_| Failure::Unreachable("the program stops".to_owned());
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}

/// Takes the nodes of an answer; what it says beside them is not needed.
fn add(parts: &mut PartMap, proof: EIP1186AccountProofResponse) {
    let slots = proof.storage_proof.into_iter().flat_map(|slot| slot.proof);
    for node in proof.account_proof.into_iter().chain(slots) {
        parts.add(node);
    }
}

/// The contracts that hold the records of these commitments.
fn contracts(
    parts: &PartMap,
    block: BlockNumHash,
    registry: Address,
    batches: &[BatchId],
) -> Result<BTreeSet<Address>, WalkError> {
    let state = State::open(parts, block.hash, registry)?;
    let mut contracts = BTreeSet::new();
    for batch_id in batches {
        contracts.extend(state.data_contract(parts, *batch_id)?);
    }
    Ok(contracts)
}

/// Finds the evidence in what a node gave, and leaves everything else.
fn select(parts: &PartMap, block: BlockNumHash, registry: Address, batches: &[BatchId]) -> Result<Fetched, WalkError> {
    let mut fetched = Fetched::default();
    let state = State::open(parts, block.hash, registry)?;
    state.add_to(&mut fetched.parts);
    for batch_id in batches {
        match evidence::find(parts, &state, *batch_id)? {
            Some(evidence) => evidence::add_to(&mut fetched.parts, &evidence),
            None => fetched.absent.push(*batch_id),
        }
    }
    Ok(fetched)
}

impl From<WalkError> for Failure {
    fn from(error: WalkError) -> Self {
        Self::Faulty(error.to_string())
    }
}

/// What a failed call says. A state that is gone has no error code of its own, so the words decide.
impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        let words = transport_cause(&error);
        let RpcError::ErrorResp(answer) = error else {
            return Self::Unreachable(words);
        };
        let message = answer.message.to_lowercase();
        let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        if says(&UNKNOWN) {
            Self::UnknownBlock
        } else if says(&GONE) {
            Self::Pruned(words)
        } else {
            Self::Refused(words)
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::rpc::json_rpc::ErrorPayload;

    use super::*;

    fn refusal(message: &'static str) -> Failure {
        Failure::from(TransportError::ErrorResp(ErrorPayload {
            code: -32000,
            message: message.into(),
            data: None,
        }))
    }

    #[test]
    fn every_nodes_words_for_a_state_that_is_gone_are_known() {
        for words in [
            "missing trie node 59030c2a (path ) state 0x59030c2a is not available",
            "historical state 0x59030c2a is not available",
            "required historical state unavailable (reexec=0)",
            "state at block #5 is pruned",
            "distance to target block exceeds maximum proof window",
        ] {
            assert!(matches!(refusal(words), Failure::Pruned(_)), "{words}");
        }
        assert_eq!(refusal("header not found"), Failure::UnknownBlock);
        assert!(matches!(refusal("too many slots"), Failure::Refused(_)));
    }

    #[test]
    fn what_is_missing_and_where_is_said() {
        let error = ProveError {
            block: 7,
            failures: vec![
                ("http://a:1".to_owned(), Failure::Unreachable("refused".to_owned())),
                ("http://b:1".to_owned(), Failure::Pruned("gone".to_owned())),
            ],
        };
        let said = error.advised();
        assert!(
            said.contains("at block 7") && said.contains("http://a:1: it cannot be asked (refused); http://b:1"),
            "{said}"
        );
        assert!(
            said.contains("--gcmode archive") && said.contains("chain.proof_url"),
            "{said}"
        );
        assert_eq!(error.label(), "pruned");
    }
}
