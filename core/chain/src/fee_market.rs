//! What a block's header says about the fee market that it belongs to.

/// The elasticity of an OP Stack chain whose headers name none, as before Holocene. On a chain with a smaller
/// one the target comes out too low, which costs throughput; too high, it would raise everybody's fee.
const ELASTICITY: u64 = 6;
/// The versions of `extraData` that name an elasticity, by their first byte, and their lengths in bytes.
const HOLOCENE: (u8, usize) = (0, 9);
const JOVIAN: (u8, usize) = (1, 17);

/// Gas of a block above which the next base fee rises, and below which it falls.
///
/// From Holocene on `extraData` is a version byte, then the denominator and the elasticity as 32-bit
/// big-endian numbers; Jovian adds the minimum base fee as a 64-bit one. Any other content names no
/// elasticity, and what OP Stack chains begin with applies.
///
/// Source: OP Stack specification, Holocene, "EIP-1559 parameters in block header"; Jovian, "Minimum
/// base fee in block header"; EIP-1559.
pub(crate) fn gas_target(gas_limit: u64, extra_data: &[u8]) -> u64 {
    gas_limit / elasticity(extra_data).unwrap_or(ELASTICITY)
}

fn elasticity(extra_data: &[u8]) -> Option<u64> {
    let form = (*extra_data.first()?, extra_data.len());
    if form != HOLOCENE && form != JOVIAN {
        return None;
    }
    let (_, parameters) = extra_data.split_at_checked(1)?;
    let (_denominator, rest) = parameters.split_first_chunk::<4>()?;
    let elasticity = u32::from_be_bytes(*rest.first_chunk()?);
    // A valid header never holds zero; one that does says nothing.
    (elasticity > 0).then(|| elasticity.into())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;

    #[test]
    fn the_header_names_the_elasticity_from_holocene_on() {
        // Denominator 250, elasticity 6: OP Mainnet's.
        assert_eq!(gas_target(30_000_000, &hex!("00000000fa00000006")), 5_000_000);
        // Denominator 50, elasticity 10, minimum base fee 1 gwei.
        let jovian = hex!("0100000032 0000000a 000000003b9aca00");
        assert_eq!(gas_target(30_000_000, &jovian), 3_000_000);
    }

    #[test]
    fn other_headers_leave_it_to_the_stack() {
        let geth = hex!("d883010d0a846765746888676f312e32312e35856c696e7578");
        for extra_data in [
            &[][..],
            &geth,
            // A version's length with another's byte, and none of both.
            &hex!("01000000fa00000006"),
            &hex!("00000000fa000000060000000000000000"),
            &hex!("02000000fa000000060000000000000000"),
            // Elasticity zero.
            &hex!("00000000fa00000000"),
        ] {
            assert_eq!(gas_target(30_000_000, extra_data), 5_000_000, "{extra_data:02x?}");
        }
    }
}
