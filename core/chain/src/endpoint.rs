//! The way to a node: its public JSON-RPC over HTTP.

use std::{error::Error, fmt, time::Duration};

use alloy::{
    providers::RootProvider,
    rpc::client::RpcClient,
    transports::{
        RpcError, TransportError, TransportErrorKind,
        http::{Http, reqwest},
        utils::guess_local_url,
    },
};
use op_alloy::network::Optimism;
use url::Url;

use crate::failover::Failover;

/// A node of the L2. `Optimism`, because plain Ethereum types cannot decode the deposit that every
/// block starts with. No fillers: they would take nonces behind the transaction manager's back.
pub type L2Provider = RootProvider<Optimism>;

/// Where the chain's nodes are and how long to wait for them.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// Nodes' public JSON-RPC, `http://` or `https://`, the preferred one first. Never an engine API.
    pub rpc_urls: Vec<Url>,
    /// Chain id that a node must serve before another's calls go to it; `None` asks for nothing.
    pub chain_id: Option<u64>,
    /// Upper bound for one round trip.
    pub timeout: Duration,
    /// Pause between two looks for a receipt or a filter's changes, where alloy itself polls.
    pub poll_interval: Duration,
}

/// Scheme, host and port: paths, queries and user parts of URLs carry access keys.
pub(crate) fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Shows scheme, host and port only: paths, queries and user parts of URLs carry access keys.
impl fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointConfig")
            .field("rpc_urls", &self.rpc_urls.iter().map(shown).collect::<Vec<_>>())
            .field("chain_id", &self.chain_id)
            .field("timeout", &self.timeout)
            .field("poll_interval", &self.poll_interval)
            .finish()
    }
}

/// Why the chain cannot be asked, or what its answer lacks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The URL's scheme is neither `http` nor `https`.
    #[error("an RPC URL has the scheme `{0}`: give the node's HTTP endpoint, http:// or https://")]
    Scheme(String),
    /// There is no URL at all.
    #[error("no RPC URL is given: name at least one node")]
    NoEndpoint,
    /// The HTTP client could not be made.
    #[error("no HTTP client for the node: {0}")]
    Client(String),
    /// The node could not be asked, or refused.
    #[error("{method}: {cause}")]
    Rpc {
        /// The JSON-RPC method.
        method: &'static str,
        /// What happened, without the endpoint's URL.
        cause: String,
    },
    /// The node names a head that the chain had before.
    #[error("the node's head, block {head}, is {blocks} blocks behind the newest one seen: it may be syncing")]
    Behind {
        /// Its head.
        head: u64,
        /// Blocks between it and the newest one seen.
        blocks: u64,
    },
    /// The node serves another chain.
    #[error("the node serves chain {found}, the configuration says {expected}")]
    OtherChain {
        /// Its chain id.
        found: u64,
        /// The chain id that was asked for.
        expected: u64,
    },
    /// The node's answer is not what the method promises.
    #[error("{method}: unexpected answer: {cause}")]
    Answer {
        /// The JSON-RPC method.
        method: &'static str,
        /// What is wrong with it.
        cause: String,
    },
}

impl ChainError {
    /// A failed call of `method`.
    pub(crate) fn rpc(method: &'static str, error: &TransportError) -> Self {
        Self::Rpc {
            method,
            cause: transport_cause(error),
        }
    }
}

/// Installs the process's TLS implementation (ring). Call it first in `main` and in every test that
/// opens a connection: without it even plain `http://` panics. Calling it again changes nothing.
pub fn install_tls() {
    // `Err` means that another call came first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Opens the way to the chain's nodes. Nothing is sent yet, so an unreachable node shows at the first call.
///
/// Calls go to the first node that is well; see [`ChainView::endpoints`](crate::ChainView::endpoints). A call
/// that finds every node limiting the rate of calls waits for as long as one of them asks, at most
/// `endpoint.timeout`.
///
/// # Errors
/// [`ChainError::NoEndpoint`] without a URL, [`ChainError::Scheme`] for anything but HTTP,
/// [`ChainError::Client`] if no client can be made.
pub fn connect(endpoint: &EndpointConfig) -> Result<L2Provider, ChainError> {
    if endpoint.rpc_urls.is_empty() {
        return Err(ChainError::NoEndpoint);
    }
    for url in &endpoint.rpc_urls {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ChainError::Scheme(url.scheme().into()));
        }
    }
    let http = http_client(endpoint.timeout)?;
    let is_local = endpoint.rpc_urls.iter().all(|url| guess_local_url(url.as_str()));
    let client = RpcClient::new(Failover::new(endpoint, &http), is_local);
    client.set_poll_interval(endpoint.poll_interval);
    Ok(RootProvider::new(client))
}

