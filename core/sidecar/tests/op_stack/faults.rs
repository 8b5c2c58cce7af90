//! Faults of the stack below the sidecar: nothing is lost, nothing is twice, nothing is reported that is not safe, and
//! whoever looks is told.

use std::{sync::Arc, time::Duration};

use alloy::{eips::BlockNumberOrTag, providers::Provider};
use alloy_primitives::{B256, U64};
use serde_json::{Value, json};
use set_testkit::{OpStack, Rpc, Sequencer, Sidecar, Stack, op_stack::Parts};
use set_types::BatchId;

use crate::asking::{asked, level};

/// Seconds that the safe block may be behind: more than this devnet's batcher leaves it.
const SAFE_ALARM: &str = "40s";
const HEAD_ALARM: &str = "6s";
const REPORTED: Duration = Duration::from_secs(120);
/// L1 blocks that a reorg replaces: fewer than it takes this L1 to call them final.
const DEPTH: u64 = 3;

struct Rig {
    chain: Arc<OpStack>,
    stack: Stack<Arc<OpStack>>,
    sidecar: Sidecar,
    /// How many commitments were made.
    made: usize,
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
            made: 0,
            _dir: dir,
        }
    }

    /// A commitment of a stream of its own.
    fn commit(&mut self) -> BatchId {
        self.made += 1;
        let stream = self.stack.sequencer.open_stream(1);
        self.stack.sequencer.commit(stream, 3).batch_id
    }

    async fn settled(&self, batch: BatchId, least: usize) -> Value {
        let fits = |answer: &Value| level(answer) >= Some(least);
        asked(&self.sidecar, "set_getCommitment", json!([batch]), fits).await
    }

    async fn alarm(&self, kind: &str, raised: bool) {
        let fits = |status: &Value| {
            let alarms = status["settlement"]["alarms"].as_array();
            alarms.is_some_and(|alarms| alarms.iter().any(|alarm| alarm["kind"] == kind) == raised)
        };
        asked(&self.sidecar, "set_status", json!([]), fits).await;
    }

    fn is_unreported(&self, batch: BatchId) -> bool {
        let unreported = self.stack.sequencer.unreported();
        unreported.iter().any(|commitment| commitment.batch_id == batch)
    }

    /// Everything is reported, once and as it is on chain; the chain holds each once.
    async fn all_is_well(&self) {
        assert!(
            self.stack.sequencer.reported(self.made, REPORTED).await,
            "{:?}",
            self.sidecar.process.lines().last()
        );
        assert!(self.stack.sequencer.contradictions().is_empty());
        let every = |status: &Value| status["index"]["commitments"] == self.made;
        asked(&self.sidecar, "set_status", json!([]), every).await;
        for report in self.stack.sequencer.commitments() {
            let answer = self.settled(report.batch_id, 2).await;
            let (block, hash) = (&answer["blockNumber"], &answer["blockHash"]);
            let own: Value = self
                .chain
                .provider()
                .raw_request("eth_getBlockByNumber".into(), (block, false))
                .await
                .unwrap();
            assert_eq!(own["hash"], *hash, "{answer:#}");
            // The L1 block that made it safe is in L1's chain, whatever was there before.
            let known = |answer: &Value| answer["safeL1Block"].is_object();
            let answer = asked(&self.sidecar, "set_getCommitment", json!([report.batch_id]), known).await;
            let carrier = &answer["safeL1Block"];
            let on_l1: Value = self
                .chain
                .l1
                .call("eth_getBlockByNumber", (&carrier["number"], false))
                .await
                .unwrap();
            assert_eq!(on_l1["hash"], carrier["hash"], "{answer:#}");
        }
    }

    /// Replaces the newest blocks of L1 by others with the same transactions, as L1's own reorgs do: else the batcher's
    /// later ones would wait for ever behind those that are gone.
    async fn reorg_l1(&self) {
        let l1 = &self.chain.l1;
        let head = l1.block_number().await.unwrap();
        let mut again: Vec<(Value, u64)> = vec![];
        for offset in 0..DEPTH {
            let number = U64::from(head + 1 - DEPTH + offset);
            let block: Value = l1.call("eth_getBlockByNumber", (number, false)).await.unwrap();
            for hash in block["transactions"].as_array().unwrap() {
                let raw = l1.call("eth_getRawTransactionByHash", (hash,)).await.unwrap();
                again.push((raw, offset));
            }
        }
        let _: Value = l1.call("anvil_reorg", (DEPTH, again)).await.unwrap();
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
    let mut rig = Rig::start().await;
    let first = rig.commit();
    rig.settled(first, 1).await;
    // Some that are in blocks, and not safe.
    let taken = [rig.commit(), rig.commit(), rig.commit()];
    let mut newest = 0;
    for batch in taken {
        let answer = rig.settled(batch, 0).await;
        let number = answer["blockNumber"]
            .as_str()
            .unwrap()
            .trim_start_matches("0x")
            .to_owned();
        newest = newest.max(u64::from_str_radix(&number, 16).unwrap());
    }
    let before = rig.hash(newest).await.unwrap();
    rig.reorg_l1().await;
    // op-node leaves the blocks whose L1 origin is gone.
    let gone = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        while rig.hash(newest).await == Some(before) {
            ticks.tick().await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(60), gone).await;
    assert!(gone.is_ok(), "the reorg took no block of the L2's away");
    rig.all_is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn nothing_is_reported_while_nothing_becomes_safe() {
    let mut rig = Rig::start().await;
    let first = rig.commit();
    rig.settled(first, 1).await;

    // The batcher stops.
    let batcher = Rpc::new(rig.chain.batcher().url().clone());
    batcher.call("admin_stopBatcher", json!([])).await.unwrap();
    let waiting = rig.commit();
    rig.settled(waiting, 0).await;
    rig.alarm("safe_stands", true).await;
    assert!(rig.is_unreported(waiting));
    batcher.call("admin_startBatcher", json!([])).await.unwrap();
    rig.settled(waiting, 1).await;
    rig.alarm("safe_stands", false).await;

    // op-node stands still, and so does the head.
    rig.chain.node().freeze();
    rig.alarm("head_stands", true).await;
    rig.alarm("op_node", true).await;
    let waiting = rig.commit();
    assert!(rig.is_unreported(waiting));
    rig.chain.node().thaw();
    rig.settled(waiting, 1).await;
    rig.alarm("head_stands", false).await;
    rig.alarm("op_node", false).await;

    // L1 is away.
    rig.chain.l1.process().freeze();
    rig.alarm("l1", true).await;
    let waiting = rig.commit();
    rig.settled(waiting, 0).await;
    assert!(rig.is_unreported(waiting));
    rig.chain.l1.process().thaw();
    rig.alarm("l1", false).await;
    rig.all_is_well().await;
}
