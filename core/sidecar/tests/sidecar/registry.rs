//! A registry that takes nothing, that others write to, or that is the public one.

use std::{collections::BTreeSet, time::Duration};

use alloy::{
    network::{ReceiptResponse, TransactionBuilder},
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use alloy_primitives::{Address, B256};
use serde_json::json;
use set_chain::bindings::SetRegistry::{
    commitBatchCall, getPrevStateRootCall, getStreamHeadsCall, pauseCall, registryVersionCall,
    setSequencerAuthorizationCall, unpauseCall,
};
use set_testkit::{Action, Anvil, Rule, Sequencer};
use set_types::Commitment;

use crate::{
    stage::{PATIENCE, Stage, side_by_side},
    watch,
};

/// Account 0 owns the registry, account 1 is the sidecar's, account 2 somebody else's.
const OWNER: usize = 0;
const SIDECAR: usize = 1;
const STRANGER: usize = 2;

/// Sends a call to the registry; gives the transaction's hash.
async fn send(stage: &Stage, from: usize, call: impl SolCall, tip: u128) -> B256 {
    let request = TransactionRequest::default()
        .with_from(Anvil::account(from).address())
        .with_to(stage.stack.contracts.registry)
        .with_gas_limit(500_000)
        .with_max_fee_per_gas(100_000_000_000)
        .with_max_priority_fee_per_gas(tip)
        .with_input(call.abi_encode());
    let sent = stage.chain().provider().send_transaction(request.into()).await.unwrap();
    *sent.tx_hash()
}

/// The same, and waits until it is in a block and has succeeded.
pub(crate) async fn mined(stage: &Stage, from: usize, call: impl SolCall) -> B256 {
    let hash = send(stage, from, call, 1).await;
    let included = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            if let Some(receipt) = stage.chain().provider().get_transaction_receipt(hash).await.unwrap() {
                return receipt;
            }
        }
    };
    let receipt = tokio::time::timeout(PATIENCE, included).await.unwrap();
    assert!(receipt.status(), "{receipt:?}");
    hash
}

pub(crate) fn authorise(account: Address, authorized: bool) -> setSequencerAuthorizationCall {
    setSequencerAuthorizationCall {
        sequencer: account,
        authorized,
    }
}

fn commit(commitment: &Commitment) -> commitBatchCall {
    commitBatchCall::from(commitment)
}

/// What keeps the registry from taking anything.
#[derive(Debug, Clone, Copy)]
enum Shut {
    Paused,
    Unauthorised,
}

impl Shut {
    async fn set(self, stage: &Stage, shut: bool) {
        match self {
            Self::Paused if shut => mined(stage, OWNER, pauseCall {}).await,
            Self::Paused => mined(stage, OWNER, unpauseCall {}).await,
            Self::Unauthorised => {
                let account = Anvil::account(SIDECAR).address();
                mined(stage, OWNER, authorise(account, !shut)).await
            }
        };
    }

