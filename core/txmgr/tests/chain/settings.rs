//! Settings that change while calls are on their way.

use set_testkit::Anvil;
use set_txmgr::{Journal, TxConfig, TxEvent};

use crate::fixture::{Account, patient, transfer};

#[tokio::test]
async fn more_room_is_used_at_once_and_what_cannot_work_is_refused() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let with_room = |max_in_flight| TxConfig {
        max_in_flight,
        ..patient()
    };
    let mut account = Account::start(&anvil, anvil.url(), with_room(1), Journal::in_memory());
    account.send(1).await;
    let manager = account.manager.clone();
    let waiting = tokio::spawn(async move { manager.submit(transfer(1)).await });
    let error = account.manager.reconfigure(with_room(0)).unwrap_err();
    assert!(error.to_string().contains("max_in_flight"), "{error}");
    assert_eq!((account.manager.room(), account.manager.config().max_in_flight), (0, 1));

    account.manager.reconfigure(with_room(3)).unwrap();
    waiting.await.unwrap().unwrap();
    account
        .status(|status| status.in_force.max_in_flight == 3 && status.in_flight.len() == 2)
        .await;
    assert_eq!(account.manager.room(), 1);
    assert_eq!(account.manager.call_limits(&set_chain::ChainView::unknown()).calls, 3);

    account.manager.reconfigure(with_room(1)).unwrap();
    assert_eq!(account.manager.room(), 0);
    // The pool has it: the block takes both.
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 1, .. }));
    anvil.mine(1).await.unwrap();
    account.status(|status| status.is_idle()).await;
    assert_eq!(account.manager.room(), 1);
}
