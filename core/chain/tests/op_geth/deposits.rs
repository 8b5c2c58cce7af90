//! Deposits: what every block starts with, and what users send from L1.

use std::time::Duration;

use alloy::{network::ReceiptResponse, providers::Provider, signers::local::PrivateKeySigner};
use alloy_primitives::{Address, B256, U256, address};
use alloy_sol_types::{SolCall, sol};
use op_alloy::consensus::OpReceipt;
use serde_json::{Value, json};
use set_testkit::{Anvil, op_stack::Receipt};
use tokio::time::timeout;

use crate::rig::{Heads, PATIENCE, STACK, attributes, block};

/// Who signs for L1's attributes (specification, "Deposits").
const DEPOSITOR: Address = address!("deaddeaddeaddeaddeaddeaddeaddeaddead0001");
const DEPOSIT: u8 = 0x7e;

sol! {
    function depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes data) external payable;
}

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn blocks_and_receipts_with_deposits_are_read() {
    let chain = STACK.shared().await;
    let provider = chain.provider();
    let mut heads = Heads::follow(provider);
    let start = heads.wait_for(|view| view.latest.is_some()).await.latest.unwrap();
    let payee = PrivateKeySigner::random().address();
    let wei = U256::from(123_456_789);
    let call = depositTransactionCall {
        to: payee,
        value: wei,
        gasLimit: 100_000,
        isCreation: false,
        data: Default::default(),
    };
    let request = json!({
        "from": Anvil::account(1).address(), "to": chain.contracts.portal, "value": wei, "gas": "0x100000",
        "input": alloy_primitives::Bytes::from(call.abi_encode()),
    });
    let hash: B256 = chain.l1.call("eth_sendTransaction", (request,)).await.unwrap();
    let on_l1 = async {
        loop {
            let receipt: Value = chain.l1.call("eth_getTransactionReceipt", (hash,)).await.unwrap();
            if !receipt.is_null() {
                return receipt;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let on_l1 = timeout(PATIENCE, on_l1).await.expect("L1 takes no deposit");
    assert_eq!(on_l1["status"], "0x1", "{on_l1}");
    let origin: U256 = on_l1["blockNumber"].as_str().unwrap().parse().unwrap();

    let mut number = start.block.number;
    let deposited = loop {
        number += 1;
        heads
            .wait_for(|view| view.latest.is_some_and(|head| head.block.number >= number))
            .await;
        let block = block(provider, number).await;
        let transactions = block.transactions.as_transactions().unwrap();
        let receipts: Vec<Receipt> = provider.get_block_receipts(number.into()).await.unwrap().unwrap();
        assert_eq!(transactions.len(), receipts.len());
        let first = &transactions[0];
        assert_eq!((ty(first), from(first)), (DEPOSIT, DEPOSITOR));
        assert!(receipts[0].status());
        let deposits = transactions.iter().filter(|tx| ty(tx) == DEPOSIT).count();
        for receipt in &receipts[..deposits] {
            let OpReceipt::Deposit(deposit) = &receipt.inner.inner.receipt else {
                panic!("{receipt:?}");
            };
            assert!(deposit.deposit_nonce.is_some());
            assert_eq!(deposit.deposit_receipt_version, Some(1));
            assert_eq!(receipt.effective_gas_price(), 0);
        }
        if let Some(position) = transactions[..deposits].iter().position(|tx| to(tx) == Some(payee)) {
            break receipts[position].clone();
        }
        let behind = attributes(&block).l1_block < origin.to();
        assert!(
            behind,
            "block {number} is past L1 block {origin} and has no deposit of it"
        );
    };
    assert!(deposited.status());
    assert_eq!(provider.get_balance(payee).await.unwrap(), wei);
}

type Transaction = <op_alloy::network::Optimism as alloy::network::Network>::TransactionResponse;

fn ty(transaction: &Transaction) -> u8 {
    use alloy::eips::Typed2718;
    transaction.ty()
}

fn from(transaction: &Transaction) -> Address {
    use alloy::network::TransactionResponse;
    TransactionResponse::from(transaction)
}

fn to(transaction: &Transaction) -> Option<Address> {
    use alloy::consensus::Transaction;
    transaction.to()
}