/// A JSON-RPC client of one URL, for what is no node of the L2: op-node, or a node of L1. Nothing is sent yet.
///
/// # Errors
/// [`ChainError::Scheme`] for anything but HTTP, [`ChainError::Client`] if no client can be made.
pub fn json_rpc(url: &Url, timeout: Duration) -> Result<RpcClient, ChainError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ChainError::Scheme(url.scheme().into()));
    }
    let transport = Http::with_client(http_client(timeout)?, url.clone());
    Ok(RpcClient::new(transport, guess_local_url(url.as_str())))
}

/// An HTTP client that gives up after `timeout`.
fn http_client(timeout: Duration) -> Result<reqwest::Client, ChainError> {
    reqwest::Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout)
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .build()
        .map_err(|error| ChainError::Client(innermost(&error)))
}

/// What went wrong in a call, in one line and without the endpoint's URL, which may hold a key.
pub fn transport_cause(error: &TransportError) -> String {
    match error {
        RpcError::ErrorResp(payload) => format!("the node answers {}: {}", payload.code, payload.message),
        RpcError::NullResp => "the node answers null".into(),
        RpcError::Transport(TransportErrorKind::HttpError(http)) => format!("HTTP status {}", http.status),
        RpcError::Transport(TransportErrorKind::HttpErrorWithRetryAfter { error, retry_after }) => {
            let seconds = retry_after.as_secs_f64().ceil();
            format!("HTTP status {}; it asks to wait {seconds} s", error.status)
        }
        RpcError::Transport(TransportErrorKind::Custom(cause) | TransportErrorKind::NonRetryable(cause)) => {
            innermost(cause.as_ref())
        }
        RpcError::DeserError { err, .. } => format!("the answer cannot be read: {err}"),
        other => other.to_string(),
    }
}

/// The last error of a chain; the first ones repeat the URL.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    match (text.find(" for url ("), text.rfind(')')) {
        (Some(start), Some(end)) if start < end => format!("{}{}", &text[..start], &text[end + 1..]),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use alloy::providers::Provider as _;

    use super::*;

    fn endpoint(url: &str) -> EndpointConfig {
        EndpointConfig {
            rpc_urls: vec![url.parse().unwrap()],
            chain_id: None,
            timeout: Duration::from_secs(1),
            poll_interval: Duration::from_millis(100),
        }
    }

    #[test]
    fn refuses_other_schemes() {
        let error = connect(&endpoint("ws://127.0.0.1:1")).unwrap_err();
        assert!(error.to_string().contains("`ws`"), "{error}");
    }

    #[test]
    fn debug_shows_no_access_key() {
        let text = format!(
            "{:?}",
            endpoint("https://user:pass@node.example/v3/0123456789abcdef?key=abc")
        );
        assert!(text.contains("https://node.example"), "{text}");
        for secret in ["pass", "0123456789abcdef", "abc\""] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[tokio::test]
    async fn an_unreachable_node_is_named_without_its_url() {
        install_tls();
        // A port that the system gives to nobody.
        let provider = connect(&endpoint("http://127.0.0.1:1/secret-key")).unwrap();
        let error = provider.get_chain_id().await.unwrap_err();
        let cause = transport_cause(&error);
        assert!(cause.to_lowercase().contains("refused"), "{cause}");
        assert!(!cause.contains("secret-key"), "{cause}");
    }
}
