//! Two managers with one key, and a lease that says which of them sends.

use std::time::Duration;

use alloy_primitives::U256;
use set_lease::{Leadership, LeaseConfig, LeaseKind, LeaseTask};
use set_testkit::{Anvil, RpcProxy};
use set_txmgr::TxEvent;

use crate::fixture::{Account, empty_pool, impatient, received, transfer};

async fn lease(file: &std::path::Path, holder: &str) -> (Leadership, LeaseTask) {
    let config = LeaseConfig {
        // Longer than a machine stands still: renewed in time, the lease changes hands only where it is given up.
        ttl: Duration::from_secs(30),
        file: Some(file.to_owned()),
        ..LeaseConfig::default()
    };
    set_lease::start(LeaseKind::File, config, "test".into(), holder.into())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_standby_sends_nothing_and_goes_on_where_the_other_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lease");
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let proxy = RpcProxy::start(anvil.url().clone()).await.unwrap();

    let (leadership, task) = lease(&file, "first").await;
    let mut first = Account::with(&anvil, &proxy.url(), impatient(), |parts| parts.leadership = leadership);
    first.status(|status| status.leading).await;
    let (leadership, _second_task) = lease(&file, "second").await;
    let mut second = Account::with(&anvil, anvil.url(), impatient(), |parts| parts.leadership = leadership);

    assert_eq!(first.send(1).await.0, 0);
    anvil.mine(1).await.unwrap();
    first.included().await;
    assert_eq!(first.send(1).await.0, 1);
    let id = second.manager.submit(transfer(10)).await.unwrap();
    match second.event().await {
        TxEvent::Returned { id: returned, .. } => assert_eq!(returned, id),
        other => panic!("{other:?}"),
    }

    // From here on the first begins nothing, and repairs nothing.
    task.release().await;
    first.status(|status| !status.leading).await;
    let id = first.manager.submit(transfer(100)).await.unwrap();
    loop {
        match first.event().await {
            TxEvent::Returned { id: returned, .. } => break assert_eq!(returned, id),
            TxEvent::Sent { nonce: 1, .. } => {}
            other => panic!("{other:?}"),
        }
    }
    second.status(|status| status.leading).await;
    let sends = proxy.calls("eth_sendRawTransaction");
    empty_pool(&anvil).await;
    assert_eq!(second.send(10).await.0, 1);
    anvil.mine(1).await.unwrap();
    second.included().await;
    anvil.mine(1).await.unwrap();
    first.account_nonce(2).await;
    anvil.mine(1).await.unwrap();
    assert!(matches!(first.outcome().await, TxEvent::Superseded { nonce: 1, .. }));
    assert_eq!(proxy.calls("eth_sendRawTransaction"), sends);
    assert_eq!(received(&anvil).await, U256::from(11));
}
