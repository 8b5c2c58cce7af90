//! Changing a running sidecar with an edit and SIGHUP.

use serde_json::json;
use set_chain::bindings::SetRegistry;
use set_testkit::{Anvil, Sequencer};

use crate::desk::{Desk, FIRST, PATIENCE, SECOND, Settings, account};

fn txmgr(text: &str) -> Settings {
    Settings {
        more: format!("[txmgr]\n{text}\n"),
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_edited_is_in_force_and_what_is_faulty_changes_nothing() {
    let desk = Desk::with(Sequencer::builder().seed(41)).await;
    let sidecar = desk.run().await;
    let in_force = |key: &'static str, value: serde_json::Value| {
        move |status: &serde_json::Value| account(status, FIRST).is_some_and(|account| account["inForce"][key] == value)
    };
    sidecar
        .status("the default", in_force("max_fee", json!("100 gwei")))
        .await;

    desk.write(&txmgr("max_fee = \"7 gwei\"\nmax_in_flight = 3"));
    sidecar.hang_up();
    sidecar
        .status("the new ceiling", in_force("max_fee", json!("7 gwei")))
        .await;
    sidecar
        .status("the new limit", in_force("max_in_flight", json!(3)))
        .await;
    let said = sidecar
        .process
        .line_with("configuration read again", PATIENCE)
        .await
        .unwrap();
    assert!(
        said.contains("txmgr.max_fee") && said.contains("txmgr.max_in_flight"),
        "{said}"
    );

    // One key is right, the other is not: neither counts.
    desk.write(&txmgr("max_fee = \"9 gwei\"\nmax_in_flight = 0"));
    sidecar.hang_up();
    let said = sidecar
        .process
        .line_with("the configuration is faulty", PATIENCE)
        .await
        .unwrap();
    assert!(
        said.contains("operator.toml") && said.contains("`txmgr.max_in_flight`"),
        "{said}"
    );
    sidecar
        .status("what was in force", in_force("max_fee", json!("7 gwei")))
        .await;

    // What needs a restart is named, and the rest is in force.
    let mut settings = txmgr("max_fee = \"8 gwei\"");
    settings.chain = "rpc_timeout = \"4s\"".to_owned();
    desk.write(&settings);
    sidecar.hang_up();
    let said = sidecar.process.line_with("need a restart", PATIENCE).await.unwrap();
    assert!(said.contains("chain.rpc_timeout") && !said.contains("txmgr"), "{said}");
    sidecar
        .status("the newest ceiling", in_force("max_fee", json!("8 gwei")))
        .await;
    for line in sidecar.process.lines() {
        assert!(!line.contains(desk.stack.sequencer.admin_key()), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_come_and_go() {
    let desk = Desk::with(Sequencer::builder().seed(42).streams(4)).await;
    desk.own(SetRegistry::setSequencerAuthorizationCall {
        sequencer: Anvil::account(SECOND).address(),
        authorized: true,
    })
    .await;
    let sidecar = desk.run().await;
    let signers = |names: &str| Settings {
        sidecar: format!("signers = [{names}]"),
        ..Settings::default()
    };
    let commit = |count: usize| {
        for stream in desk.stack.sequencer.streams() {
            for _ in 0..count {
                desk.stack.sequencer.commit(stream, 2);
            }
        }
    };
    commit(2);
    desk.reported(8).await;

    desk.write(&signers("\"second\""));
    sidecar.hang_up();
    let gone = |status: &serde_json::Value| account(status, FIRST).is_none() && account(status, SECOND).is_some();
    sidecar.status("the second account alone", gone).await;
    commit(2);
    desk.reported(16).await;
    let senders = desk.anchored_once_by().await;
    assert_eq!(senders[&Anvil::account(FIRST).address()], 8);
    assert_eq!(senders[&Anvil::account(SECOND).address()], 8);

    // The one that went comes back.
    desk.write(&signers("\"first\", \"second\""));
    sidecar.hang_up();
    let both = |status: &serde_json::Value| {
        [FIRST, SECOND]
            .iter()
            .all(|index| account(status, *index).is_some_and(|account| account["state"] == "active"))
    };
    sidecar.status("both accounts", both).await;
    commit(1);
    desk.reported(20).await;
    desk.anchored_once_by().await;
}
