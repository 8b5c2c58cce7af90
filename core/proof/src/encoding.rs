//! RLP that has one form.

use alloy_rlp::{Decodable, Encodable};

/// Why bytes are not what they have to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EncodingError {
    /// They say something else, or nothing.
    #[error("is malformed: {0}")]
    Malformed(alloy_rlp::Error),
    /// They say it in other bytes than an encoder would.
    #[error("is not in its canonical encoding")]
    NotCanonical,
}

/// Decodes bytes that are the only encoding of what they say: nothing after it, and encoded again the same bytes.
pub(crate) fn decode_canonical<T: Decodable + Encodable>(bytes: &[u8]) -> Result<T, EncodingError> {
    let value = alloy_rlp::decode_exact::<T>(bytes).map_err(EncodingError::Malformed)?;
    if alloy_rlp::encode(&value) != bytes {
        return Err(EncodingError::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;

    #[test]
    fn a_number_has_one_encoding() {
        assert_eq!(decode_canonical::<U256>(&[0x82, 1, 0]), Ok(U256::from(256)));
        for other in [
            &[0x82, 0, 1][..],
            &[0x81, 1],
            &[0x82, 1, 0, 0],
            &[0x82, 1],
            &[0xb8, 2, 1, 0],
        ] {
            decode_canonical::<U256>(other).unwrap_err();
        }
    }
}
