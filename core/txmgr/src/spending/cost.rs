//! What a transaction may cost, and what it did.

use alloy::{
    consensus::TxEip1559,
    network::{Network, ReceiptResponse},
};
use alloy_primitives::U256;
use op_alloy::network::Optimism;

type Receipt = <Optimism as Network>::ReceiptResponse;

/// What a transaction may cost at most, beside the L1 data fee and the operator fee: neither has a cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Gas limit × fee cap, in wei.
    pub(crate) fees: U256,
    /// Wei that it sends along.
    pub(crate) value: U256,
}

impl Cost {
    pub(crate) fn of(tx: &TxEip1559) -> Self {
        Self {
            fees: U256::from(tx.gas_limit).saturating_mul(U256::from(tx.max_fee_per_gas)),
            value: tx.value,
        }
    }

    /// What covers both.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            fees: self.fees.max(other.fees),
            value: self.value.max(other.value),
        }
    }

    pub(crate) const fn most(self) -> U256 {
        self.fees.saturating_add(self.value)
    }
}

/// The fees that a receipt says were paid, in wei: gas, L1 data fee and operator fee (Isthmus: gas ×
/// scalar / 10⁶ + constant; Jovian: gas × scalar × 100 + constant). Without what was sent along.
pub(crate) fn fees_paid(receipt: &Receipt) -> U256 {
    let gas = U256::from(receipt.gas_used());
    let l1 = &receipt.l1_block_info;
    let amount = |amount: Option<u128>| U256::from(amount.unwrap_or_default());
    let scaled = gas.saturating_mul(amount(l1.operator_fee_scalar));
    // Receipts hold the footprint's scalar from Jovian on.
    let scaled = match l1.da_footprint_gas_scalar {
        Some(_) => scaled.saturating_mul(U256::from(100)),
        None => scaled / U256::from(1_000_000),
    };
    gas.saturating_mul(U256::from(receipt.effective_gas_price()))
        .saturating_add(amount(l1.l1_fee))
        .saturating_add(scaled)
        .saturating_add(amount(l1.operator_fee_constant))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn receipt(l1: serde_json::Value) -> Receipt {
        let zero = format!("0x{}", "0".repeat(64));
        let mut receipt = json!({
            "type": "0x2", "status": "0x1", "cumulativeGasUsed": "0x186a0", "logs": [],
            "logsBloom": format!("0x{}", "0".repeat(512)), "transactionHash": zero, "transactionIndex": "0x0",
            "blockHash": zero, "blockNumber": "0x1", "gasUsed": "0x186a0", "effectiveGasPrice": "0x7",
            "from": "0x1111111111111111111111111111111111111111",
            "to": "0x2222222222222222222222222222222222222222", "contractAddress": null,
        });
        receipt.as_object_mut().unwrap().extend(l1.as_object().unwrap().clone());
        serde_json::from_value(receipt).unwrap()
    }

    #[rstest]
    #[case::no_op_stack(json!({}), 700_000)]
    #[case::ecotone(json!({"l1Fee": "0x3e8"}), 701_000)]
    #[case::isthmus(json!({"l1Fee": "0x3e8", "operatorFeeScalar": "0x1e8480", "operatorFeeConstant": "0x5"}), 901_005)]
    #[case::jovian(
        json!({"l1Fee": "0x3e8", "operatorFeeScalar": "0x2", "operatorFeeConstant": "0x5", "daFootprintGasScalar": "0x190"}),
        20_701_005
    )]
    fn every_fee_counts(#[case] l1: serde_json::Value, #[case] paid: u64) {
        assert_eq!(fees_paid(&receipt(l1)), U256::from(paid));
    }
}
