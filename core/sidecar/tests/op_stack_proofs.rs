//! One proof from an event to Ethereum, of a sidecar beside an op-geth that forgets states as operators' nodes do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use alloy::providers::Provider;
use serde_json::{Value, json};
use set_testkit::{OpStack, Rpc, RpcFailure, Sequencer, Sidecar, SidecarBuilder, Stack, sequencer::Preload};
use set_types::Commitment;
use tokio::{
    process::Command,
    time::{interval, timeout},
};

/// Blocks whose states op-geth keeps without `--gcmode archive`.
const KEPT_STATES: u64 = 128;
/// Longer than anything here takes on a busy machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(600);
/// Other programs' states change without telling anybody: asking is the only event there is.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// The codes of what is not known yet, and of what no game covers yet.
const NOT_FOUND: i64 = -39_001;
const NOT_CLAIMED: i64 = -39_012;

type OnOpStack = Stack<Arc<OpStack>>;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn proofs_outlive_the_nodes_states_and_the_sidecars_process() {
    let dir = tempfile::tempdir().unwrap();
    let second = dir.path().join("second.toml");
    fs::write(&second, "[block]\ntime = \"1s\"\n").unwrap();
    let op = OpStack::builder(dir.path().join("chain"))
        .archive(false)
        .overlay(&second);
    let op = Arc::new(op.start().await.unwrap());
    let preload = Preload {
        streams: 3,
        batches: 4,
        events: 3,
        ..Preload::default()
    };
    let sequencer = Sequencer::builder().seed(61).streams(0).preload(preload);
    let stack = Stack::beside(&op, sequencer, dir.path()).await.unwrap();
    let sidecar = builder(&stack, &dir.path().join("data"), &second)
        .start()
        .await
        .unwrap();
    let commitments = stack.sequencer.commitments();

    let mut claimed = 0;
    for commitment in &commitments {
        let proof = once_claimed(&sidecar, commitment).await;
        claimed = claimed.max(quantity(&proof["claim"]["l2Block"]));
    }
    // No game that they were kept for claims a later block.
    let newest = until("the proofs of all of them kept", async || {
        let status = sidecar.call("set_status", json!([])).await.map_err(words)?;
        let proofs = &status["proofs"];
        let kept = proofs["throughBlock"].as_u64() >= Some(claimed) && proofs["error"].is_null();
        let newest = proofs["claimedBlock"].as_u64().filter(|_| kept);
        newest.ok_or_else(|| format!("block {claimed} and {proofs:#}"))
    })
    .await;
    sidecar.process.kill();

    until(
        "a block so late that the claimed one's state is forgotten",
        async || {
            let head = op.provider().get_block_number().await.map_err(words)?;
            let is_past = head > newest + KEPT_STATES + 2;
            is_past.then_some(()).ok_or_else(|| format!("block {head}"))
        },
    )
    .await;
    let node = Rpc::new(op.rpc_url().clone());
    let old = json!([stack.contracts.registry, [], format!("{newest:#x}")]);
    let refusal = node.call("eth_getProof", old).await.unwrap_err().to_string();
    assert!(refusal.contains("is not available"), "{refusal}");

    let sidecar = builder(&stack, &dir.path().join("data"), &second)
        .start()
        .await
        .unwrap();
    for commitment in &commitments {
        let sequence = commitment.sequence_end;
        let (event, key) = stack.sequencer.event(commitment.batch_id, sequence).unwrap();
        let params = json!({ "batchId": commitment.batch_id, "sequence": sequence, "event": event });
        let proof = until("the proof that was kept", async || {
            let answer = sidecar.call("set_getSettlementProof", params.clone()).await;
            let proof = answer.map_err(words)?;
            let is_old = quantity(&proof["claim"]["l2Block"]) <= newest;
            is_old
                .then_some(proof.clone())
                .ok_or_else(|| format!("one made anew: {}", proof["claim"]))
        })
        .await;
        let (proof, event) = (
            file(dir.path(), "proof", &proof),
            file(dir.path(), "event", &json!(event)),
        );
        until("the proof borne out by L1", async || {
            let output = Command::new(env!("CARGO_BIN_EXE_set-sidecar"))
                .arg("verify")
                .arg(&proof)
                .arg("--event")
                .arg(&event)
                .args(["--agent-key", &key.to_string()])
                .args(["--registry", &stack.contracts.registry.to_string()])
                .args(["--l1", op.l1.url().as_str()])
                .args(["--portal", &op.contracts.portal.to_string()])
                .output()
                .await
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            let code = output.status.code().unwrap();
            // 3: claimed, and not proven yet.
            assert!(matches!(code, 0 | 3), "{code}: {said}");
            (code == 0).then_some(()).ok_or(said)
        })
        .await;
    }
}

fn builder(stack: &OnOpStack, data: &Path, overlay: &Path) -> SidecarBuilder {
    stack
        .sidecar(env!("CARGO_BIN_EXE_set-sidecar"))
        .overlay(overlay)
        .set("sidecar.data_dir", data.display())
        .set("commitment.poll_interval", "500ms")
        .set("l1.poll_interval", "1s")
        // A node that is busy is to keep nothing from being proven.
        .set("chain.rpc_timeout", "1m")
        .set("l1.rpc_timeout", "1m")
}

/// A commitment's proof, as soon as a game on L1 covers it; until then nothing else is said than that.
async fn once_claimed(sidecar: &Sidecar, commitment: &Commitment) -> Value {
    let params = json!([commitment.batch_id]);
    until("a game that covers a commitment", async || {
        match sidecar.call("set_getSettlementProof", params.clone()).await {
            Ok(proof) => Ok(proof),
            Err(RpcFailure::Error { error, .. }) if waits(&error) => Err(error.to_string()),
            Err(error) => panic!("{error}"),
        }
    })
    .await
}

/// Whether what is asked for is on its way: listed by the source, or covered by a game, in a moment.
fn waits(error: &Value) -> bool {
    matches!(error["code"].as_i64(), Some(NOT_FOUND | NOT_CLAIMED))
}

/// Looks until what is `wanted` is found; what is seen instead tells why a test ends without it.
async fn until<T>(wanted: &str, mut find: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut seen = String::new();
    let looking = async {
        let mut looks = interval(ASK_EVERY);
        loop {
            looks.tick().await;
            match find().await {
                Ok(found) => return found,
                Err(instead) => seen = instead,
            }
        }
    };
    let found = timeout(PATIENCE, looking).await.ok();
    found.unwrap_or_else(|| panic!("waited for {wanted}, and saw last: {seen}"))
}

fn words(error: impl ToString) -> String {
    error.to_string()
}

fn file(dir: &Path, name: &str, content: &Value) -> std::path::PathBuf {
    let path = dir.join(name).with_extension("json");
    fs::write(&path, content.to_string()).unwrap();
    path
}

fn quantity(value: &Value) -> u64 {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}
