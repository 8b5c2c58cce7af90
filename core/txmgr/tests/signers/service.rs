//! A signing service as op-signer is one: JSON-RPC over TLS that demands a client certificate.

use std::{convert::Infallible, sync::Arc};

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    network::TxSignerSync,
    rpc::types::TransactionRequest,
    signers::local::PrivateKeySigner,
};
use alloy_primitives::Bytes;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use set_txmgr::UrlText;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::pki::Authority;

/// What the service says to `eth_signTransaction`; `None` never answers.
pub(crate) type Signs = dyn Fn(TxEip1559) -> Option<Answer> + Send + Sync;

/// An answer to a JSON-RPC request.
pub(crate) enum Answer {
    Signed(Bytes),
    Error(i64, &'static str),
    Status(u16),
}

/// A running service; gone when dropped.
pub(crate) struct Service {
    pub(crate) url: UrlText,
    accepting: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Service {
    /// Serves clients with a certificate of `clients`, and shows one of `server`.
    pub(crate) async fn start(
        server: &Authority,
        clients: &Authority,
        signs: impl Fn(TxEip1559) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        set_chain::install_tls();
        let mut roots = RootCertStore::empty();
        roots.add(clients.certificate().der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let (certificate, key) = server.issue();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let signs: Arc<Signs> = Arc::new(signs);
        let router = Router::new().route("/", post(answer)).with_state(signs);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = TowerToHyperService::new(router);
                    let served = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    drop(served);
                });
            }
        });
        Self {
            url: format!("https://{address}").into(),
            accepting,
        }
    }
}

async fn answer(State(signs): State<Arc<Signs>>, Json(request): Json<Value>) -> Result<Response, Infallible> {
    let reply =
        |key: &str, value: Value| Json(json!({"jsonrpc": "2.0", "id": request["id"], key: value})).into_response();
    Ok(match request["method"].as_str() {
        Some("health_status") => reply("result", json!("v1.5.0")),
        Some("eth_signTransaction") => {
            // Read by another implementation of geth's transaction arguments than the one that wrote them.
            let arguments: TransactionRequest = serde_json::from_value(request["params"][0].clone()).unwrap();
            assert!(arguments.from.is_some() && arguments.chain_id.is_some(), "{request}");
            let tx = arguments.build_typed_tx().unwrap().eip1559().unwrap().clone();
            match signs(tx) {
                Some(Answer::Signed(raw)) => reply("result", json!(raw)),
                Some(Answer::Error(code, message)) => reply("error", json!({"code": code, "message": message})),
                Some(Answer::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
                None => std::future::pending().await,
            }
        }
        _ => reply("error", json!({"code": -32601, "message": "the method does not exist"})),
    })
}

/// Signs as a service does.
pub(crate) fn sign(key: &PrivateKeySigner, mut tx: TxEip1559) -> Bytes {
    let signature = key.sign_transaction_sync(&mut tx).unwrap();
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}
