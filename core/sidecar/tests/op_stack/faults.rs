//! Faults of the stack below the sidecar: nothing is lost, nothing is twice, nothing is reported that is not safe, and
//! whoever looks is told.

use std::sync::Arc;

use alloy::{
    eips::BlockNumberOrTag, providers::Provider, rpc::types::Filter, sol_types::SolEvent, transports::TransportError,
};
use alloy_primitives::{B256, U64};
use serde_json::{Value, json};
use set_chain::bindings::SetRegistry;
use set_testkit::{OpStack, Rpc, Sequencer, Sidecar, Stack, op_stack::Parts};
use set_types::BatchId;

use crate::asking::{PATIENCE, alarmed, answer, asked, level, until};

/// Seconds that the safe block may be behind: more than this devnet's batcher leaves it.
const SAFE_ALARM: &str = "40s";
const HEAD_ALARM: &str = "6s";
/// L1 blocks that a reorg replaces: fewer than it takes this L1 to call them final.
const DEPTH: u64 = 3;
/// Seconds between two blocks of this L1.
const L1_BLOCK_TIME: u64 = 2;

struct Rig {
    chain: Arc<OpStack>,
    stack: Stack<Arc<OpStack>>,
    sidecar: Sidecar,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let chain = OpStack::builder(dir.path().join("chain")).parts(Parts::BATCHED);
        let chain = Arc::new(chain.start().await.unwrap());
        let stack = Stack::beside(&chain, Sequencer::builder(), dir.path()).await.unwrap();
        let sidecar = stack
            .sidecar(env!("CARGO_BIN_EXE_set-sidecar"))
            .set("sidecar.data_dir", dir.path().join("data").display())
            .set("settlement.safe_alarm", SAFE_ALARM)
            .set("settlement.head_alarm", HEAD_ALARM)
            .set("chain.rpc_timeout", "2s")
            .set("l1.rpc_timeout", "2s");
        Self {
            sidecar: sidecar.start().await.unwrap(),
            chain,
            stack,
            _dir: dir,
        }
    }

    /// A commitment of a stream of its own.
    fn commit(&self) -> BatchId {
        let stream = self.stack.sequencer.open_stream(1);
        self.stack.sequencer.commit(stream, 3).batch_id
    }

    /// Waits until the sidecar says of a commitment what is `wanted`.
    async fn told(&self, batch: BatchId, wanted: &str, fits: impl FnMut(&Value) -> bool) -> Value {
        asked(&self.sidecar, wanted, "set_getCommitment", json!([batch]), fits).await
    }

    async fn included(&self, batch: BatchId) -> Value {
        self.told(batch, "it in a block", |told| level(told) >= Some(0)).await
    }

    async fn safe(&self, batch: BatchId) {
        self.told(batch, "it in a safe block", |told| level(told) >= Some(1))
            .await;
    }

    async fn finalized(&self, batch: BatchId) {
        self.told(batch, "it in a final block", |told| level(told) >= Some(2))
            .await;
    }

    async fn sent(&self, batch: BatchId) {
        self.told(batch, "it sent, and in no block", |told| told["stage"] == "sent")
            .await;
    }

    async fn alarm(&self, kind: &str, raised: bool) {
        let wanted = format!("the alarm {kind} {}", if raised { "raised" } else { "over" });
        let fits = |status: &Value| alarmed(status, kind) == Some(raised);
        asked(&self.sidecar, &wanted, "set_status", json!([]), fits).await;
    }

    /// Waits until a commitment has come as far as it can while L1 is away: into a block, or, where op-node stands still
    /// for want of L1, to where it waits for the next block.
    async fn as_far_as_without_l1(&self, batch: BatchId) {
        let look = async || {
            let status = answer(&self.sidecar, "set_status", &json!([])).await;
            let told = answer(&self.sidecar, "set_getCommitment", &json!([batch])).await;
            json!({ "told": told, "stands": alarmed(&status, "head_stands") })
        };
        let fits = |seen: &Value| {
            let told = &seen["told"];
            assert!(level(told) < Some(1), "L1 is away, and it is safe: {told:#}");
            level(told) == Some(0) || told["stage"] == "sent" && seen["stands"] == true
        };
        until("it in a block, or sent while the head stands still", look, fits).await;
    }

    fn is_unreported(&self, batch: BatchId) -> bool {
        let reports = self.stack.sequencer.reports();
        !reports.iter().any(|report| report.batch_id == batch)
    }

    /// Everything is reported, once and as it is on chain; the chain holds each once, finally, and says with which block
    /// of L1.
    async fn all_is_well(&self) {
        let commitments = self.stack.sequencer.commitments();
        let all_reported = self.stack.sequencer.reported(commitments.len(), PATIENCE).await;
        assert!(all_reported, "not reported: {:#?}", self.stack.sequencer.unreported());
        let every = |status: &Value| status["index"]["commitments"] == commitments.len();
        asked(&self.sidecar, "all indexed", "set_status", json!([]), every).await;
        for commitment in &commitments {
            let batch = commitment.batch_id;
            self.finalized(batch).await;
            let held = self.committed(batch).await;
            assert_eq!(held.len(), 1, "{batch} was committed in {held:?}");
            let reports = self.stack.sequencer.reports();
            let recorded: Vec<_> = reports
                .iter()
                .filter(|report| report.batch_id == batch && report.recorded)
                .map(|report| report.chain_tx_hash)
                .collect();
            assert_eq!(recorded, held, "{batch}: what was reported, and what holds it");

            // The L1 block that made it safe is in L1's chain, whatever was there before.
            let look = async || {
                let told = answer(&self.sidecar, "set_getCommitment", &json!([batch])).await;
                let number = &told["safeL1Block"]["number"];
                let on_l1 = if number.is_null() {
                    Value::Null
                } else {
                    self.l1_block(number).await
                };
                json!({ "told": told, "l1Hash": on_l1["hash"] })
            };
            let fits = |seen: &Value| {
                let hash = &seen["told"]["safeL1Block"]["hash"];
                hash.is_string() && *hash == seen["l1Hash"]
            };
            let seen = until("the L1 block that made it safe, as L1 has it", look, fits).await;
            let number = seen["told"]["blockNumber"].as_str().and_then(|text| text.parse().ok());
            let own = self.hash(number.map(|number: U64| number.to()).unwrap()).await;
            assert_eq!(json!(own), seen["told"]["blockHash"], "{seen:#}");
        }
        assert!(self.stack.sequencer.contradictions().is_empty());
    }

    /// The transactions in which the chain holds a commitment.
    async fn committed(&self, batch: BatchId) -> Vec<B256> {
        let filter = Filter::new()
            .address(self.stack.contracts.registry)
            .event_signature(SetRegistry::BatchCommitted::SIGNATURE_HASH)
            .topic1(batch.to_b256())
            .from_block(0);
        let logs = self.chain.provider().get_logs(&filter).await.unwrap();
        logs.into_iter().filter_map(|log| log.transaction_hash).collect()
    }

    async fn l1_block(&self, number: impl serde::Serialize) -> Value {
        let block: Result<Value, TransportError> =
            self.chain.l1.call("eth_getBlockByNumber", (json!(number), false)).await;
        block.unwrap()
    }

    /// Stops L1's blocks, and waits until those of the L2 are made on its newest one: they cannot become safe, and whatever
    /// takes that one away takes them, too.
    async fn hold_l1(&self) {
        self.chain.l1.set_block_time(0).await.unwrap();
        let node = Rpc::new(self.chain.node_url().clone());
        let look = async || {
            let head = self.chain.l1.block_number().await.unwrap();
            let status = node.call("optimism_syncStatus", json!([])).await.unwrap();
            json!({ "l1": head, "origin": status["unsafe_l2"]["l1origin"]["number"] })
        };
        until("blocks on L1's newest one", look, |seen| seen["l1"] == seen["origin"]).await;
    }

    /// Replaces the newest blocks of an L1 that is held by others with the same transactions, as L1's own reorgs do: else
    /// the batcher's later ones would wait for ever behind those that are gone. L1 goes on from there.
    async fn reorg_l1(&self) {
        let l1 = &self.chain.l1;
        let head = l1.block_number().await.unwrap();
        let first = head + 1 - DEPTH;
        let before = self.l1_block(U64::from(first)).await;
        let mut again: Vec<(Value, u64)> = vec![];
        for number in first..=head {
            let block = self.l1_block(U64::from(number)).await;
            for hash in block["transactions"].as_array().unwrap() {
                let raw = l1.call("eth_getRawTransactionByHash", (hash,)).await.unwrap();
                again.push((raw, number - first));
            }
        }
        let _: Value = l1.call("anvil_reorg", (DEPTH, again)).await.unwrap();
        let after = self.l1_block(U64::from(first)).await;
        assert!(
            before["hash"] != after["hash"] && before["parentHash"] == after["parentHash"],
            "L1 was to be another from block {first} on: {before:#} {after:#}"
        );
        l1.set_block_time(L1_BLOCK_TIME).await.unwrap();
    }

    async fn hash(&self, number: u64) -> Option<B256> {
        let block = self
            .chain
            .provider()
            .get_block_by_number(BlockNumberOrTag::Number(number));
        block.await.unwrap().map(|block| block.header.hash)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn what_an_l1_reorg_takes_away_is_anchored_again() {
    let rig = Rig::start().await;
    // Final, so that no reorg here reaches what was reported, which nothing could take back.
    let first = rig.commit();
    rig.finalized(first).await;
    // Some that are in blocks, and not safe.
    rig.hold_l1().await;
    let taken = [rig.commit(), rig.commit(), rig.commit()];
    let mut newest = 0;
    for batch in taken {
        let number = rig.included(batch).await["blockNumber"].as_str().unwrap().parse();
        newest = newest.max(number.map(|number: U64| number.to()).unwrap());
    }
    assert!(taken.iter().all(|batch| rig.is_unreported(*batch)));
    let before = json!(rig.hash(newest).await.unwrap());
    rig.reorg_l1().await;
    // op-node leaves the blocks whose L1 origin is gone.
    let look = async || json!(rig.hash(newest).await);
    until("the end of a block of the L2's", look, |hash| *hash != before).await;
    rig.all_is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn nothing_is_reported_while_nothing_becomes_safe() {
    let rig = Rig::start().await;
    let first = rig.commit();
    rig.safe(first).await;

    // The batcher stops.
    let batcher = Rpc::new(rig.chain.batcher().url().clone());
    batcher.call("admin_stopBatcher", json!([])).await.unwrap();
    let waiting = rig.commit();
    rig.included(waiting).await;
    rig.alarm("safe_stands", true).await;
    assert!(rig.is_unreported(waiting));
    batcher.call("admin_startBatcher", json!([])).await.unwrap();
    rig.safe(waiting).await;
    rig.alarm("safe_stands", false).await;

    // op-node stands still, and so does the head.
    rig.chain.node().freeze();
    rig.alarm("head_stands", true).await;
    rig.alarm("op_node", true).await;
    let waiting = rig.commit();
    rig.sent(waiting).await;
    assert!(rig.is_unreported(waiting));
    rig.chain.node().thaw();
    rig.safe(waiting).await;
    rig.alarm("head_stands", false).await;
    rig.alarm("op_node", false).await;

    // L1 is away. Whether the L2 goes on is op-node's affair: for a block on the next origin it needs L1's receipts.
    rig.chain.l1.process().freeze();
    rig.alarm("l1", true).await;
    let waiting = rig.commit();
    rig.as_far_as_without_l1(waiting).await;
    assert!(rig.is_unreported(waiting));
    rig.chain.l1.process().thaw();
    rig.alarm("l1", false).await;
    rig.all_is_well().await;
}
