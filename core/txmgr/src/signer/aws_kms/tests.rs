//! Against an HTTP server that answers as KMS does.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use alloy::{
    consensus::transaction::SignerRecoverable, eips::Decodable2718, signers::k256::elliptic_curve::rand_core::OsRng,
};
use alloy_primitives::{TxKind, U256};
use aws_sdk_kms::config::Credentials;
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use k256::{
    ecdsa::{SigningKey, signature::hazmat::PrehashSigner},
    pkcs8::EncodePublicKey,
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

use super::*;

/// What the server does with a request, counted from 0, instead of answering.
type Fault = dyn Fn(usize, &str) -> Option<Instead> + Send + Sync;

enum Instead {
    Error(&'static str, &'static str),
    Stall,
}

struct Kms {
    url: UrlText,
    key: SigningKey,
    asked: Arc<Asked>,
    serving: JoinHandle<()>,
}

struct Asked {
    key: SigningKey,
    requests: AtomicUsize,
    stalled: Notify,
    fault: Box<Fault>,
}

impl Drop for Kms {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Kms {
    async fn start(fault: impl Fn(usize, &str) -> Option<Instead> + Send + Sync + 'static) -> Self {
        let key = SigningKey::random(&mut OsRng);
        let asked = Arc::new(Asked {
            key: key.clone(),
            requests: AtomicUsize::new(0),
            stalled: Notify::new(),
            fault: Box::new(fault),
        });
        let router = Router::new().route("/", post(answer)).with_state(asked.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url: url.into(),
            key,
            asked,
            serving,
        }
    }

    async fn connect(&self) -> Result<AwsKms, String> {
        let credentials = Credentials::builder()
            .access_key_id("AKIDTEST")
            .secret_access_key("hunter2")
            .provider_name("test")
            .build();
        let loader = aws_config::defaults(BehaviorVersion::latest()).credentials_provider(credentials);
        let region = Some("eu-central-1".to_owned());
        let connected = AwsKms::connect_with(loader, "alias/set".into(), region, Some(&self.url)).await;
        connected.map_err(|Refusal { key, problem }| format!("{key}: {problem}"))
    }

    fn address(&self) -> Address {
        public_key_to_address(self.key.verifying_key())
    }
}

async fn answer(State(kms): State<Arc<Asked>>, headers: HeaderMap, body: axum::body::Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let target = headers["x-amz-target"].to_str().unwrap();
    let call = target.strip_prefix("TrentService.").unwrap();
    let authorization = headers["authorization"].to_str().unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDTEST/"));
    assert!(authorization.contains("/eu-central-1/kms/aws4_request"));
    assert_eq!(body["KeyId"], "alias/set");
    let number = kms.requests.fetch_add(1, Ordering::SeqCst);
    match (kms.fault)(number, call) {
        Some(Instead::Error(code, message)) => {
            let error = Json(json!({"__type": code, "message": message}));
            return (StatusCode::BAD_REQUEST, error).into_response();
        }
        Some(Instead::Stall) => {
            kms.stalled.notify_one();
            std::future::pending().await
        }
        None => {}
    }
    Json(match call {
        "GetPublicKey" => {
            let key = k256::PublicKey::from(kms.key.verifying_key());
            let der = key.to_public_key_der().unwrap();
            json!({
                "KeyId": "alias/set",
                "KeySpec": "ECC_SECG_P256K1",
                "KeyUsage": "SIGN_VERIFY",
                "PublicKey": STANDARD.encode(der.as_bytes()),
            })
        }
        "Sign" => {
            assert_eq!(
                (&body["MessageType"], &body["SigningAlgorithm"]),
                (&json!("DIGEST"), &json!("ECDSA_SHA_256"))
            );
            let digest = STANDARD.decode(body["Message"].as_str().unwrap()).unwrap();
            let signature: ecdsa::Signature = kms.key.sign_prehash(&digest).unwrap();
            // This implementation always gives the low s; KMS does so half of the time.
            let (r, s) = signature.split_scalars();
            let signature = if number.is_multiple_of(2) {
                signature
            } else {
                ecdsa::Signature::from_scalars(r, -s).unwrap()
            };
            json!({"KeyId": "alias/set", "Signature": STANDARD.encode(signature.to_der().as_bytes())})
        }
        other => panic!("KMS is not asked for {other}"),
    })
    .into_response()
}

fn tx(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: 84_532_001,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::repeat_byte(0x11)),
        value: U256::ZERO,
        access_list: Default::default(),
        input: Bytes::default(),
    }
}

