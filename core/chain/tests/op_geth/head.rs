//! The tracker's head beside what the blocks say.

use alloy::{network::TransactionResponse, providers::Provider};
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
    // More data than the target of several blocks, and little gas.
    for nonce in 0..6 {
        let mut tx = carrying(noise(30_000));
        tx.nonce = nonce;
        chain.send(&signed(tx, &key)).await.unwrap();
    }
    let mut previous = None;
    let (mut rose, mut later) = (false, 0);
    // The block that holds the last of them moves the base fee of the one after it.
    while later < 2 {
        let last = previous.map_or(0, |head: set_chain::Head| head.block.number);
        let newer = |view: &set_chain::ChainView| view.latest.is_some_and(|head| head.block.number > last);
        let head = heads.wait_for(newer).await.latest.unwrap();
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
        if let Some(before) = previous.filter(|before| before.block.hash == head.parent_hash) {
            assert_eq!(before.next_base_fee, head.base_fee, "block {}", head.block.number);
            rose |= head.base_fee > before.base_fee && before.gas_used < before.gas_target;
        }
        previous = Some(head);
        let count = provider.get_transaction_count(key.address()).await.unwrap();
        later += u32::from(count == 6);
    }
    assert!(rose, "the data moved no base fee");
}
