//! A signing service that is asked as op-batcher and op-proposer ask theirs.
//!
//! The convention is that of the OP Stack's signer client (`op-service/signer`, served by op-signer):
//! JSON-RPC 2.0 over HTTP with mutual TLS 1.3. `eth_signTransaction` takes one object with geth's
//! transaction arguments and gives the signed transaction's EIP-2718 bytes in hex; `health_status`
//! gives the service's version. Error -32010 is a transaction that it cannot sign, -32011 one that its
//! rules forbid (`toAddresses`, `maxValue`).

mod client;
mod wire;

use std::time::Duration;

use alloy::consensus::TxEip1559;
use alloy_primitives::{Address, Bytes};
use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

pub use client::ClientTls;

use super::{ServiceUrl, SignError, TxSigner, UrlText, config::Refusal};
use crate::slot::Version;
use client::Client;
use wire::{Answer, Request, TransactionArgs};

/// Upper bound for a signature, connecting included. Below the deadline of any signer, so that its
/// message is the one that is seen.
const SIGN_WITHIN: Duration = Duration::from_secs(8);
/// Upper bound for saying that it is there.
const HEALTH_WITHIN: Duration = Duration::from_secs(3);
/// No answer is larger: a pool takes 128 KiB a transaction, which is twice as much in hex.
const MAX_ANSWER: usize = 512 * 1024;
/// Characters of the service's own words that a message repeats.
const MAX_QUOTED: usize = 300;
/// JSON-RPC's code for a method that is not there.
const METHOD_NOT_FOUND: i64 = -32601;

/// Signs for one account by asking a service for each transaction.
pub(super) struct RemoteSigner {
    url: ServiceUrl,
    address: Address,
    client: Client,
}

/// What came of a question.
enum Failure {
    /// The service answers with a JSON-RPC error.
    Refused { code: i64, message: String },
    /// Anything else, in words.
    Failed(String),
}

impl RemoteSigner {
    /// Reads the certificates. Nothing is sent yet.
    pub(super) async fn open(url: &UrlText, address: Address, tls: Option<ClientTls>) -> Result<Self, Refusal> {
        let url = ServiceUrl::try_from(url).map_err(|problem| Refusal::new("url", problem))?;
        match &tls {
            None if !url.is_loopback() => {
                let problem = "a signing service on another machine must know who asks: name a client certificate with `tls.cert` and `tls.key`, and the authority of the service's own in `tls.ca`";
                return Err(Refusal::new("tls", problem));
            }
            Some(_) if !url.is_https() => {
                let problem = "begins with http://, so the certificates of `tls` would not be used: write https://, or leave `tls` out";
                return Err(Refusal::new("url", problem));
            }
            _ => {}
        }
        let client = Client::open(tls).await?;
        Ok(Self { url, address, client })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize + Send + Sync,
        within: Duration,
    ) -> Result<T, Failure> {
        let http = self.client.current().await;
        let request = http
            .post(self.url.url().clone())
            .timeout(within)
            .json(&Request::new(method, params));
        let failed = |error: &reqwest::Error| Failure::Failed(client::cause(error, within));
        let mut response = request.send().await.map_err(|error| failed(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Failure::Failed("answers with more than any transaction takes".into()));
            }
            body.extend_from_slice(&chunk);
        }
        // A JSON-RPC error may come with any HTTP status, and says more than that.
        match serde_json::from_slice::<Answer<T>>(&body) {
            Ok(Answer { error: Some(error), .. }) => Err(Failure::Refused {
                code: error.code,
                message: quoted(&error.message),
            }),
            Ok(Answer {
                result: Some(result), ..
            }) if status.is_success() => Ok(result),
            _ if status == 401 || status == 403 => Err(Failure::Failed(format!(
                "answers with HTTP status {}: it has no key for the client that `tls.cert` names (op-signer goes by its first DNS name)",
                status.as_u16()
            ))),
            _ if !status.is_success() => Err(Failure::Failed(format!("answers with HTTP status {}", status.as_u16()))),
            _ => Err(Failure::Failed(format!(
                "gives no answer to {method} that can be read: is `url` a signing service?"
            ))),
        }
    }

    /// A message that says who was asked.
    fn says(&self, what: impl std::fmt::Display) -> SignError {
        SignError(format!("the service at {} {what}", self.url.origin()))
    }
}

#[async_trait]
impl TxSigner for RemoteSigner {
    fn address(&self) -> Address {
        self.address
    }

    async fn sign(&self, tx: &TxEip1559) -> Result<Bytes, SignError> {
        let args = TransactionArgs::of(tx, self.address);
        let signed = self.ask::<Bytes>("eth_signTransaction", [args], SIGN_WITHIN).await;
        let raw = signed.map_err(|failure| match failure {
            Failure::Refused { code, message } => self.says(format_args!(
                "does not sign for {}: {message} (error {code}); its own configuration and log say why",
                self.address
            )),
            Failure::Failed(what) => self.says(what),
        })?;
        // Looked at here too, where it is known which keys of the table to name.
        let version = Version::checked(raw, tx, self.address).map_err(|problem| {
            self.says(format_args!(
                "is not to be trusted with this transaction: {problem}; is `address` ({}) the account of the key that it uses for this client?",
                self.address
            ))
        })?;
        Ok(version.raw)
    }

    async fn health(&self) -> Result<(), SignError> {
        let asked = self.ask::<String>("health_status", [(); 0], HEALTH_WITHIN).await;
        match asked {
            Ok(version) => {
                tracing::debug!(
                    url = self.url.origin(),
                    version = quoted(&version),
                    "signing service answers"
                );
                Ok(())
            }
            // Not every signing service has it. What matters is that it answers this client.
            Err(Failure::Refused {
                code: METHOD_NOT_FOUND, ..
            }) => Ok(()),
            Err(Failure::Refused { code, message }) => {
                Err(self.says(format_args!("is not well: {message} (error {code})")))
            }
            Err(Failure::Failed(what)) => Err(self.says(what)),
        }
    }
}

/// The service's own words, cut and in one line.
fn quoted(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(MAX_QUOTED).map(plain).collect()
}