#[tokio::test]
async fn signs_what_the_chain_takes() {
    let kms = Kms::start(|_, _| None).await;
    let signer = kms.connect().await.unwrap();
    assert_eq!(signer.address(), kms.address());
    // Enough for both recovery ids and both halves of s.
    for nonce in 0..16 {
        let raw = signer.sign(&tx(nonce)).await.unwrap();
        let signed = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
        assert!(signed.signature().normalize_s().is_none(), "EIP-2 refuses a high s");
        assert_eq!(signed.recover_signer().unwrap(), kms.address());
        let TxEnvelope::Eip1559(signed) = signed else {
            panic!("not what was asked for")
        };
        assert_eq!(*signed.tx(), tx(nonce));
    }
    assert_eq!(signer.health().await, Ok(()));
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let throttled = |number, call: &str| {
        let first = call == "Sign" && number < 3;
        first.then_some(Instead::Error("ThrottlingException", "Rate exceeded"))
    };
    let kms = Kms::start(throttled).await;
    let signer = kms.connect().await.unwrap();
    signer.sign(&tx(0)).await.unwrap();
    assert_eq!(kms.asked.requests.load(Ordering::SeqCst), 4);
}

#[rstest]
#[case(
    "AccessDeniedException",
    "User: arn:aws:iam::1:user/set is not authorized",
    "kms:GetPublicKey and kms:Sign"
)]
#[case("NotFoundException", "Alias alias/set is not found", "knows no such key")]
#[case("DisabledException", "alias/set is disabled", "cannot use the key")]
#[case(
    "UnrecognizedClientException",
    "The security token is invalid",
    "refuses the credentials"
)]
#[tokio::test]
async fn a_refusal_says_what_to_do(#[case] code: &'static str, #[case] said: &'static str, #[case] advice: &str) {
    let refuses = move |_, call: &str| (call == "Sign").then_some(Instead::Error(code, said));
    let kms = Kms::start(refuses).await;
    let signer = kms.connect().await.unwrap();
    let signing = signer.sign(&tx(0)).await.unwrap_err().to_string();
    let kms = Kms::start(move |_, _| Some(Instead::Error(code, said))).await;
    let starting = kms.connect().await.err().unwrap();
    for error in [signing, starting] {
        assert!(error.contains(advice) && error.contains(said), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("AKIDTEST"), "{error}");
    }
}

#[tokio::test]
async fn another_keys_signature_is_refused() {
    let (kms, other) = (Kms::start(|_, _| None).await, Kms::start(|_, _| None).await);
    let mut signer = kms.connect().await.unwrap();
    // What an alias that was pointed to another key looks like.
    signer.client = other.connect().await.unwrap().client;
    let error = signer.sign(&tx(0)).await.unwrap_err().to_string();
    assert!(
        error.contains("no signature of") && error.contains("`key_id`"),
        "{error}"
    );
    assert!(signer.health().await.unwrap_err().to_string().contains("restart"));
}

#[tokio::test]
async fn a_stall_is_cut_off() {
    let kms = Kms::start(|_, call| (call == "Sign").then_some(Instead::Stall)).await;
    let signer = kms.connect().await.unwrap();
    let signing = tokio::spawn(async move { signer.sign(&tx(0)).await });
    kms.asked.stalled.notified().await;
    // From here on only deadlines are waited for; a paused clock goes straight to them.
    tokio::time::pause();
    let error = signing.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("does not answer within"), "{error}");
}
