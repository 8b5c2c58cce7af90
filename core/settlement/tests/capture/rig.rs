//! A chain with the real registry on it, an index of it, and games that claim its blocks.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::{
    network::{ReceiptResponse, TransactionBuilder},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use set_chain::{
    BlockRef, ChainView,
    bindings::SetRegistry::{Batch, BatchCommitted, Run, commitBatchCall, commitBatchesCall},
    track,
};
use set_index::{Anchored, Entry, Index, Step};
use set_proof::{Chain, GameClaim, SettlementProof};
use set_settlement::capture::{CaptureSettings, CaptureStatus, Captures, Claimed, Claims, Prover};
use set_testkit::{
    Anvil, Contracts,
    anvil::{AnvilBuilder, DEVNET_CHAIN_ID},
    deploy,
};
use set_types::{BatchId, CommittedLog};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use url::Url;

/// Far above what any step takes; only a hang reaches it.
pub(crate) const HANG: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) anvil: Anvil,
    pub(crate) contracts: Contracts,
    pub(crate) index: Index,
    heads: watch::Receiver<Arc<ChainView>>,
    pub(crate) claims: watch::Sender<Claims>,
    tracking: JoinHandle<()>,
    streams: u64,
}

impl Rig {
    pub(crate) async fn start(anvil: AnvilBuilder) -> Self {
        let anvil = anvil.no_mining().spawn().await.unwrap();
        let contracts = deploy(&anvil, Anvil::account(1).address()).await.unwrap();
        let (heads, tracking) = track(anvil.provider().clone(), DEVNET_CHAIN_ID, Duration::from_millis(20));
        let index = Index::open(None).await.unwrap();
        index.confirm();
        Self {
            anvil,
            contracts,
            index,
            heads,
            claims: watch::Sender::new(Claims::default()),
            tracking: tokio::spawn(tracking),
            streams: 0,
        }
    }

    /// Commits so many batches in slots and so many in code, in one block; the index follows.
    pub(crate) async fn commit(&mut self, in_slots: u64, in_code: u64) -> Vec<BatchId> {
        let calls: Vec<_> = (0..in_slots).map(|_| self.next_stream().abi_encode()).collect();
        let runs = (0..in_code).map(|_| {
            let call = self.next_stream();
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
        });
        let runs: Vec<_> = runs.collect();
        let bulk = runs
            .chunks(100)
            .map(|runs| commitBatchesCall { runs: runs.to_vec() }.abi_encode());
        let mut sent = vec![];
        for data in calls.into_iter().chain(bulk) {
            let request = TransactionRequest::default()
                .with_from(Anvil::account(1).address())
                .with_to(self.contracts.registry)
                .with_gas_limit(if data.len() > 1_000 { 12_000_000 } else { 400_000 })
                .with_input(data);
            let provider = self.anvil.provider();
            sent.push(*provider.send_transaction(request.into()).await.unwrap().tx_hash());
        }
        self.anvil.mine(1).await.unwrap();
        let mut entries = vec![];
        for hash in sent {
            let receipt = self
                .anvil
                .provider()
                .get_transaction_receipt(hash)
                .await
                .unwrap()
                .unwrap();
            assert!(receipt.status());
            entries.extend(receipt.inner.logs().iter().filter_map(entry));
        }
        assert_eq!(entries.len() as u64, in_slots + in_code);
        let batches = entries.iter().map(|entry| entry.log.batch_id).collect();
        self.follow(entries).await;
        batches
    }

    /// Makes empty blocks.
    pub(crate) async fn mine(&self, blocks: u64) {
        self.anvil.mine(blocks).await.unwrap();
        self.follow(vec![]).await;
    }

    async fn follow(&self, entries: Vec<Entry>) {
        let header = self
            .anvil
            .provider()
            .get_block_by_number(Default::default())
            .await
            .unwrap()
            .unwrap()
            .header;
        let head = BlockRef {
            number: header.number,
            hash: header.hash,
            timestamp: header.timestamp,
        };
        self.index
            .apply(
                head,
                Step {
                    entries,
                    opened: vec![],
                },
            )
            .await
            .unwrap();
        let mut heads = self.heads.clone();
        let seen = heads.wait_for(|view| view.latest.is_some_and(|latest| latest.block == head));
        timeout(HANG, seen).await.unwrap().unwrap();
    }

    fn next_stream(&mut self) -> commitBatchCall {
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

    /// A game that claims the newest block.
    pub(crate) async fn game(&self, index: u64) -> GameClaim {
        let block = self
            .anvil
            .provider()
            .get_block_by_number(Default::default())
            .await
            .unwrap()
            .unwrap();
        let header = block.header;
        let parts = [
            B256::ZERO,
            header.state_root,
            header.withdrawals_root.unwrap(),
            header.hash,
        ];
        GameClaim {
            game: Address::with_last_byte(index as u8 + 1),
            index,
            game_type: 255,
            root_claim: keccak256(parts.concat()),
            l2_block: header.number,
        }
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

    pub(crate) async fn anchored(&self, batch_id: BatchId) -> Anchored {
        self.index.get(batch_id).await.unwrap().unwrap()
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

impl Drop for Rig {
    fn drop(&mut self) {
        self.tracking.abort();
    }
}

/// What is being kept.
pub(crate) struct Capturing {
    pub(crate) captures: Captures,
    pub(crate) status: watch::Receiver<CaptureStatus>,
    task: JoinHandle<()>,
}

impl Capturing {
    /// Waits until the status is as wanted.
    pub(crate) async fn reach(&mut self, wanted: impl Fn(&CaptureStatus) -> bool) -> CaptureStatus {
        let reached = timeout(HANG, self.status.wait_for(|status| wanted(status)))
            .await
            .map(|status| status.unwrap().clone());
        reached.unwrap_or_else(|_| panic!("the status stays at {:?}", self.captures.status().borrow()))
    }

    /// Ends it at once, wherever it is.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn entry(log: &alloy::rpc::types::Log) -> Option<Entry> {
    let event = BatchCommitted::decode_log(&log.inner).ok()?;
    Some(Entry {
        log: CommittedLog {
            log: 0,
            batch_id: event.batchId.into(),
            stream_key: event.tenantStoreKey,
            events_root: event.eventsRoot,
            new_state_root: event.newStateRoot,
            sequence_start: event.sequenceStart,
            sequence_end: event.sequenceEnd,
            event_count: event.eventCount,
        },
        tx_hash: log.transaction_hash?,
        block: BlockRef {
            number: log.block_number?,
            hash: log.block_hash?,
            timestamp: log.block_timestamp?,
        },
        log_index: log.log_index?,
    })
}
