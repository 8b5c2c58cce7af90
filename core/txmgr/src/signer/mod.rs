//! Who signs. A key never leaves its signer: not into a log, an error, or an answer.
//!
//! [`SignerConfig`] is a table `[signers.<name>]` and loads what it describes: a key in this process
//! ([`LocalKey`], read by `secret`), a key in AWS KMS (`aws_kms`, cargo feature `kms`), or a signing
//! service (`remote`). Whatever is loaded is `supervised`: it answers in time or counts as failed.

#[cfg(feature = "kms")]
mod aws_kms;
mod config;
mod local;
mod remote;
mod secret;
mod service_url;
mod supervised;

use std::error::Error;

use alloy::consensus::TxEip1559;
use alloy_primitives::{Address, Bytes};
use async_trait::async_trait;

pub use config::{SignerConfig, SignerConfigError, SignerKind};
pub use local::LocalKey;
pub use remote::ClientTls;
pub(crate) use service_url::ServiceUrl;
pub use service_url::UrlText;

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

    /// Asks whether it could sign now, without signing. A key in memory always can.
    ///
    /// # Errors
    /// [`SignError`] with the reason why it could not.
    async fn health(&self) -> Result<(), SignError> {
        Ok(())
    }
}

/// Why a signer did not sign. The message of a loaded signer names it and the key of its table to look
/// at, and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignError(pub String);

/// The innermost cause of an error. Outer ones only say that a request failed, and name its URL.
fn innermost(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
