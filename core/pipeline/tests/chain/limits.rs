//! Transactions that must stay small, down to where not even one commitment fits.

use std::collections::BTreeSet;

use alloy::{consensus::Transaction, providers::Provider};
use set_pipeline::AlarmKind;
use set_txmgr::TxConfig;

use crate::rig::{HANG, Rig, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn calls_keep_to_tight_limits_and_everything_is_anchored() {
    let rig = Rig::start(3).await;
    rig.commit(24);
    let setup = Setup {
        txmgr: TxConfig {
            max_bytes: 1_000,
            max_estimated_bytes: 600,
            ..TxConfig::default()
        },
        ..Setup::new(Rig::config())
    };
    let running = rig.run_with(setup).await;
    rig.reported(24, &running).await;
    rig.check(&BTreeSet::new()).await;
    let transactions: BTreeSet<_> = rig.committed().await.into_values().flatten().collect();
    assert!(transactions.len() >= 6, "{} transactions", transactions.len());
    for hash in transactions {
        let transaction = rig.anvil.provider().get_transaction_by_hash(hash).await.unwrap();
        let bytes = transaction.unwrap().input().len();
        assert!(bytes < 1_000, "{hash} has {bytes} bytes of calldata");
    }
    assert!(running.pipeline.drain(HANG).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_not_even_one_commitment_fits_an_alarm_says_so_until_it_does() {
    let rig = Rig::start(2).await;
    let batches = rig.commit(4);
    let tight = TxConfig {
        max_gas: 100_000,
        ..TxConfig::default()
    };
    let setup = Setup {
        txmgr: tight,
        ..Setup::new(Rig::config())
    };
    let running = rig.run_with(setup).await;
    running
        .until("the alarm", |status| {
            let alarm = status.alarms.iter().find(|alarm| alarm.kind == AlarmKind::Unplannable);
            alarm.is_some_and(|alarm| alarm.message.contains("txmgr.max_gas") && alarm.count == 2)
        })
        .await;
    let waiting = running.get(batches[0]).unwrap();
    assert!(waiting.reason.unwrap().contains("txmgr.max_gas"));
    assert_eq!(rig.sent(crate::rig::SENDER).await, 0);
    running.txmgrs[0].reconfigure(TxConfig::default()).unwrap();
    rig.reported(4, &running).await;
    rig.check(&BTreeSet::new()).await;
    running.until("no alarm", |status| status.alarms.is_empty()).await;
    assert!(running.pipeline.drain(HANG).await);
}
