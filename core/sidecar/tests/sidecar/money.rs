//! A sending account that runs empty.

use alloy::providers::Provider;
use alloy_primitives::{U256, utils::parse_ether};
use set_testkit::{Anvil, Sequencer};

use crate::{
    stage::{PATIENCE, Stage},
    watch,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_account_waits_for_money_and_says_how_much_it_has() {
    let stage = Stage::with(Sequencer::builder().seed(71).streams(2)).await;
    let account = Anvil::account(1).address();
    let sidecar = stage.quick_sidecar().start().await.unwrap();
    let before = stage.commit_everywhere(1).len();
    stage.reported(before).await;

    stage.chain().set_balance(account, U256::from(1_000_000)).await.unwrap();
    let during = stage.commit_everywhere(2).len();
    let status = watch::status(&sidecar, "the alarm", |status| {
        watch::alarm(status, "insufficient_funds").is_some()
    })
    .await;
    let alarm = watch::alarm(&status, "insufficient_funds").unwrap();
    assert!(
        alarm["message"].as_str().unwrap().contains(&account.to_string()),
        "{alarm}"
    );
    watch::metric_is(&sidecar, "set_tx_alarm", &[("kind", "insufficient_funds")], 1.0).await;
    sidecar
        .process
        .line_with("alarm=\"insufficient_funds\"", PATIENCE)
        .await
        .unwrap();
    watch::health_says(&sidecar, "healthz", &account.to_string()).await;
    // Nothing is lost, and callers are still served.
    watch::health_is(&sidecar, "readyz", 200, "").await;
    assert_eq!(stage.sequencer().unreported().len(), during);

    stage
        .chain()
        .set_balance(account, parse_ether("1").unwrap())
        .await
        .unwrap();
    stage.reported(before + during).await;
    watch::status(&sidecar, "the end of the alarm", watch::is_well).await;
    watch::metric_is(&sidecar, "set_tx_alarm", &[("kind", "insufficient_funds")], 0.0).await;
    stage.assert_all_anchored().await;
    let left = stage.chain().provider().get_balance(account).await.unwrap();
    assert!(left > U256::ZERO && left < parse_ether("1").unwrap());
}
