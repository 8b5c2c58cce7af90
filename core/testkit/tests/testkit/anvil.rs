//! The chain, and the contracts on it.

use std::path::Path;

use alloy::{network::TransactionBuilder, providers::Provider, rpc::types::TransactionRequest};
use alloy_primitives::U256;
use alloy_sol_types::SolCall;
use set_chain::bindings::SetRegistry;
use set_testkit::{Anvil, deploy};
use set_types::StreamId;

#[tokio::test]
async fn the_contracts_take_a_commitment_of_the_sequencer() {
    let chain = Anvil::builder().no_mining().spawn().await.unwrap();
    assert_eq!(chain.provider().get_chain_id().await.unwrap(), 84_532_001);
    let sender = Anvil::account(1).address();
    let contracts = deploy(&chain, sender).await.unwrap();
    assert_eq!(chain.block_number().await.unwrap(), contracts.block);

    let sequencer = set_testkit::Sequencer::builder().start().await.unwrap();
    let commitment = sequencer.commit(sequencer.streams()[0], 3);
    let call = SetRegistry::commitBatchCall::from(&commitment);
    let request = TransactionRequest::default()
        .with_from(sender)
        .with_to(contracts.registry)
        .with_gas_limit(400_000)
        .with_input(call.abi_encode());
    let hash = *chain
        .provider()
        .send_transaction(request.into())
        .await
        .unwrap()
        .tx_hash();
    assert!(
        chain.provider().get_transaction_receipt(hash).await.unwrap().is_none(),
        "mined without being asked to"
    );

    let before = chain.snapshot().await.unwrap();
    chain.mine(1).await.unwrap();
    assert_eq!(head(&chain, contracts.registry, commitment.stream()).await, 3);

    chain.reorg(1).await.unwrap();
    assert_eq!(head(&chain, contracts.registry, commitment.stream()).await, 0);
    assert!(chain.revert(before).await.unwrap());
    assert!(!chain.revert(U256::from(999)).await.unwrap());
}

async fn head(chain: &Anvil, registry: alloy_primitives::Address, stream: StreamId) -> u64 {
    let call = SetRegistry::getHeadSequenceCall {
        tenantId: stream.tenant_id.to_b256(),
        storeId: stream.store_id.to_b256(),
    };
    let request = TransactionRequest::default()
        .with_to(registry)
        .with_input(call.abi_encode());
    let answer = chain.provider().call(request.into()).await.unwrap();
    SetRegistry::getHeadSequenceCall::abi_decode_returns(&answer).unwrap()
}

#[tokio::test]
async fn a_chain_ends_with_its_handle() {
    let chain = Anvil::builder().automine().spawn().await.unwrap();
    let process = chain.process().id();
    chain
        .set_balance(Anvil::account(2).address(), U256::from(5))
        .await
        .unwrap();
    let balance = chain.provider().get_balance(Anvil::account(2).address()).await.unwrap();
    assert_eq!(balance, U256::from(5));
    drop(chain);
    assert!(!Path::new(&format!("/proc/{process}")).exists());
}
