//! Who signs. A key never leaves its signer: not into a log, an error, or an answer.

mod config;
mod local;

use alloy::consensus::TxEip1559;
use alloy_primitives::{Address, Bytes};
use async_trait::async_trait;

pub use config::{SignerConfig, SignerConfigError};
pub use local::LocalKey;

/// Signs transactions of one account.
#[async_trait]
pub trait TxSigner: Send + Sync + 'static {
    /// The account.
    fn address(&self) -> Address;

    /// Signs a transaction; gives its EIP-2718 bytes, ready to be sent. The caller checks that they are
    /// this transaction, signed by this account.
    ///
    /// # Errors
    /// [`SignError`], after which it is tried again later.
    async fn sign(&self, tx: &TxEip1559) -> Result<Bytes, SignError>;
}

/// Why a signer did not sign. The message must name the signer and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignError(pub String);
