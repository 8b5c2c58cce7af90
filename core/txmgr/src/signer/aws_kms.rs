//! A key in AWS KMS, which signs without giving it away.
//!
//! Through AWS's own SDK, which brings the standard sources of credentials, retries with backoff and
//! signed requests; its HTTP client uses ring, like everything else here. Two calls are made:
//! `GetPublicKey` once, for the account, and `Sign` with `MessageType` `DIGEST` and `ECDSA_SHA_256` for
//! each transaction. KMS answers in DER, at times with a high s, and without a recovery id: EIP-2 asks
//! for the low s, and the recovery id is the one that gives the key's own account.

use std::{error::Error, time::Duration};

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    signers::utils::public_key_to_address,
};
use alloy_primitives::{Address, B256, Bytes, Signature};
use async_trait::async_trait;
use aws_config::{BehaviorVersion, ConfigLoader, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_kms::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{MessageType, SigningAlgorithmSpec},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use k256::{ecdsa, pkcs8::DecodePublicKey};

use super::{ServiceUrl, SignError, TxSigner, UrlText, config::Refusal, innermost};

#[cfg(test)]
mod tests;

/// Upper bound for one call with all its retries. Below the deadline of any signer, so that its message
/// is the one that is seen.
const CALL_WITHIN: Duration = Duration::from_secs(8);
/// Upper bound for one try.
const TRY_WITHIN: Duration = Duration::from_secs(3);
/// Tries of one call, where KMS throttles or is away.
const TRIES: u32 = 5;
/// Longest pause before the first retry; it doubles.
const BACKOFF: Duration = Duration::from_millis(100);

/// Signs for one account with a key in KMS.
pub(super) struct AwsKms {
    client: Client,
    key_id: String,
    address: Address,
}

/// Why a call failed: the key of the table to look at, and what to do.
struct Failure {
    key: &'static str,
    problem: String,
}

impl AwsKms {
    /// Asks KMS for the key's account. Credentials come from the environment, the profile, a web
    /// identity token, the container or the instance, in the SDK's order.
    pub(super) async fn connect(
        key_id: String,
        region: Option<String>,
        endpoint_url: Option<&UrlText>,
    ) -> Result<Self, Refusal> {
        Self::connect_with(
            aws_config::defaults(BehaviorVersion::latest()),
            key_id,
            region,
            endpoint_url,
        )
        .await
    }

    async fn connect_with(
        loader: ConfigLoader,
        key_id: String,
        region: Option<String>,
        endpoint_url: Option<&UrlText>,
    ) -> Result<Self, Refusal> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(CALL_WITHIN)
            .operation_attempt_timeout(TRY_WITHIN)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(TRIES)
            .with_initial_backoff(BACKOFF);
        let mut loader = loader.http_client(http).timeout_config(timeouts).retry_config(retries);
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        let shared = loader.load().await;
        if shared.region().is_none() {
            let problem = "is missing, and neither the environment (AWS_REGION) nor the profile names one: write the key's region";
            return Err(Refusal::new("region", problem));
        }
        let mut config = aws_sdk_kms::config::Builder::from(&shared);
        if let Some(url) = endpoint_url {
            let url = ServiceUrl::try_from(url).map_err(|problem| Refusal::new("endpoint_url", problem))?;
            config = config.endpoint_url(url.url().as_str().trim_end_matches('/'));
        }
        let client = Client::from_conf(config.build());
        let address = account(&client, &key_id)
            .await
            .map_err(|Failure { key, problem }| Refusal::new(key, problem))?;
        tracing::info!(%address, "AWS KMS holds the key of this account");
        Ok(Self {
            client,
            key_id,
            address,
        })
    }

    async fn sign_digest(&self, digest: B256) -> Result<Signature, Failure> {
        let answer = self
            .client
            .sign()
            .key_id(&self.key_id)
            .message(Blob::new(digest.as_slice()))
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .send()
            .await
            .map_err(|error| failure("Sign", &error))?;
        let der = answer.signature.unwrap_or_else(|| Blob::new([]));
        low_s(der.as_ref(), digest, self.address).ok_or_else(|| Failure {
            key: "key_id",
            problem: format!(
                "what AWS KMS gave is no signature of {}'s key: does an alias name another key now? Restart to use that one's account",
                self.address
            ),
        })
    }
}

