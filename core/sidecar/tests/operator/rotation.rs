//! `set-sidecar rotate` while commitments flow, broken off at each step and run again.

use std::{collections::BTreeSet, time::Duration};

use alloy::{providers::Provider, rpc::types::Filter, sol_types::SolEvent};
use serde_json::Value;
use set_chain::bindings::SetRegistry;
use set_testkit::{Action, Anvil, Gate, Process, RpcProxy, Rule, Sequencer, sequencer::Load};

use crate::desk::{ASK_EVERY, Desk, FIRST, OWNER, PATIENCE, Running, SECOND, Settings};

const BATCHES: usize = 120;

async fn flowing() -> (Desk, Running) {
    let load = Load {
        interval: Duration::from_millis(100),
        events: 1..=4,
        batches: Some(BATCHES as u64),
    };
    let desk = Desk::with(Sequencer::builder().seed(51).streams(4).load(load)).await;
    let sidecar = desk.run().await;
    desk.reported(5).await;
    desk.write(&Settings {
        sidecar: "signers = [\"second\"]".to_owned(),
        ..Settings::default()
    });
    (desk, sidecar)
}

fn rotate(desk: &Desk, sidecar: &Running, more: &[&str]) -> Process {
    let program = desk.program(&["rotate"]).args(more.iter().copied());
    let listen = format!("rpc.admin_listen={}", sidecar.admin);
    program.args(["--set", &listen]).spawn().unwrap()
}

/// The same as the owner, who asks this node.
fn rotate_by(desk: &Desk, sidecar: &Running, node: &RpcProxy) -> Process {
    let nodes = format!("chain.rpc_urls=[\"{}\"]", node.url());
    rotate(desk, sidecar, &["--owner-signer", "owner", "--set", &nodes])
}

async fn succeeds(process: &Process) {
    let status = process.wait(PATIENCE).await.unwrap();
    assert!(status.success(), "{:#?}", process.lines());
}

/// Checks that all is anchored once, by both, and that at each moment one of them could.
async fn assert_without_a_gap(desk: &Desk) {
    // Where the rotation took longer than all the others, these are what is left for the second.
    let streams = desk.stack.sequencer.streams();
    for stream in &streams {
        desk.stack.sequencer.commit(*stream, 2);
    }
    desk.reported(BATCHES + streams.len()).await;
    let senders = desk.anchored_once_by().await;
    let [first, second] = [FIRST, SECOND].map(|index| Anvil::account(index).address());
    assert!(senders[&first] > 0 && senders[&second] > 0, "{senders:?}");
    assert!(!desk.authorised(FIRST).await);
    assert!(desk.authorised(SECOND).await);
    let filter = Filter::new()
        .address(desk.stack.contracts.registry)
        .event_signature(SetRegistry::SequencerAuthorized::SIGNATURE_HASH)
        .from_block(0);
    let mut authorised = BTreeSet::new();
    for (position, log) in desk
        .stack
        .chain
        .provider()
        .get_logs(&filter)
        .await
        .unwrap()
        .iter()
        .enumerate()
    {
        let change = SetRegistry::SequencerAuthorized::decode_log(&log.inner).unwrap();
        match change.authorized {
            true => authorised.insert(change.sequencer),
            false => authorised.remove(&change.sequencer),
        };
        assert!(!authorised.is_empty(), "nobody was authorised after change {position}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_while_commitments_flow() {
    let (desk, sidecar) = flowing().await;
    let first = rotate(&desk, &sidecar, &["--owner-signer", "owner"]);
    succeeds(&first).await;
    for step in ["1/4 authorise", "2/4 reload", "3/4 drain", "4/4 revoke", "done"] {
        assert!(
            first.lines().iter().any(|line| line.starts_with(step)),
            "{step}: {:#?}",
            first.lines()
        );
    }
    // Nothing is left to do.
    succeeds(&rotate(&desk, &sidecar, &["--owner-signer", "owner"])).await;
    assert_without_a_gap(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_broke_off_goes_on_where_it_was() {
    let (desk, sidecar) = flowing().await;
    let node = RpcProxy::start(desk.stack.chain.url().clone()).await.unwrap();
    let broken_at = async |step: &str| {
        let broken = rotate_by(&desk, &sidecar, &node);
        broken.line_with(step, PATIENCE).await.unwrap();
        broken.kill();
        broken.wait(PATIENCE).await.unwrap();
    };
    // A program is killed some time after it has said where it is: it must not have revoked anything by then.
    let first = format!("{:x}", Anvil::account(FIRST).address());
    let names_first = move |params: &Value| params.to_string().contains(&first);
    node.inject(Rule::on_send(Action::Hold(Gate::closed())).when(names_first));
    broken_at("1/4 authorise  sent").await;
    broken_at("1/4 authorise").await;
    let authorised = async {
        while !desk.authorised(SECOND).await {
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, authorised).await.unwrap();
    broken_at("2/4 reload").await;
    broken_at("3/4 drain").await;
    node.heal();
    broken_at("4/4 revoke     sent").await;
    // The sidecar forgets whom it retired, too.
    sidecar.process.kill();
    sidecar.process.wait(PATIENCE).await.unwrap();
    drop(sidecar);
    let sidecar = desk.run().await;
    succeeds(&rotate_by(&desk, &sidecar, &node)).await;
    assert_without_a_gap(&desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_own_the_registry_gets_the_calls_instead() {
    let (desk, sidecar) = flowing().await;
    let printed = rotate(&desk, &sidecar, &["--print-calls"]);
    succeeds(&printed).await;
    let second = Anvil::account(SECOND).address().to_string();
    assert!(
        printed.lines().iter().any(|line| line.contains(&second)),
        "{:#?}",
        printed.lines()
    );
    assert!(!desk.authorised(SECOND).await, "nothing was sent");

    // Account 1 is no owner.
    desk.write(&Settings {
        sidecar: "signers = [\"second\"]".to_owned(),
        more: "[signers.impostor]\nkind = \"env\"\nvariable = \"FIRST_KEY\"\n".to_owned(),
        ..Settings::default()
    });
    let refused = rotate(&desk, &sidecar, &["--owner-signer", "impostor"]);
    assert!(!refused.wait(PATIENCE).await.unwrap().success());
    let owner = Anvil::account(OWNER).address().to_string();
    assert!(
        refused.lines().iter().any(|line| line.contains(&owner)),
        "{:#?}",
        refused.lines()
    );
}
