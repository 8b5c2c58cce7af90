//! What these tests start, and what they ask the chain afterwards.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use alloy::{eips::BlockId, providers::Provider, rpc::types::Filter, sol_types::SolEvent};
use alloy_primitives::B256;
use set_chain::{RegistryReader, bindings::SetRegistry};
use set_testkit::{Anvil, Sequencer, SidecarBuilder, Stack, sequencer::SequencerBuilder};
use set_types::{Commitment, RecordedCommitment};
use tempfile::TempDir;

/// Long enough for a debug build on a busy machine; nothing waits for it when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A stack with a block every second, and a directory that goes with it.
pub(crate) struct Stage {
    pub(crate) stack: Stack,
    pub(crate) dir: TempDir,
}

impl Stage {
    pub(crate) async fn with(sequencer: SequencerBuilder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stack = Stack::start(Anvil::builder().block_time(1), sequencer, dir.path())
            .await
            .unwrap();
        Self { stack, dir }
    }

    pub(crate) fn sequencer(&self) -> &Sequencer {
        &self.stack.sequencer
    }

    /// The sidecar under test, in memory.
    pub(crate) fn sidecar(&self) -> SidecarBuilder {
        self.stack.sidecar(binary())
    }

    /// Waits until so many commitments were reported.
    pub(crate) async fn reported(&self, count: usize) {
        assert!(
            self.sequencer().reported(count, PATIENCE).await,
            "only {} of {count} commitments were reported in time",
            self.sequencer().commitments().len() - self.sequencer().unreported().len(),
        );
    }

    /// What the registry holds of each commitment, without the time of the block.
    pub(crate) async fn records(&self, commitments: &[Commitment]) -> Vec<Option<RecordedCommitment>> {
        let registry = RegistryReader::new(self.stack.chain.provider().clone(), self.stack.contracts.registry);
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
        for log in self.stack.chain.provider().get_logs(&filter).await.unwrap() {
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