#[async_trait]
impl TxSigner for AwsKms {
    fn address(&self) -> Address {
        self.address
    }

    async fn sign(&self, tx: &TxEip1559) -> Result<Bytes, SignError> {
        let signature = self.sign_digest(tx.signature_hash()).await.map_err(SignError::from)?;
        Ok(TxEnvelope::from(tx.clone().into_signed(signature))
            .encoded_2718()
            .into())
    }

    async fn health(&self) -> Result<(), SignError> {
        let address = account(&self.client, &self.key_id).await.map_err(SignError::from)?;
        if address == self.address {
            return Ok(());
        }
        Err(SignError(format!(
            "`key_id` names the key of {address} now, not that of {}: restart to use it",
            self.address
        )))
    }
}

impl From<Failure> for SignError {
    fn from(Failure { key, problem }: Failure) -> Self {
        Self(format!("`{key}`: {problem}"))
    }
}

/// The account of a key.
async fn account(client: &Client, key_id: &str) -> Result<Address, Failure> {
    let answer = client
        .get_public_key()
        .key_id(key_id)
        .send()
        .await
        .map_err(|error| failure("GetPublicKey", &error))?;
    let spki = answer.public_key.unwrap_or_else(|| Blob::new([]));
    let key = k256::PublicKey::from_public_key_der(spki.as_ref()).map_err(|_| Failure {
        key: "key_id",
        problem: "names a key of another kind: it must have the key spec ECC_SECG_P256K1 and the usage SIGN_VERIFY"
            .into(),
    })?;
    Ok(public_key_to_address(&ecdsa::VerifyingKey::from(key)))
}

/// Makes Ethereum's signature of KMS's: the low s of the two (EIP-2), and the recovery id that gives the
/// account. `None` where neither does.
fn low_s(der: &[u8], digest: B256, address: Address) -> Option<Signature> {
    let signature = ecdsa::Signature::from_der(der).ok()?;
    let signature = signature.normalize_s().unwrap_or(signature);
    [false, true]
        .map(|parity| Signature::from_signature_and_parity(signature, parity))
        .into_iter()
        .find(|signature| signature.recover_address_from_prehash(&digest).ok() == Some(address))
}

/// What to do about a call that KMS did not answer as it should.
fn failure<E>(call: &'static str, error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let said = error.message().unwrap_or("no reason is given");
    let (key, problem) = match error.code() {
        Some("AccessDeniedException") => (
            "key_id",
            format!("AWS KMS denies {call}: {said}; give this identity kms:GetPublicKey and kms:Sign on the key"),
        ),
        Some("NotFoundException") => (
            "key_id",
            format!("AWS KMS knows no such key: {said}; look at `key_id`, `region` and the AWS account"),
        ),
        Some(code @ ("DisabledException" | "KMSInvalidStateException" | "InvalidKeyUsageException")) => {
            ("key_id", format!("AWS KMS cannot use the key ({code}): {said}"))
        }
        Some(code @ ("ThrottlingException" | "LimitExceededException")) => (
            "key_id",
            format!("AWS KMS throttles {call} ({code}) even after {TRIES} tries; raise the account's request quota"),
        ),
        Some(
            code @ ("UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException"),
        ) => (
            "kind",
            format!(
                "AWS refuses the credentials ({code}): {said}; look at the environment, profile or role, and at the clock"
            ),
        ),
        Some(code) => ("key_id", format!("AWS KMS refuses {call} ({code}): {said}")),
        None => match error {
            SdkError::TimeoutError(_) => (
                "endpoint_url",
                format!(
                    "AWS KMS does not answer within {} s; can it be reached from here?",
                    CALL_WITHIN.as_secs()
                ),
            ),
            SdkError::DispatchFailure(_) => (
                "kind",
                format!(
                    "AWS KMS cannot be asked: {}; are there credentials (environment, profile, web identity, container or instance role), and can the endpoint be reached?",
                    innermost(error)
                ),
            ),
            _ => ("kind", format!("{call} of AWS KMS fails: {}", innermost(error))),
        },
    };
    Failure { key, problem }
}
