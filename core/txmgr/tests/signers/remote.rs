//! A remote signer over mutual TLS.

use std::sync::Arc;

use alloy::{
    consensus::{Transaction, TxEip1559, TxEnvelope, transaction::SignerRecoverable},
    eips::Decodable2718,
    signers::local::PrivateKeySigner,
};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use set_testkit::ReservedPort;
use set_txmgr::{ClientTls, SignerConfig, SignerKind, TxSigner, UrlText};
use tokio::sync::Notify;

use crate::{
    pki::{Authority, Files},
    service::{Answer, Service, sign},
};

fn tx() -> TxEip1559 {
    TxEip1559 {
        chain_id: 84_532_001,
        nonce: 7,
        gas_limit: 321_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::repeat_byte(0x11)),
        value: U256::from(3),
        access_list: Default::default(),
        input: Bytes::from(vec![0xab; 70_000]),
    }
}

async fn load(url: &UrlText, address: Address, tls: Option<ClientTls>) -> Arc<dyn TxSigner> {
    let kind = SignerKind::Remote {
        url: url.clone(),
        address,
        tls,
    };
    SignerConfig::new(kind).load("hot").await.unwrap()
}

/// Asks a service that behaves so, as a client that it knows.
async fn asked(address: Address, signs: impl Fn(TxEip1559) -> Option<Answer> + Send + Sync + 'static) -> String {
    let authority = Authority::new();
    let service = Service::start(&authority, &authority, signs).await;
    let files = Files::new(&authority, &authority);
    let signer = load(&service.url, address, Some(files.tls())).await;
    let error = signer.sign(&tx()).await.unwrap_err().to_string();
    assert!(
        error.starts_with("signer `hot`: the service at https://127.0.0.1:"),
        "{error}"
    );
    error
}

#[tokio::test]
async fn a_known_client_gets_its_transaction_signed() {
    let (server, clients) = (Authority::new(), Authority::new());
    let key = PrivateKeySigner::random();
    let address = key.address();
    let service = Service::start(&server, &clients, move |tx| Some(Answer::Signed(sign(&key, tx)))).await;
    let files = Files::new(&server, &clients);
    let signer = load(&service.url, address, Some(files.tls())).await;
    assert_eq!(signer.health().await, Ok(()));
    let raw = signer.sign(&tx()).await.unwrap();
    let signed = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
    assert_eq!(signed.recover_signer().unwrap(), address);
    assert_eq!((signed.nonce(), signed.input()), (7, &tx().input));
}

