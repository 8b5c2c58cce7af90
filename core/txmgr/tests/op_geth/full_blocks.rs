//! Blocks that others fill.

use alloy::{consensus::TxEip1559, network::ReceiptResponse, providers::Provider};
use alloy_primitives::{TxKind, bytes};
use set_testkit::op_stack::{Turn, signed, transaction};
use set_txmgr::{BlockShare, Call, TxConfig, TxEvent};

use crate::{
    fixture::{patient, transfer},
    rig::{Heads, STACK, account, ether, noise},
};

/// Above what the manager offers by itself.
const TIP: u128 = 2_000_000_000;

/// More blocks than it takes until a transaction that blocks with room for it leave out is replaced.
const BLOCKS: u64 = 8;

/// Sends `call` while a crowd that pays more fills blocks with `each`, `per_block` to a block. The call must wait until
/// there is room, with nobody concluding anything from its waiting. The chain goes on meanwhile: one that makes up for a
/// halt makes blocks in such a hurry that they have room and leave out what waits.
async fn crowded_out(chain: &Turn<'_>, each: TxEip1559, per_block: u64, call: Call) {
    let crowd = chain.account(ether(20)).await.unwrap();
    let mut account = account(chain, patient()).await;
    account.status(|status| status.account_nonce == Some(0)).await;
    let mut filling = Vec::new();
    for nonce in 0..per_block * BLOCKS {
        let tx = TxEip1559 {
            nonce,
            max_priority_fee_per_gas: TIP,
            ..each.clone()
        };
        filling.push(chain.send(&signed(tx, &crowd)).await.unwrap());
    }
    let id = account.manager.submit(call).await.unwrap();
    let first = match account.event().await {
        TxEvent::Sent { id: sent, hash, .. } if sent == id => hash,
        other => panic!("{other:?}"),
    };
    let (_, hash, block) = account.included().await;
    assert_eq!(hash, first);
    let mut full = Vec::new();
    for hash in filling {
        full.push(chain.receipt(hash).await.unwrap().block_number().unwrap());
    }
    full.dedup();
    assert!(full.len() as u64 >= BLOCKS, "{full:?}");
    assert!(
        full[..full.len() - 1].iter().all(|full| *full < block),
        "{full:?} {block}"
    );
    assert_eq!(account.manager.status().size_limit, None);
}

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_call_waits_while_others_use_the_blocks_gas() {
    let chain = STACK.alone().await;
    let endless = TxEip1559 {
        to: TxKind::Create,
        // JUMPDEST PUSH1 0 JUMP: the contract's creation uses all of its gas.
        input: bytes!("5b600056"),
        gas_limit: 8_000_000,
        ..transaction()
    };
    let call = Call {
        gas_limit: 7_000_000,
        ..transfer(1)
    };
    crowded_out(&chain, endless, 3, call).await;
}

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn a_call_waits_while_others_use_the_blocks_room_for_data() {
    const BYTES: usize = 18_000;
    let chain = STACK.alone().await;
    let gas_limit = 21_000 + 40 * BYTES as u64;
    let large = TxEip1559 {
        input: noise(0, BYTES),
        gas_limit,
        ..transaction()
    };
    let call = Call {
        data: noise(0, BYTES),
        gas_limit,
        ..transfer(0)
    };
    crowded_out(&chain, large, 4, call).await;
}

/// A transaction that no block could hold by its data is never planned.
#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn no_limit_is_above_what_a_block_holds() {
    let chain = STACK.shared().await;
    let config = TxConfig {
        max_estimated_bytes: 131_072,
        max_bytes: 131_072,
        max_block_share: BlockShare::Off,
        ..patient()
    };
    let account = account(&chain, config).await;
    let mut heads = Heads::follow(&chain);
    let view = heads.next().await;
    let limits = account.manager.call_limits(&view);
    let (scalar, footprint) = limits.da_footprint_scalar.zip(limits.da_footprint).unwrap();
    let gas_limit = view.latest.unwrap().gas_limit;
    assert!(limits.estimated_bytes * scalar > gas_limit);
    assert!(footprint < gas_limit);

    // Larger than that, a transaction is taken by the pool and by no block.
    let key = chain.account(ether(1)).await.unwrap();
    let bytes = 110_000;
    let too_large = TxEip1559 {
        input: noise(0, bytes),
        gas_limit: 21_000 + 40 * bytes as u64,
        ..transaction()
    };
    let raw = signed(too_large, &key);
    assert!(set_chain::estimated_size(&raw) * scalar > gas_limit);
    let hash = chain.send(&raw).await.unwrap();
    for _ in 0..3 {
        heads.next().await;
    }
    let pooled = chain.provider().get_transaction_by_hash(hash).await.unwrap().unwrap();
    assert_eq!(pooled.block_number, None);
}
