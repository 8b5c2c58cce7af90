//! What the manager says that its account spent, and what the account lost.

use alloy::providers::Provider;
use alloy_primitives::U256;
use set_txmgr::Call;

use crate::{
    fixture::{patient, transfer},
    rig::{STACK, account, ether, noise},
};

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn spending_is_counted_to_the_wei() {
    let chain = STACK.shared().await;
    let mut account = account(&chain, patient()).await;
    let calls = [
        transfer(1_000),
        Call {
            data: noise(0, 5_000),
            gas_limit: 300_000,
            ..transfer(0)
        },
        // Runs out of gas: what it was to send along stays.
        Call {
            to: alloy_primitives::address!("4200000000000000000000000000000000000015"),
            data: noise(0, 100),
            value: U256::from(5),
            gas_limit: 30_000,
        },
    ];
    let count = calls.len();
    for call in calls {
        account.manager.submit(call).await.unwrap();
    }
    let mut last = 0;
    let mut included = 0;
    while included < count {
        if let set_txmgr::TxEvent::Included { block, .. } = account.event().await {
            last = block.number;
            included += 1;
        }
    }
    let left = chain.provider().get_balance(account.manager.address()).number(last);
    let lost = ether(1) - left.await.unwrap();
    account.status(|status| status.spent_today == lost).await;
}