#[tokio::test]
async fn a_client_that_the_service_does_not_know_is_told_so() {
    let (server, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let service = Service::start(&server, &clients, |_| unreachable!("no stranger is served")).await;
    let files = Files::new(&server, &strangers);
    let signer = load(&service.url, Address::ZERO, Some(files.tls())).await;
    let error = signer.sign(&tx()).await.unwrap_err().to_string();
    assert!(error.contains("`tls.cert`"), "{error}");
}

#[tokio::test]
async fn a_service_of_another_authority_is_not_trusted() {
    let (server, clients, other) = (Authority::new(), Authority::new(), Authority::new());
    let service = Service::start(&server, &clients, |_| unreachable!("nothing is asked of it")).await;
    // One with another authority than the service's, and one without certificates, who trusts the system's.
    for tls in [Some(Files::new(&other, &clients)), None] {
        let signer = load(&service.url, Address::ZERO, tls.as_ref().map(Files::tls)).await;
        let error = signer.sign(&tx()).await.unwrap_err().to_string();
        assert!(
            error.contains("shows a certificate that is refused") && error.contains("`tls.ca`"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn rotated_certificates_are_used_without_a_restart() {
    let (server, clients, earlier) = (Authority::new(), Authority::new(), Authority::new());
    let key = PrivateKeySigner::random();
    let address = key.address();
    let service = Service::start(&server, &clients, move |tx| Some(Answer::Signed(sign(&key, tx)))).await;
    let files = Files::new(&server, &earlier);
    let signer = load(&service.url, address, Some(files.tls())).await;
    assert!(signer.sign(&tx()).await.is_err());
    // Half of a rotation changes nothing, and breaks nothing.
    files.write("tls.crt", "");
    assert!(signer.sign(&tx()).await.is_err());
    files.rotate(&clients);
    assert!(signer.sign(&tx()).await.is_ok());
    files.write("tls.key", "");
    assert!(signer.sign(&tx()).await.is_ok());
}

#[tokio::test]
async fn another_key_or_another_transaction_is_refused() {
    let key = PrivateKeySigner::random();
    let (address, other) = (key.address(), PrivateKeySigner::random());
    let error = asked(address, move |tx| Some(Answer::Signed(sign(&other, tx)))).await;
    assert!(
        error.contains("another account's key") && error.contains("`address`"),
        "{error}"
    );
    let tampering = move |tx| {
        let value = U256::from(1_000_000);
        Some(Answer::Signed(sign(&key, TxEip1559 { value, ..tx })))
    };
    let error = asked(address, tampering).await;
    assert!(error.contains("another transaction than it was asked to"), "{error}");
    let error = asked(address, |_| Some(Answer::Signed(Bytes::from_static(b"\x02nonsense")))).await;
    assert!(error.contains("no transaction"), "{error}");
}

#[tokio::test]
async fn the_services_refusal_is_passed_on() {
    let error = asked(Address::ZERO, |_| {
        Some(Answer::Error(-32011, "to address not\nauthorized"))
    })
    .await;
    assert!(error.contains("to address not authorized (error -32011)"), "{error}");
    let error = asked(Address::ZERO, |_| Some(Answer::Status(403))).await;
    assert!(
        error.contains("HTTP status 403") && error.contains("`tls.cert`"),
        "{error}"
    );
    let error = asked(Address::ZERO, |_| Some(Answer::Status(502))).await;
    assert!(error.contains("HTTP status 502"), "{error}");
}

#[tokio::test]
async fn a_service_that_stalls_is_cut_off() {
    let authority = Authority::new();
    let reached = Arc::new(Notify::new());
    let reaches = reached.clone();
    let stall = move |_| {
        reaches.notify_one();
        None
    };
    let service = Service::start(&authority, &authority, stall).await;
    let files = Files::new(&authority, &authority);
    let signer = load(&service.url, Address::ZERO, Some(files.tls())).await;
    let signing = tokio::spawn(async move { signer.sign(&tx()).await });
    reached.notified().await;
    // From here on only deadlines are waited for; a paused clock goes straight to them.
    tokio::time::pause();
    let error = signing.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("does not answer within 8 s"), "{error}");
}

#[tokio::test]
async fn a_service_that_is_down_is_no_reason_not_to_start() {
    let authority = Authority::new();
    let files = Files::new(&authority, &authority);
    // Nobody listens on it, and nobody will.
    let port = ReservedPort::any().unwrap();
    let url = format!("https://127.0.0.1:{}", port.number()).into();
    let signer = load(&url, Address::ZERO, Some(files.tls())).await;
    let error = signer.sign(&tx()).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_safe_is_refused_at_the_start() {
    let authority = Authority::new();
    let files = Files::new(&authority, &authority);
    let refusal = async |url: &str, tls: Option<ClientTls>| {
        let kind = SignerKind::Remote {
            url: url.to_owned().into(),
            address: Address::ZERO,
            tls,
        };
        let loaded = SignerConfig::new(kind).load("hot").await;
        loaded.err().unwrap().to_string()
    };
    let error = refusal("https://signer.internal:8080", None).await;
    assert!(
        error.contains("`signers.hot.tls`") && error.contains("tls.cert"),
        "{error}"
    );
    let error = refusal("http://127.0.0.1:8080", Some(files.tls())).await;
    assert!(error.contains("`signers.hot.url`"), "{error}");
    let error = refusal("https://me:hunter2@127.0.0.1:8080", Some(files.tls())).await;
    assert!(
        error.contains("`signers.hot.url`") && !error.contains("hunter2"),
        "{error}"
    );
    files.write("tls.key", "-----BEGIN NONSENSE-----");
    let error = refusal("https://127.0.0.1:8080", Some(files.tls())).await;
    assert!(
        error.contains("`signers.hot.tls.key`") && !error.contains("NONSENSE"),
        "{error}"
    );
    files.rotate(&authority);
    let (_, another) = authority.issue();
    files.write("tls.key", &another.serialize_pem());
    let error = refusal("https://127.0.0.1:8080", Some(files.tls())).await;
    assert!(error.contains("`signers.hot.tls.cert`"), "{error}");
    files.write("ca.crt", "");
    let error = refusal("https://127.0.0.1:8080", Some(files.tls())).await;
    assert!(error.contains("`signers.hot.tls.ca`"), "{error}");
}
