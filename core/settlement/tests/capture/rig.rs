//! A registry that is followed, games that claim its chain's blocks, and proofs that are kept.

use std::{ops::Deref, path::Path, sync::Arc, time::Duration};

use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    eips::eip2718::Encodable2718,
    network::TxSignerSync,
    providers::Provider,
};
use alloy_primitives::{Address, B256, TxKind, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use set_chain::{
    ChainView, L2Provider,
    bindings::SetRegistry::{Batch, BatchCommitted, Run, commitBatchCall, commitBatchesCall},
    track,
};
use set_index::{Anchored, Follower, FollowerOptions, Index, LogDecoder};
use set_proof::{Chain, GameClaim, SettlementProof};
use set_settlement::capture::{CaptureSettings, CaptureStatus, Captures, Claimed, Claims, Prover};
use set_testkit::{
    Anvil, Contracts,
    anvil::{AnvilBuilder, DEVNET_CHAIN_ID},
    deploy,
};
use set_types::{BatchId, CommittedLog, DecodeRequest, DecodeResponse, LogFilter};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use url::Url;

/// Far above what any step takes; only a hang reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(120);
/// The development account that commits.
pub(crate) const SEQUENCER: usize = 1;

/// A registry on some chain, and an index that follows it.
pub(crate) struct Ledger {
    provider: L2Provider,
    contracts: Contracts,
    pub(crate) index: Index,
    pub(crate) heads: watch::Receiver<Arc<ChainView>>,
    pub(crate) claims: watch::Sender<Claims>,
    tasks: Vec<JoinHandle<()>>,
    streams: u64,
    nonce: u64,
}

impl Ledger {
    pub(crate) async fn follow(provider: L2Provider, contracts: Contracts) -> Self {
        let (heads, tracking) = track(provider.clone(), DEVNET_CHAIN_ID, Duration::from_millis(20));
        let index = Index::open(None).await.unwrap();
        let options = FollowerOptions {
            chain_id: DEVNET_CHAIN_ID,
            from_block: contracts.block,
            max_range: 1_000,
        };
        let decoder = RegistryLogs(contracts.registry);
        let follower = Follower::new(provider.clone(), decoder, index.clone(), heads.clone(), options);
        let tasks = vec![
            tokio::spawn(tracking),
            tokio::spawn(follower.run(std::future::pending())),
        ];
        Self {
            provider,
            contracts,
            index,
            heads,
            claims: watch::Sender::new(Claims::default()),
            tasks,
            streams: 0,
            nonce: 0,
        }
    }

    /// Sends so many commitments to be kept in slots, and so many in code.
    pub(crate) async fn send(&mut self, in_slots: u64, in_code: u64) -> Vec<BatchId> {
        let sender = Anvil::account(SEQUENCER).address();
        self.nonce = self.provider.get_transaction_count(sender).await.unwrap();
        let single: Vec<_> = (0..in_slots).map(|_| self.next_commitment()).collect();
        let bulk: Vec<_> = (0..in_code).map(|_| self.next_commitment()).collect();
        for call in &single {
            self.send_call(call.abi_encode(), 400_000).await;
        }
        for calls in bulk.chunks(100) {
            let runs = calls.iter().map(run).collect();
            self.send_call(commitBatchesCall { runs }.abi_encode(), 12_000_000)
                .await;
        }
        single.iter().chain(&bulk).map(|call| call.batchId.into()).collect()
    }

    async fn send_call(&mut self, data: Vec<u8>, gas_limit: u64) {
        let mut transaction = TxEip1559 {
            chain_id: DEVNET_CHAIN_ID,
            nonce: self.nonce,
            gas_limit,
            max_fee_per_gas: 20_000_000_000,
            max_priority_fee_per_gas: 1_000_000,
            to: TxKind::Call(self.contracts.registry),
            input: data.into(),
            ..TxEip1559::default()
        };
        self.nonce += 1;
        let signature = Anvil::account(SEQUENCER)
            .sign_transaction_sync(&mut transaction)
            .unwrap();
        let raw = transaction.into_signed(signature).encoded_2718();
        let _sent = self.provider.send_raw_transaction(&raw).await.unwrap();
    }

    fn next_commitment(&mut self) -> commitBatchCall {
        self.streams += 1;
        let name = |what: &str| keccak256(format!("{what} {}", self.streams));
        commitBatchCall {
            batchId: name("batch"),
            tenantId: name("tenant"),
            storeId: name("store"),
            eventsRoot: name("events"),
            prevStateRoot: B256::ZERO,
            newStateRoot: name("state"),
            sequenceStart: 1,
            sequenceEnd: 3,
            eventCount: 3,
        }
    }

    /// Waits until the index is at the chain's newest block.
    pub(crate) async fn catch_up(&self) {
        let head = self.provider.get_block_by_number(Default::default()).await.unwrap();
        let head = head.unwrap().header.number;
        let mut synced = self.index.synced();
        let reached = synced.wait_for(|synced| synced.covers(head));
        timeout(HANG, reached).await.unwrap().unwrap();
    }

    /// Waits until the index holds a commitment.
    pub(crate) async fn anchored(&self, batch_id: BatchId) -> Anchored {
        let mut synced = self.index.synced();
        let look = async {
            loop {
                synced.mark_unchanged();
                if let Some(anchored) = self.index.get(batch_id).await.unwrap() {
                    return anchored;
                }
                synced.changed().await.unwrap();
            }
        };
        timeout(HANG, look).await.unwrap()
    }

    pub(crate) fn prover(&self, urls: &[&Url]) -> Prover {
        let urls: Vec<_> = urls.iter().map(|url| (*url).clone()).collect();
        Prover::connect(&urls, Duration::from_secs(10), self.contracts.registry).unwrap()
    }

    /// Opens the store.
    pub(crate) async fn open(&self, path: Option<&Path>, prover: Prover, max_bytes: u64) -> Captures {
        let settings = CaptureSettings {
            chain_id: DEVNET_CHAIN_ID,
            registry: self.contracts.registry,
            max_bytes,
        };
        Captures::open(path, settings, prover, self.claims.subscribe())
            .await
            .unwrap()
    }

    /// Opens the store and takes what games claim, by this node.
    pub(crate) async fn capture(&self, path: Option<&Path>, prover: Prover, max_bytes: u64) -> Capturing {
        let captures = self.open(path, prover, max_bytes).await;
        let run = captures
            .clone()
            .run(self.index.clone(), self.heads.clone(), std::future::pending());
        Capturing {
            status: captures.status(),
            captures,
            task: tokio::spawn(run),
        }
    }

    /// Checks that a proof can be put together that verifies, and says at which block.
    pub(crate) fn verify(&self, batch_id: BatchId, claimed: Claimed) -> u64 {
        let chain = Chain {
            chain_id: DEVNET_CHAIN_ID,
            registry: self.contracts.registry,
        };
        let proof = SettlementProof::assemble(chain, claimed.evidence, None, Some(claimed.game)).unwrap();
        let verified = proof.verify(chain, None).unwrap();
        assert_eq!(verified.batch_id, batch_id);
        verified.block.number
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A registry on a chain that makes blocks when it is told to.
pub(crate) struct Rig {
    pub(crate) anvil: Anvil,
    ledger: Ledger,
}

impl Rig {
    pub(crate) async fn start(anvil: AnvilBuilder) -> Self {
        let anvil = anvil.no_mining().spawn().await.unwrap();
        let contracts = deploy(&anvil, Anvil::account(SEQUENCER).address()).await.unwrap();
        let ledger = Ledger::follow(anvil.provider().clone(), contracts).await;
        Self { anvil, ledger }
    }

    /// Commits so many batches in slots and so many in code, in one block; the index follows.
    pub(crate) async fn commit(&mut self, in_slots: u64, in_code: u64) -> Vec<BatchId> {
        let batches = self.ledger.send(in_slots, in_code).await;
        self.mine(1).await;
        self.anchored(*batches.last().unwrap()).await;
        batches
    }

    /// Makes blocks; the index follows.
    pub(crate) async fn mine(&self, blocks: u64) {
        self.anvil.mine(blocks).await.unwrap();
        self.catch_up().await;
    }

    /// A game that claims the newest block.
    pub(crate) async fn game(&self, index: u64) -> GameClaim {
        let block = self.provider.get_block_by_number(Default::default()).await;
        let header = block.unwrap().unwrap().header;
        let preimage = [
            B256::ZERO,
            header.state_root,
            header.withdrawals_root.unwrap(),
            header.hash,
        ];
        GameClaim {
            game: Address::with_last_byte(index as u8 + 1),
            index,
            game_type: 255,
            root_claim: keccak256(preimage.concat()),
            l2_block: header.number,
        }
    }
}

impl Deref for Rig {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.ledger
    }
}

/// What is being kept.
pub(crate) struct Capturing {
    pub(crate) captures: Captures,
    status: watch::Receiver<CaptureStatus>,
    task: JoinHandle<()>,
}

impl Capturing {
    /// Waits until the status is as wanted.
    pub(crate) async fn reach(&mut self, wanted: impl Fn(&CaptureStatus) -> bool) -> CaptureStatus {
        let reached = self.status.wait_for(|status| wanted(status));
        let reached = timeout(HANG, reached).await.map(|status| status.unwrap().clone());
        reached.unwrap_or_else(|_| panic!("the status stays at {:?}", self.captures.status().borrow()))
    }

    /// Ends it at once, wherever it is.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// A stream's first commitment, as it is committed with others.
fn run(call: &commitBatchCall) -> Run {
    Run {
        tenantId: call.tenantId,
        storeId: call.storeId,
        prevStateRoot: call.prevStateRoot,
        sequenceStart: call.sequenceStart,
        batches: vec![Batch {
            batchId: call.batchId,
            eventsRoot: call.eventsRoot,
            newStateRoot: call.newStateRoot,
            eventCount: call.eventCount,
        }],
    }
}

/// Reads the registry's logs.
struct RegistryLogs(Address);

impl LogDecoder for RegistryLogs {
    async fn log_filter(&self) -> Result<LogFilter, String> {
        Ok(LogFilter {
            addresses: vec![self.0],
            topics: vec![BatchCommitted::SIGNATURE_HASH],
            from_block: None,
        })
    }

    async fn decode(&self, request: DecodeRequest) -> Result<DecodeResponse, String> {
        let committed = request.logs.iter().enumerate().map(|(position, log)| {
            let event = BatchCommitted::decode_raw_log(log.topics.iter().copied(), &log.data).unwrap();
            CommittedLog {
                log: position,
                batch_id: event.batchId.into(),
                stream_key: event.tenantStoreKey,
                events_root: event.eventsRoot,
                new_state_root: event.newStateRoot,
                sequence_start: event.sequenceStart,
                sequence_end: event.sequenceEnd,
                event_count: event.eventCount,
            }
        });
        Ok(DecodeResponse {
            committed: committed.collect(),
            opened: vec![],
        })
    }
}
