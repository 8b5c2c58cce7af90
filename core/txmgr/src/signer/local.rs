//! A key in this process's memory.

use std::fmt;

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    network::TxSignerSync,
    signers::local::PrivateKeySigner,
};
use alloy_primitives::{Address, Bytes};
use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{SignError, TxSigner};

/// A secp256k1 key in memory. Wiped when dropped; shows only its address.
#[derive(Clone)]
pub struct LocalKey(PrivateKeySigner);

impl LocalKey {
    /// Reads a key written as 64 hex digits, with or without `0x`. `None` where the text is none; what
    /// it was is not told, since it may be most of a key.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut key = Zeroizing::new([0u8; 32]);
        alloy_primitives::hex::decode_to_slice(digits, key.as_mut_slice()).ok()?;
        Self::from_bytes(key.as_slice())
    }

    /// Reads a key of 32 bytes, big-endian. `None` where they are none.
    pub(super) fn from_bytes(key: &[u8]) -> Option<Self> {
        PrivateKeySigner::from_slice(key).ok().map(Self)
    }
}

impl From<PrivateKeySigner> for LocalKey {
    fn from(key: PrivateKeySigner) -> Self {
        Self(key)
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalKey").field(&self.0.address()).finish()
    }
}

#[async_trait]
impl TxSigner for LocalKey {
    fn address(&self) -> Address {
        self.0.address()
    }

    async fn sign(&self, tx: &TxEip1559) -> Result<Bytes, SignError> {
        let mut tx = tx.clone();
        let signature = self
            .0
            .sign_transaction_sync(&mut tx)
            .map_err(|error| SignError(format!("the key of {} does not sign: {error}", self.0.address())))?;
        Ok(TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into())
    }
}
