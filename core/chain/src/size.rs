//! How large the data availability layer counts a transaction.

/// Estimated compressed size of a signed transaction (its EIP-2718 bytes), in bytes: Fjord's linear
/// model over FastLZ, at least 100.
///
/// The L1 data fee grows with it, Jovian multiplies it into the DA footprint, and a throttling
/// op-batcher passes over transactions that exceed a bound of it.
///
/// Source: OP Stack specification, Fjord, "FastLZ Implementation".
pub fn estimated_size(signed_tx: &[u8]) -> u64 {
    op_alloy_flz::tx_estimated_size_fjord_bytes(signed_tx)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_transactions_count_a_hundred_bytes() {
        assert_eq!(estimated_size(&[]), 100);
        assert_eq!(estimated_size(&[0xff; 60]), 100);
    }

    #[test]
    fn repetition_compresses_and_noise_does_not() {
        let noise: Vec<u8> = (0u32..125)
            .flat_map(|i| alloy_primitives::keccak256(i.to_be_bytes()).0)
            .collect();
        assert!(estimated_size(&[7; 4_000]) < 200);
        assert!(estimated_size(&noise) > 3_000);
    }

    proptest! {
        #[test]
        fn stays_near_the_plain_size(bytes in proptest::collection::vec(any::<u8>(), 0..4_000)) {
            let size = estimated_size(&bytes);
            prop_assert!(size >= 100);
            // FastLZ adds at most one byte for each run of 32 literals.
            prop_assert!(size <= 100.max(bytes.len() as u64 + bytes.len() as u64 / 32 + 1));
        }
    }
}
