//! What a transaction costs beside gas.

use alloy::{eips::BlockNumberOrTag, network::ReceiptResponse, providers::Provider};
use alloy_primitives::{Bytes, U256};
use set_chain::DataFees;
use set_testkit::op_stack::{Receipt, signed};

use crate::rig::{STACK, attributes, block, block_of, carrying, ether, noise, raw};

/// Transactions of every kind that the fees tell apart.
fn loads() -> [Bytes; 6] {
    [
        Bytes::new(),
        noise(100),
        noise(5_000),
        vec![7; 20_000].into(),
        [noise(2_000).to_vec(), vec![0; 2_000]].concat().into(),
        noise(60_000),
    ]
}

fn l1_fee(receipt: &Receipt) -> U256 {
    U256::from(receipt.l1_block_info.l1_fee.unwrap())
}

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn raw_bytes_and_the_blocks_attributes_come_to_what_was_paid() {
    let chain = STACK.shared().await;
    let key = chain.account(ether(1)).await.unwrap();
    let provider = chain.provider();
    let mut sent = Vec::new();
    for (nonce, data) in (0..).zip(loads()) {
        let mut tx = carrying(data);
        tx.nonce = nonce;
        let raw = signed(tx, &key);
        sent.push((chain.send(&raw).await.unwrap(), raw));
    }
    let mut spent = U256::ZERO;
    let mut last = 0;
    for (hash, bytes) in sent {
        let receipt = chain.receipt(hash).await.unwrap();
        assert_eq!(raw(provider, hash).await, bytes);
        let block = block_of(provider, &receipt).await;
        let l1 = attributes(&block);
        assert_eq!(l1_fee(&receipt), l1.l1_fee(&bytes), "{} bytes", bytes.len());
        let size = set_chain::estimated_size(&bytes);
        assert_eq!(l1.footprint(&bytes), size * l1.da_footprint_gas_scalar);

        let gas = U256::from(receipt.gas_used()) * U256::from(receipt.effective_gas_price());
        spent += gas + l1.l1_fee(&bytes) + l1.operator_fee(receipt.gas_used());
        last = receipt.block_number().unwrap();
    }
    let left = provider.get_balance(key.address()).number(last).await.unwrap();
    assert_eq!(ether(1) - left, spent);
}

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_quote_is_above_what_is_paid_by_the_margin_that_it_states() {
    let chain = STACK.shared().await;
    let key = chain.account(ether(1)).await.unwrap();
    for (nonce, data) in (0..).zip(loads()) {
        let incompressible = data == noise(data.len());
        let mut tx = carrying(data);
        tx.nonce = nonce;
        let gas_limit = tx.gas_limit;
        let raw = signed(tx, &key);
        let now = attributes(&block(chain.provider(), BlockNumberOrTag::Latest).await);
        let quote = DataFees::upper_bound(chain.provider(), raw.len() as u64, gas_limit);
        let quote = quote.await.unwrap();
        let hash = chain.send(&raw).await.unwrap();
        let receipt = chain.receipt(hash).await.unwrap();
        let l1 = attributes(&block_of(chain.provider(), &receipt).await);
        assert_eq!(quote.operator_fee, l1.operator_fee(gas_limit));
        // L1 is empty here, so its fees fall: what was quoted is at least the margin above what is paid.
        let paid = l1_fee(&receipt);
        let margin = U256::from(DataFees::MARGIN);
        assert!(quote.l1_fee >= paid * margin, "{} of {paid}", quote.l1_fee);
        // Noise is the worst that bytes can be, so that for it there is little beside the margin.
        if incompressible && raw.len() > 1_000 {
            let asked = now.l1_fee(&raw);
            let most = asked * margin * U256::from(21) / U256::from(20);
            assert!(quote.l1_fee <= most, "{} of {asked}", quote.l1_fee);
        }
    }
}
