//! How large a call becomes as a signed transaction.

/// Upper bound of what an EIP-1559 envelope adds to calldata: type, list header, chain id (8 bytes),
/// nonce and gas limit (4 each), both fees (9 each, 4,700 gwei is 6), address, no value, the calldata's
/// header, an empty access list, and the signature. Each integer has one byte more for its RLP header.
const ENVELOPE: usize = 1 + 4 + 9 + 5 + 10 + 10 + 5 + 21 + 1 + 4 + 1 + 1 + 33 + 33;

/// Bytes of the envelope that stand before the calldata; the signature and the access list follow it.
const BEFORE_DATA: usize = ENVELOPE - 68;

/// Sizes of a signed transaction, as upper bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignedSize {
    /// EIP-2718 bytes.
    pub(crate) bytes: u64,
    /// Bytes after compression, as Fjord estimates them.
    pub(crate) estimated: u64,
}

/// Bytes of the signed transaction with so much calldata, at most.
pub(crate) const fn signed_bytes(data: usize) -> u64 {
    (data + ENVELOPE) as u64
}

/// The sizes of a transaction that carries `data`. Fees, nonce and signature are not known yet, so noise
/// stands for them: what compresses worst.
pub(crate) fn signed_size(data: &[u8]) -> SignedSize {
    let mut noise = (1u32..).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8);
    let mut transaction = Vec::with_capacity(data.len() + ENVELOPE);
    transaction.extend(noise.by_ref().take(BEFORE_DATA));
    transaction.extend_from_slice(data);
    transaction.extend(noise.take(ENVELOPE - BEFORE_DATA));
    SignedSize {
        bytes: signed_bytes(data.len()),
        estimated: set_chain::estimated_size(&transaction),
    }
}
