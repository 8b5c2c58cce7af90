//! The JSON of the signer convention.

use alloy::{consensus::TxEip1559, eips::eip2930::AccessList};
use alloy_primitives::{Address, Bytes, TxKind, U64, U256};
use serde::{Deserialize, Serialize};

/// A JSON-RPC request.
#[derive(Serialize)]
pub(super) struct Request<P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'static str,
    params: P,
}

impl<P> Request<P> {
    /// One at a time on a connection, so every one can have the same id.
    pub(super) const fn new(method: &'static str, params: P) -> Self {
        Self {
            jsonrpc: "2.0",
            id: 1,
            method,
            params,
        }
    }
}

/// A JSON-RPC answer.
#[derive(Deserialize)]
pub(super) struct Answer<T> {
    pub(super) result: Option<T>,
    pub(super) error: Option<AnswerError>,
}

/// Why the service does not do what it was asked.
#[derive(Deserialize)]
pub(super) struct AnswerError {
    pub(super) code: i64,
    pub(super) message: String,
}

/// A transaction as `op-service/signer` writes it (`TransactionArgs`): quantities in hex without leading
/// zeros, calldata as `input`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransactionArgs<'a> {
    from: Address,
    to: Option<Address>,
    gas: U64,
    max_fee_per_gas: U256,
    max_priority_fee_per_gas: U256,
    value: U256,
    nonce: U64,
    input: &'a Bytes,
    access_list: &'a AccessList,
    chain_id: U64,
}

impl<'a> TransactionArgs<'a> {
    /// A transaction that `from` is to sign.
    pub(super) fn of(tx: &'a TxEip1559, from: Address) -> Self {
        Self {
            from,
            to: match tx.to {
                TxKind::Call(to) => Some(to),
                TxKind::Create => None,
            },
            gas: U64::from(tx.gas_limit),
            max_fee_per_gas: U256::from(tx.max_fee_per_gas),
            max_priority_fee_per_gas: U256::from(tx.max_priority_fee_per_gas),
            value: tx.value,
            nonce: U64::from(tx.nonce),
            input: &tx.input,
            access_list: &tx.access_list,
            chain_id: U64::from(tx.chain_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_those_of_the_convention() {
        let tx = TxEip1559 {
            chain_id: 84_532_001,
            nonce: 0,
            gas_limit: 21_000,
            max_fee_per_gas: 1_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(Address::repeat_byte(0x11)),
            value: U256::ZERO,
            access_list: AccessList::default(),
            input: Bytes::from_static(&[0xab, 0xcd]),
        };
        let args = TransactionArgs::of(&tx, Address::repeat_byte(0x22));
        assert_eq!(
            serde_json::to_value(args).unwrap(),
            json!({
                "from": "0x2222222222222222222222222222222222222222",
                "to": "0x1111111111111111111111111111111111111111",
                "gas": "0x5208",
                "maxFeePerGas": "0x3b9aca00",
                "maxPriorityFeePerGas": "0x1",
                "value": "0x0",
                "nonce": "0x0",
                "input": "0xabcd",
                "accessList": [],
                "chainId": "0x509db21",
            })
        );
    }
}
