//! Several sending accounts: side by side, one not authorised, and one that takes the other's place.

use std::collections::BTreeSet;

use set_pipeline::{AdmitError, AlarmKind, HoldKind, PipelineConfig};
use set_testkit::Anvil;
use set_txmgr::{BlockBudget, TxConfig};

use crate::rig::{HANG, Rig, SENDER, Setup};

/// The account that comes second.
const SECOND: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_share_what_there_is() {
    let rig = Rig::start(8).await;
    rig.authorise(SECOND, true).await;
    rig.commit(80);
    // Small calls, one at a time from each account.
    let setup = Setup {
        senders: vec![SENDER, SECOND],
        txmgr: TxConfig {
            max_gas: 800_000,
            max_in_flight: 1,
            ..TxConfig::default()
        },
        ..Setup::new(Rig::config())
    };
    let running = rig.run_with(setup).await;
    rig.reported(80, &running).await;
    rig.check(&BTreeSet::new()).await;
    let (first, second) = (rig.sent(SENDER).await, rig.sent(SECOND).await);
    assert!(first > 1 && second > 1, "{first} and {second} transactions");
    running
        .until("no hold and no alarm", |status| {
            status.holds.is_empty() && status.alarms.is_empty()
        })
        .await;
    assert!(running.pipeline.drain(HANG).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_takes_anothers_place_without_a_gap() {
    let rig = Rig::start(4).await;
    let running = rig.run(Rig::config(), None).await;
    let control = running.pipeline.control();
    rig.commit(8);
    rig.reported(8, &running).await;

    // The new account is admitted before it is authorised: it holds itself alone.
    let [old, new] = [SENDER, SECOND].map(|sender| Anvil::account(sender).address());
    let another = async || {
        let setup = Setup::new(Rig::config());
        let heads = running.heads.clone();
        rig.account(SECOND, &setup, heads, BlockBudget::default()).await
    };
    control.admit(another().await).await.unwrap();
    assert_eq!(control.admit(another().await).await, Err(AdmitError::Known(new)));
    rig.commit(8);
    rig.reported(16, &running).await;

    // The old one is retired while commitments keep coming; the new one is tried, held and then let in.
    rig.commit(8);
    control.retire(old).await;
    let sent = rig.sent(SENDER).await;
    rig.commit(8);
    let of_account = |hold: &set_pipeline::Hold| hold.kind == HoldKind::Account;
    running
        .until("the hold", |status| status.holds.iter().any(of_account))
        .await;
    rig.authorise(SECOND, true).await;
    rig.reported(32, &running).await;
    running.until("no hold", |status| status.holds.is_empty()).await;
    rig.authorise(SENDER, false).await;
    rig.commit(8);
    rig.reported(40, &running).await;
    rig.check(&BTreeSet::new()).await;
    assert_eq!(rig.sent(SENDER).await, sent, "nothing more from the old one");

    // It can come back.
    rig.authorise(SENDER, true).await;
    if !control.resume(old).await {
        let setup = Setup::new(Rig::config());
        let account = rig.account(SENDER, &setup, running.heads.clone(), BlockBudget::default());
        control.admit(account.await).await.unwrap();
    }
    control.retire(new).await;
    rig.commit(4);
    rig.reported(44, &running).await;
    rig.check(&BTreeSet::new()).await;
    assert!(rig.sent(SENDER).await > sent);
    assert!(running.pipeline.drain(HANG).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_bound_to_an_account_waits_for_it_by_name() {
    let rig = Rig::start(2).await;
    rig.authorise(SECOND, true).await;
    let [bound, _] = rig.sequencer.streams()[..] else {
        unreachable!()
    };
    rig.bind(bound, SECOND).await;
    let config = PipelineConfig {
        quarantine_recheck: HANG,
        ..Rig::config()
    };
    let running = rig.run(config.clone(), None).await;
    rig.commit(8);
    rig.reported(4, &running).await;
    let second = Anvil::account(SECOND).address();
    let named = |alarm: &set_pipeline::Alarm| {
        alarm.kind == AlarmKind::BoundElsewhere && alarm.message.contains(&second.to_string())
    };
    running
        .until("the alarm", |status| status.alarms.iter().any(named))
        .await;

    // The other's commitments go from it alone, and nothing of the first's is lost on them.
    let setup = Setup::new(config);
    let account = rig.account(SECOND, &setup, running.heads.clone(), BlockBudget::default());
    running.pipeline.control().admit(account.await).await.unwrap();
    rig.reported(8, &running).await;
    running.until("no alarm", |status| status.alarms.is_empty()).await;
    rig.commit(8);
    rig.reported(16, &running).await;
    rig.check(&BTreeSet::new()).await;
    assert!(rig.sent(SECOND).await > 1);
    assert!(running.pipeline.drain(HANG).await);
}
