//! What anybody would write first: send one commitment, wait for its receipt, send the next.

use std::time::{Duration, Instant};

use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    eips::eip2718::Encodable2718,
    network::TxSignerSync,
};
use alloy_primitives::{Bytes, TxKind, U256};
use alloy_sol_types::SolCall;
use eyre::{Result, ensure};
use serde_json::json;
use set_chain::bindings::SetRegistry::commitBatchCall;
use set_testkit::{Anvil, Rpc, Stack};

use crate::blocks::quantity;

/// Gas of a `commitBatch`, and room to spare.
const GAS: u64 = 200_000;

/// Commits everything that the sequencer lists; gives commitments a second.
pub(crate) async fn measure<C>(stack: &Stack<C>, node: &Rpc) -> Result<f64> {
    let signer = Anvil::account(1);
    let chain_id = quantity(&node.call("eth_chainId", json!([])).await?)?;
    let count = json!([signer.address(), "latest"]);
    let first = quantity(&node.call("eth_getTransactionCount", count).await?)?;
    let commitments = stack.sequencer.unreported();
    let begun = Instant::now();
    for (nonce, commitment) in (first..).zip(&commitments) {
        let mut transaction = TxEip1559 {
            chain_id,
            nonce,
            gas_limit: GAS,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(stack.contracts.registry),
            value: U256::ZERO,
            access_list: Default::default(),
            input: commitBatchCall::from(commitment).abi_encode().into(),
        };
        let signature = signer.sign_transaction_sync(&mut transaction)?;
        let raw = Bytes::from(transaction.into_signed(signature).encoded_2718());
        let hash = node.call("eth_sendRawTransaction", json!([raw])).await?;
        let receipt = loop {
            let receipt = node.call("eth_getTransactionReceipt", json!([hash])).await?;
            if !receipt.is_null() {
                break receipt;
            }
            // As often as a patient client asks.
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        ensure!(receipt["status"] == "0x1", "commitBatch failed: {receipt}");
    }
    Ok(commitments.len() as f64 / begun.elapsed().as_secs_f64())
}
