//! Changes of what the chain charges, which L1's SystemConfig announces while everything runs.

use alloy_primitives::U256;
use set_chain::DataFees;
use set_testkit::op_stack::{SystemConfigChange, signed};

use tokio::time::timeout;

use crate::rig::{Heads, PATIENCE, STACK, attributes, block_of, carrying, ether, noise};

#[tokio::test]
#[ignore = "needs op-stack/build; scripts/test op-stack runs it"]
async fn fees_and_limits_follow_l1_while_everything_runs() {
    let chain = STACK.alone().await;
    let provider = chain.provider();
    let key = chain.account(ether(1)).await.unwrap();
    let mut heads = Heads::follow(provider);
    let before = heads.wait_for(|view| view.latest.is_some()).await.latest.unwrap();

    let scalar = u16::try_from(before.da_footprint_scalar.unwrap()).unwrap() + 11;
    let change = SystemConfigChange::DaFootprintGasScalar(scalar);
    chain.change_system_config(change).await.unwrap();
    heads
        .wait_for(|view| {
            view.latest
                .is_some_and(|head| head.da_footprint_scalar == Some(scalar.into()))
        })
        .await;

    let least = u64::try_from(before.next_base_fee).unwrap() * 3;
    chain
        .change_system_config(SystemConfigChange::MinBaseFee(least))
        .await
        .unwrap();
    // Said of the next block first, then true of a block.
    heads
        .wait_for(|view| view.latest.is_some_and(|head| head.next_base_fee == least.into()))
        .await;
    heads
        .wait_for(|view| view.latest.is_some_and(|head| head.base_fee == least.into()))
        .await;

    let change = SystemConfigChange::OperatorFee {
        scalar: 4_321,
        constant: 987_654,
    };
    chain.change_system_config(change).await.unwrap();
    let gas = 60_000;
    let expected = U256::from(gas * 4_321 * 100 + 987_654);
    let quoted = async {
        loop {
            let quote = DataFees::upper_bound(provider, 1_000, gas).await.unwrap();
            if quote.operator_fee == expected {
                break;
            }
            let number = heads.views.borrow().latest.unwrap().block.number;
            heads
                .wait_for(|view| view.latest.is_some_and(|head| head.block.number > number))
                .await;
        }
    };
    timeout(PATIENCE, quoted)
        .await
        .expect("no quote has the new operator fee");

    // And it is what is paid.
    let raw = signed(carrying(noise(500)), &key);
    let hash = chain.send(&raw).await.unwrap();
    let receipt = chain.receipt(hash).await.unwrap();
    let l1 = attributes(&block_of(provider, &receipt).await);
    assert_eq!(
        (
            l1.operator_fee_scalar,
            l1.operator_fee_constant,
            l1.da_footprint_gas_scalar
        ),
        (U256::from(4_321), U256::from(987_654), u64::from(scalar))
    );
    let charged = &receipt.l1_block_info;
    assert_eq!(
        (
            charged.operator_fee_scalar,
            charged.operator_fee_constant,
            charged.l1_fee
        ),
        (Some(4_321), Some(987_654), Some(l1.l1_fee(&raw).to()))
    );
    assert_eq!(receipt.inner.blob_gas_used, Some(l1.footprint(&raw)));
}
