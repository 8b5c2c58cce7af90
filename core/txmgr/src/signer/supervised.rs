//! A loaded signer, with its name and a deadline.

use std::time::Duration;

use alloy::consensus::TxEip1559;
use alloy_primitives::{Address, Bytes};
use async_trait::async_trait;
use tokio::time::timeout;

use super::{SignError, TxSigner};

/// A signer that says nothing for so long counts as failed, and is tried again like any other that
/// failed. Above what a remote signer or KMS is given, whose own messages say more.
const DEADLINE: Duration = Duration::from_secs(10);

/// Puts a signer's name on its errors, and cuts it off when it stalls.
pub(super) struct Supervised<S> {
    name: String,
    signer: S,
}

impl<S: TxSigner> Supervised<S> {
    pub(super) fn new(name: &str, signer: S) -> Self {
        Self {
            name: name.to_owned(),
            signer,
        }
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, SignError>> + Send) -> Result<T, SignError> {
        let answer = timeout(DEADLINE, answer).await;
        answer
            .unwrap_or_else(|_| Err(SignError(format!("gives no answer within {} s", DEADLINE.as_secs()))))
            .map_err(|error| SignError(format!("signer `{}`: {error}", self.name)))
    }
}

#[async_trait]
impl<S: TxSigner> TxSigner for Supervised<S> {
    fn address(&self) -> Address {
        self.signer.address()
    }

    async fn sign(&self, tx: &TxEip1559) -> Result<Bytes, SignError> {
        self.in_time(self.signer.sign(tx)).await
    }

    async fn health(&self) -> Result<(), SignError> {
        self.in_time(self.signer.health()).await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    /// Never answers its first question.
    #[derive(Default)]
    struct Stalls(AtomicBool);

    #[async_trait]
    impl TxSigner for Stalls {
        fn address(&self) -> Address {
            Address::ZERO
        }

        async fn sign(&self, _: &TxEip1559) -> Result<Bytes, SignError> {
            if !self.0.swap(true, Ordering::Relaxed) {
                pending::<()>().await;
            }
            Ok(Bytes::from_static(b"signed"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_cut_off_and_the_next_try_is_heard() {
        let signer = Supervised::new("hot", Stalls::default());
        let error = signer.sign(&TxEip1559::default()).await.unwrap_err().to_string();
        assert_eq!(error, "signer `hot`: gives no answer within 10 s");
        let signed = signer.sign(&TxEip1559::default()).await;
        assert_eq!(signed, Ok(Bytes::from_static(b"signed")));
    }
}
