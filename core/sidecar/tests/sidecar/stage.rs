//! What these tests start, and what they ask the chain afterwards.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use alloy::{eips::BlockId, providers::Provider, rpc::types::Filter, sol_types::SolEvent};
use alloy_primitives::B256;
use set_chain::{RegistryReader, bindings::SetRegistry};
use set_testkit::{
    Anvil, RpcProxy, Sequencer, SidecarBuilder, Stack, anvil::AnvilBuilder, sequencer::SequencerBuilder,
};
use set_types::{Commitment, RecordedCommitment};
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// Long enough for a debug build on a busy machine; nothing waits for it when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A stack, the proxy through which the sidecar asks its node, and a directory that goes with them.
pub(crate) struct Stage {
    pub(crate) stack: Stack,
    pub(crate) node: RpcProxy,
    pub(crate) dir: TempDir,
}

impl Stage {
    /// On a chain with a block every second.
    pub(crate) async fn with(sequencer: SequencerBuilder) -> Self {
        Self::on(Anvil::builder().block_time(1), sequencer).await
    }

    /// On a chain of the test's choice.
    pub(crate) async fn on(chain: AnvilBuilder, sequencer: SequencerBuilder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stack = Stack::start(chain, sequencer, dir.path()).await.unwrap();
        let node = RpcProxy::start(stack.chain.url().clone()).await.unwrap();
        Self { stack, node, dir }
    }

    pub(crate) fn chain(&self) -> &Anvil {
        &self.stack.chain
    }

    pub(crate) fn sequencer(&self) -> &Sequencer {
        &self.stack.sequencer
    }

    /// The sidecar under test, in memory, behind the proxy.
    pub(crate) fn sidecar(&self) -> SidecarBuilder {
        self.sidecar_of(binary())
    }

    fn sidecar_of(&self, program: PathBuf) -> SidecarBuilder {
        self.stack.sidecar(program).rpc_urls([&self.node.url()]).echo()
    }

    /// The same, but it looks often and does not wait long before it tries again.
    pub(crate) fn quick_sidecar(&self) -> SidecarBuilder {
        self.quick_sidecar_of(binary())
    }

    /// The same, run by another program that gets its arguments.
    pub(crate) fn quick_sidecar_of(&self, program: PathBuf) -> SidecarBuilder {
        self.sidecar_of(program)
            .set("block.time", "500ms")
            .set("chain.rpc_timeout", "2s")
            .set("commitment.poll_interval", "300ms")
            .set("commitment.retry_pause", "300ms")
            .set("commitment.retry_pause_max", "1s")
            .set("commitment.blocked_recheck", "1s")
            .set("txmgr.publish_retry", "300ms")
            .set("txmgr.publish_retry_max", "1s")
            .set("sidecar.log", "info,set_txmgr=debug,set_pipeline=debug")
    }

    /// Where this stage's sidecar may keep its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Commits one batch of three events in each of the sequencer's streams, so many times over.
    pub(crate) fn commit_everywhere(&self, times: usize) -> Vec<Commitment> {
        let streams = self.sequencer().streams();
        let all = (0..times).flat_map(|_| streams.iter());
        all.map(|stream| self.sequencer().commit(*stream, 3)).collect()
    }

    /// Waits until so many commitments were reported.
    pub(crate) async fn reported(&self, count: usize) {
        let reported = self.sequencer().reported(count, PATIENCE).await;
        let missing: Vec<_> = self.sequencer().unreported();
        let missing: Vec<_> = missing.iter().map(|commitment| commitment.batch_id).collect();
        assert!(
            reported,
            "{count} commitments were to be reported within {PATIENCE:?}; {} were, and not {missing:?}",
            self.sequencer().commitments().len() - missing.len(),
        );
    }

    /// Replaces every block after `block` by an empty one, whatever the chain makes meanwhile, and goes on.
    pub(crate) async fn undo_after(&self, block: u64) {
        self.chain().set_block_time(0).await.unwrap();
        let depth = self.chain().block_number().await.unwrap() - block;
        self.chain().reorg(depth).await.unwrap();
        self.chain().set_block_time(1).await.unwrap();
    }

    /// What the registry holds of each commitment, without the time of the block.
    pub(crate) async fn records(&self, commitments: &[Commitment]) -> Vec<Option<RecordedCommitment>> {
        let registry = RegistryReader::new(self.chain().provider().clone(), self.stack.contracts.registry);
        let mut records = vec![];
        for commitment in commitments {
            let record = registry.record(commitment.batch_id, BlockId::latest()).await.unwrap();
            records.push(record.map(|record| RecordedCommitment { timestamp: 0, ..record }));
        }
        records
    }

    /// How often each batch was committed, and in which transaction last.
    pub(crate) async fn committed(&self) -> BTreeMap<B256, (usize, B256)> {
        let filter = Filter::new()
            .address(self.stack.contracts.registry)
            .event_signature(SetRegistry::BatchCommitted::SIGNATURE_HASH)
            .from_block(0);
        let mut committed = BTreeMap::new();
        for log in self.chain().provider().get_logs(&filter).await.unwrap() {
            let entry = committed.entry(log.topics()[1]).or_insert((0, B256::ZERO));
            *entry = (entry.0 + 1, log.transaction_hash.unwrap());
        }
        committed
    }

    /// Checks that each of the sequencer's commitments is on chain once, as it was made, and was reported
    /// with the transaction that holds it.
    pub(crate) async fn assert_all_anchored(&self) {
        let commitments = self.sequencer().commitments();
        let committed = self.committed().await;
        let records = self.records(&commitments).await;
        for (commitment, record) in commitments.iter().zip(records) {
            let record = record.unwrap_or_else(|| panic!("{} is not on chain", commitment.batch_id));
            assert!(record.matches(commitment), "{record:?} is not {commitment:?}");
            let (times, hash) = committed[&commitment.batch_id.to_b256()];
            assert_eq!(times, 1, "{} was committed {times} times", commitment.batch_id);
            let reports = self.sequencer().reports();
            let mut recorded = reports
                .iter()
                .filter(|report| report.batch_id == commitment.batch_id && report.recorded);
            assert_eq!(
                recorded.next().map(|report| report.chain_tx_hash),
                Some(hash),
                "{}",
                commitment.batch_id
            );
        }
        assert_eq!(self.sequencer().contradictions(), BTreeMap::new());
    }
}

pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_set-sidecar"))
}

/// A built-in plugin as a library file; cargo builds it with the workspace's tests.
pub(crate) fn plugin_file(name: &str) -> PathBuf {
    let file = binary().with_file_name("examples").join(format!("libset_{name}.so"));
    assert!(
        file.is_file(),
        "{} is missing: run cargo build --workspace --examples",
        file.display()
    );
    file
}

/// Runs cases next to each other, a few at a time: they wait for blocks more than they work. Says which of
/// them failed.
pub(crate) async fn side_by_side<F>(cases: impl IntoIterator<Item = (String, F)>)
where
    F: Future<Output = ()> + Send + 'static,
{
    const AT_ONCE: usize = 4;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let running: Vec<_> = cases
        .into_iter()
        .map(|(name, case)| {
            let places = Arc::clone(&places);
            let task = tokio::spawn(async move {
                let _place = places.acquire().await;
                case.await;
            });
            (name, task)
        })
        .collect();
    let mut failed = vec![];
    for (name, task) in running {
        if let Err(error) = task.await {
            failed.push(format!("{name}: {error}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
