//! What L1 costs and what the chain charges, from the deposit that every block starts with.

use alloy_primitives::{U256, hex};

/// Selector of `setL1BlockValuesJovian()`.
const JOVIAN: [u8; 4] = hex!("3db6be2b");
const JOVIAN_LENGTH: usize = 178;

/// The L1 attributes of a block.
///
/// Source: OP Stack specification, "L1 attributes" of Ecotone (bytes 4 to 164), Isthmus (to 176) and
/// Jovian (to 178).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes {
    base_fee_scalar: U256,
    blob_base_fee_scalar: U256,
    /// The number of the L1 block that the block takes its origin from.
    pub(crate) l1_block: u64,
    base_fee: U256,
    blob_base_fee: U256,
    pub(crate) operator_fee_scalar: U256,
    pub(crate) operator_fee_constant: U256,
    pub(crate) da_footprint_gas_scalar: u64,
}

impl Attributes {
    pub(crate) fn read(calldata: &[u8]) -> Self {
        assert_eq!((calldata.len(), &calldata[..4]), (JOVIAN_LENGTH, JOVIAN.as_slice()));
        let number = |from, to| U256::from_be_slice(&calldata[from..to]);
        Self {
            base_fee_scalar: number(4, 8),
            blob_base_fee_scalar: number(8, 12),
            l1_block: number(28, 36).to(),
            base_fee: number(36, 68),
            blob_base_fee: number(68, 100),
            operator_fee_scalar: number(164, 168),
            operator_fee_constant: number(168, 176),
            da_footprint_gas_scalar: number(176, 178).to(),
        }
    }

    /// What the L1 data fee of a transaction is, in wei, from its signed bytes (Fjord).
    pub(crate) fn l1_fee(&self, raw: &[u8]) -> U256 {
        let per_byte =
            U256::from(16) * self.base_fee_scalar * self.base_fee + self.blob_base_fee_scalar * self.blob_base_fee;
        U256::from(millionths(raw)) * per_byte / U256::from(1_000_000_000_000_u64)
    }

    /// What the operator fee of so much gas is, in wei (Jovian).
    pub(crate) fn operator_fee(&self, gas_used: u64) -> U256 {
        U256::from(gas_used) * self.operator_fee_scalar * U256::from(100) + self.operator_fee_constant
    }

    /// The DA footprint of a transaction, in gas (Jovian).
    pub(crate) fn footprint(&self, raw: &[u8]) -> u64 {
        millionths(raw) / 1_000_000 * self.da_footprint_gas_scalar
    }
}

/// The estimated compressed size in millionths of a byte (Fjord).
fn millionths(raw: &[u8]) -> u64 {
    let fast_lz = u64::from(op_alloy_flz::flz_compress_len(raw));
    (836_500 * fast_lz).saturating_sub(42_585_600).max(100_000_000)
}
