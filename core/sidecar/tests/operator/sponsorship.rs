//! The account that pays for sponsorships is another one than those that commit.

use alloy_primitives::U256;
use serde_json::Value;
use set_testkit::{Anvil, Sequencer};

use crate::desk::{Desk, FIRST, PATIENCE, SECOND, Settings, account};

#[tokio::test(flavor = "multi_thread")]
async fn it_is_watched_and_commits_nothing() {
    let desk = Desk::with(Sequencer::builder().seed(61).streams(3)).await;
    desk.write(&Settings {
        sidecar: "signers = [\"first\"]\nsponsorship_signer = \"second\"".to_owned(),
        ..Settings::default()
    });
    let checked = desk.program(&["check", "--online"]).spawn().unwrap();
    let checked_well = checked.wait(PATIENCE).await.unwrap().success();
    assert!(checked_well, "it needs no authorisation: {:#?}", checked.lines());

    let sidecar = desk.run().await;
    let is_well = |status: &Value| {
        account(status, SECOND).is_some_and(|account| {
            account["role"] == "sponsorship"
                && account["balance"].is_string()
                && account["alarms"].as_array().is_some_and(Vec::is_empty)
        })
    };
    sidecar.status("the sponsorships' account", is_well).await;
    for stream in desk.stack.sequencer.streams() {
        desk.stack.sequencer.commit(stream, 2);
    }
    desk.reported(3).await;
    let senders = desk.anchored_once_by().await;
    assert_eq!(
        senders.into_keys().collect::<Vec<_>>(),
        [Anvil::account(FIRST).address()]
    );

    let second = Anvil::account(SECOND).address();
    desk.stack.chain.set_balance(second, U256::from(1)).await.unwrap();
    let low = |status: &Value| {
        let alarms = account(status, SECOND).and_then(|account| account["alarms"].as_array());
        alarms.is_some_and(|alarms| alarms.iter().any(|alarm| alarm["kind"] == "low_balance"))
    };
    sidecar.status("the alarm", low).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_must_not_be_an_account_that_commits() {
    let desk = Desk::with(Sequencer::builder().seed(62)).await;
    // Another name for the same key.
    desk.write(&Settings {
        sidecar: "signers = [\"first\"]\nsponsorship_signer = \"alias\"".to_owned(),
        more: "[signers.alias]\nkind = \"env\"\nvariable = \"FIRST_KEY\"\n".to_owned(),
        ..Settings::default()
    });
    for command in ["check", "run"] {
        let refused = desk.program(&[command]).spawn().unwrap();
        assert!(!refused.wait(PATIENCE).await.unwrap().success());
        let lines = refused.lines().join("\n");
        assert!(
            lines.contains("signers.alias") && lines.contains("signers.first"),
            "{command}: {lines}"
        );
    }
}