    /// The hold's kind, and a word that its reason holds.
    const fn seen_as(self) -> (&'static str, &'static str) {
        match self {
            Self::Paused => ("contract", "paused"),
            Self::Unauthorised => ("account", "setSequencerAuthorization"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_takes_nothing_everything_waits_and_then_goes_on() {
    let cases = [Shut::Paused, Shut::Unauthorised];
    side_by_side(cases.map(|shut| (format!("{shut:?}"), shut_and_opened(shut)))).await;
}

async fn shut_and_opened(shut: Shut) {
    let stage = Stage::with(Sequencer::builder().seed(61).streams(3)).await;
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    let before = stage.commit_everywhere(1).len();
    stage.reported(before).await;

    shut.set(&stage, true).await;
    let during = stage.commit_everywhere(2).len();
    let (kind, said) = shut.seen_as();
    let status = watch::status(&sidecar, "the hold", |status| watch::hold(status, kind).is_some()).await;
    let reason = watch::hold(&status, kind).unwrap()["reason"].as_str().unwrap();
    assert!(reason.contains(said), "{reason}");
    watch::health_says(&sidecar, "healthz", said).await;
    // Attempts go on, one commitment each, and none of them counts against the commitments.
    watch::metric_above(&sidecar, "set_tx_included_total", &[("result", "reverted")], 3.0).await;
    let status = watch::status(&sidecar, "the hold still", |status| watch::hold(status, kind).is_some()).await;
    assert_eq!(watch::in_stage(&status, "quarantined"), 0, "{status}");
    assert_eq!(stage.sequencer().unreported().len(), during);

    shut.set(&stage, false).await;
    stage.reported(before + during).await;
    watch::status(&sidecar, "the end of the hold", watch::is_well).await;
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_commits_the_same_before_us_is_the_one_who_is_reported() {
    let stage = Stage::on(Anvil::builder().no_mining(), Sequencer::builder().seed(62).streams(3)).await;
    let made = stage.commit_everywhere(2);
    let stranger = Anvil::account(STRANGER).address();
    send(&stage, OWNER, authorise(stranger, true), 1).await;
    stage.chain().mine(1).await.unwrap();
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    watch::status(&sidecar, "all of them sent", |status| {
        watch::in_stage(status, "sent") == made.len()
    })
    .await;
    // Pays more, so it comes first in the same block.
    let theirs = send(&stage, STRANGER, commit(&made[0]), 50_000_000_000).await;
    stage.chain().set_block_time(1).await.unwrap();
    stage.reported(made.len()).await;
    stage.assert_all_anchored().await;
    assert_eq!(stage.committed().await[&made[0].batch_id.to_b256()].1, theirs);
    watch::status(&sidecar, "the end of every hold", watch::is_well).await;
    let again = stage.commit_everywhere(1).len();
    stage.reported(made.len() + again).await;
    stage.assert_all_anchored().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_exists_with_other_content_raises_an_alarm_and_stops_its_stream_alone() {
    let stage = Stage::with(Sequencer::builder().seed(63).streams(2)).await;
    let stranger = Anvil::account(STRANGER).address();
    mined(&stage, OWNER, authorise(stranger, true)).await;
    let made = stage.commit_everywhere(2);
    let forged = Commitment {
        events_root: B256::repeat_byte(0x66),
        ..made[0].clone()
    };
    mined(&stage, STRANGER, commit(&forged)).await;
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    // Those of the other stream.
    stage.reported(2).await;
    let status = watch::status(&sidecar, "the alarm", |status| {
        watch::alarm(status, "chain_conflict").is_some_and(|alarm| alarm["batches"] == json!([made[0].batch_id]))
    })
    .await;
    assert_eq!(watch::in_stage(&status, "blocked"), 1, "{status}");
    watch::metric_is(&sidecar, "set_pipeline_alarm", &[("kind", "chain_conflict")], 1.0).await;
    let stuck = sidecar
        .call("set_pendingCommitments", json!({"stage": "quarantined"}))
        .await
        .unwrap();
    let reason = stuck["items"][0]["reason"].as_str().unwrap();
    assert!(reason.contains(&forged.events_root.to_string()), "{stuck}");
    let reported: BTreeSet<_> = stage
        .sequencer()
        .reports()
        .iter()
        .map(|report| report.batch_id)
        .collect();
    assert_eq!(reported, [made[1].batch_id, made[3].batch_id].into());
    assert_eq!(stage.committed().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_public_registry_each_commitment_is_a_transaction_of_its_own() {
    let stage = Stage::with(Sequencer::builder().seed(64).streams(3)).await;
    let revert = Action::Error {
        code: 3,
        message: "execution reverted".into(),
    };
    // A public registry has none of these, and no `commitBatches`.
    let missing = [
        registryVersionCall::SELECTOR,
        getStreamHeadsCall::SELECTOR,
        getPrevStateRootCall::SELECTOR,
    ];
    stage.node.inject(Rule::on_functions(missing, revert));
    let made = stage.commit_everywhere(4);
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    stage.reported(made.len()).await;
    stage.assert_all_anchored().await;
    let committed = stage.committed().await;
    let transactions: BTreeSet<_> = committed.values().map(|(_, transaction)| *transaction).collect();
    assert_eq!(transactions.len(), made.len());
    // Several were on their way at once.
    let mut blocks = BTreeSet::new();
    for transaction in transactions {
        let receipt = stage
            .chain()
            .provider()
            .get_transaction_receipt(transaction)
            .await
            .unwrap();
        blocks.insert(receipt.unwrap().block_number());
    }
    assert!(blocks.len() < made.len(), "one in a block: {blocks:?}");
    assert!(sidecar.stop().await.unwrap().success());
}
