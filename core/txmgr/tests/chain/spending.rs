//! The cap on what an account spends in a day.

use std::{fs, path::Path, time::Duration};

use alloy::providers::Provider;
use alloy_primitives::{Address, U256};
use set_testkit::Anvil;
use set_txmgr::{AlarmKind, Journal, Spending, TxEvent, Wei};
use tokio::time::timeout;

use crate::{
    fixture::{Account, PATIENCE, patient, received, transfer},
    restarts,
};

const ETHER: u64 = 1_000_000_000_000_000_000;

fn sender() -> Address {
    Anvil::account(1).address()
}

async fn balance(anvil: &Anvil) -> U256 {
    anvil.provider().get_balance(sender()).await.unwrap()
}

fn cap(ether: u128) -> Option<Wei> {
    Some(Wei(ether * u128::from(ETHER)))
}

fn capped(anvil: &Anvil, journal: Journal, spending: Spending) -> Account {
    Account::with(anvil, anvil.url(), patient(), |parts| {
        parts.journal = journal;
        parts.spending = spending;
    })
}

fn open(dir: &Path, anvil: &Anvil) -> Spending {
    Spending::open(dir, anvil.chain_id(), sender())
        .unwrap()
        .with_cap(cap(1))
}

#[tokio::test]
async fn over_the_cap_nothing_is_signed_until_it_is_raised() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let before = balance(&anvil).await;
    let spending = Spending::in_memory().with_cap(cap(1));
    let mut account = capped(&anvil, Journal::in_memory(), spending);
    account.send(ETHER / 10 * 6).await;
    account.manager.submit(transfer(ETHER / 10 * 6)).await.unwrap();
    account.alarm(AlarmKind::SpendingCap, true).await;
    anvil.mine(1).await.unwrap();
    account.included().await;
    // What was reserved is corrected to what was paid, which is what left the account.
    let paid = before - balance(&anvil).await;
    account.status(|status| status.spent_today == paid).await;
    assert!(account.is_silent());
    account.manager.set_daily_spending_cap(cap(2));
    assert!(matches!(account.event().await, TxEvent::Sent { nonce: 1, .. }));
    account.alarm(AlarmKind::SpendingCap, false).await;
    anvil.mine(1).await.unwrap();
    account.included().await;
    assert_eq!(received(&anvil).await, U256::from(ETHER / 10 * 12));
    let paid = before - balance(&anvil).await;
    let status = account.status(|status| status.spent_today == paid).await;
    assert_eq!(status.daily_cap, Some(U256::from(2) * U256::from(ETHER)));
}

#[tokio::test]
async fn a_restart_does_not_forget_what_was_spent() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let before = balance(&anvil).await;
    let mut account = capped(&anvil, Journal::in_memory(), open(dir.path(), &anvil));
    account.send(ETHER / 10 * 6).await;
    anvil.mine(1).await.unwrap();
    account.included().await;
    let paid = before - balance(&anvil).await;
    account.status(|status| status.spent_today == paid).await;
    let file = dir
        .path()
        .join(format!("spending-{}-{:#x}.json", anvil.chain_id(), sender()));
    // A file says nothing when it is written.
    let written = async {
        while !fs::read_to_string(&file).is_ok_and(|text| text.contains(&format!("{paid:#x}"))) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(PATIENCE, written).await.is_err() {
        panic!("no {paid:#x} in {:?}", fs::read_to_string(&file));
    }
    drop(account);

    let account = capped(&anvil, Journal::in_memory(), open(dir.path(), &anvil));
    account.status(|status| status.spent_today == paid).await;
    account.manager.submit(transfer(ETHER / 10 * 6)).await.unwrap();
    account.alarm(AlarmKind::SpendingCap, true).await;
    assert!(account.is_silent());
}

#[tokio::test]
async fn a_lost_file_is_made_up_for_by_the_journal() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let journal = restarts::open(dir.path(), &anvil).await;
    let mut account = capped(&anvil, journal, Spending::in_memory().with_cap(cap(1)));
    account.send(ETHER / 10 * 6).await;
    drop(account);

    let journal = restarts::open(dir.path(), &anvil).await;
    let account = capped(&anvil, journal, open(dir.path(), &anvil));
    account
        .status(|status| status.spent_today > U256::from(ETHER / 10 * 6))
        .await;
    account.manager.submit(transfer(ETHER / 10 * 6)).await.unwrap();
    account.alarm(AlarmKind::SpendingCap, true).await;
}
