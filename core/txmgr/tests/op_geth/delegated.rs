//! An account that delegates to code (EIP-7702), of which the pool takes one transaction at a time.

use alloy::{
    consensus::{SignableTransaction, TxEip7702, TxEnvelope},
    eips::{eip2718::Encodable2718, eip7702::Authorization},
    network::{ReceiptResponse, TxSignerSync},
    providers::Provider,
    signers::SignerSync,
};
use alloy_primitives::{Address, U256};
use set_testkit::{anvil::DEVNET_CHAIN_ID, op_stack::transaction};
use set_txmgr::{AlarmKind, TxEvent};

use crate::{
    fixture::{patient, transfer},
    rig::{STACK, ether, manager_of},
};

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_delegated_account_sends_one_by_one() {
    let chain = STACK.shared().await;
    let key = chain.account(ether(1)).await.unwrap();
    let authorization = Authorization {
        chain_id: U256::from(DEVNET_CHAIN_ID),
        address: Address::repeat_byte(0x42),
        nonce: 1,
    };
    let signature = key.sign_hash_sync(&authorization.signature_hash()).unwrap();
    let price = transaction();
    let mut tx = TxEip7702 {
        chain_id: DEVNET_CHAIN_ID,
        gas_limit: 100_000,
        max_fee_per_gas: price.max_fee_per_gas,
        max_priority_fee_per_gas: price.max_priority_fee_per_gas,
        to: key.address(),
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    };
    let signature = key.sign_transaction_sync(&mut tx).unwrap();
    let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
    let hash = chain.send(&raw.into()).await.unwrap();
    assert!(chain.receipt(hash).await.unwrap().status());
    let code = chain.provider().get_code_at(key.address()).await.unwrap();
    assert!(code.starts_with(&[0xef, 0x01, 0x00]), "{code}");

    let mut account = manager_of(key, chain.rpc_url(), patient());
    account.alarm(AlarmKind::HasCode, true).await;
    for _ in 0..3 {
        account.manager.submit(transfer(1)).await.unwrap();
    }
    // The delegation itself used nonces 0 and 1.
    for nonce in 2..5 {
        assert!(matches!(account.event().await, TxEvent::Sent { nonce: sent, .. } if sent == nonce));
        assert!(account.manager.status().in_flight.len() <= 1);
        assert_eq!(account.included().await.0, nonce);
    }
}
