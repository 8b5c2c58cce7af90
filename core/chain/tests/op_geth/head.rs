//! The tracker's head beside what the blocks say.

use alloy::network::TransactionResponse;
use set_testkit::op_stack::signed;

use crate::rig::{Heads, STACK, attributes, block, carrying, ether, noise, raw};

/// A block's data counts for the base fee as its gas does, so that large transactions move it.
#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn the_head_says_what_the_next_block_asks_and_what_this_one_holds() {
    let chain = STACK.alone().await;
    let provider = chain.provider();
    let key = chain.account(ether(1)).await.unwrap();
    let mut heads = Heads::follow(provider);
    let (mut nonce, mut last, mut rose) = (0, 0, false);
    // Where this one is slow it does not see every head: so it sends until it has seen one that holds data.
    while !rose {
        // More data than the target of a block, and little gas.
        let mut tx = carrying(noise(30_000));
        tx.nonce = nonce;
        nonce += 1;
        assert!(nonce < 100, "the data moves no base fee");
        chain.send(&signed(tx, &key)).await.unwrap();
        let newer = |view: &set_chain::ChainView| view.latest.is_some_and(|head| head.block.number > last);
        let head = heads.wait_for(newer).await.latest.unwrap();
        last = head.block.number;
        let block = block(provider, head.block.hash).await;
        let l1 = attributes(&block);
        assert_eq!(head.da_footprint_scalar, Some(l1.da_footprint_gas_scalar));
        let transactions = block.transactions.as_transactions().unwrap();
        let mut footprint = 0;
        for transaction in &transactions[1..] {
            footprint += l1.footprint(&raw(provider, transaction.tx_hash()).await);
        }
        assert_eq!(block.header.blob_gas_used, Some(footprint));
        assert_eq!(head.da_footprint, Some(footprint));
        assert!(footprint <= head.gas_limit);
        // Denominator 250 and elasticity 6, as the configuration says.
        assert_eq!(head.gas_target, head.gas_limit / 6);
        heads
            .wait_for(|view| view.latest.is_some_and(|newer| newer.block.number > last))
            .await;
        let next = self::block(provider, last + 1).await.header;
        assert_eq!(next.parent_hash, head.block.hash);
        assert_eq!(next.base_fee_per_gas, Some(u64::try_from(head.next_base_fee).unwrap()));
        rose = head.next_base_fee > head.base_fee && head.gas_used < head.gas_target;
    }
}
