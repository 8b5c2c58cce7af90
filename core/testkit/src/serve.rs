//! An HTTP server that can vanish: dropping it closes every connection, as a killed process would.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use url::Url;

/// An answer that carries this is never sent: the connection closes instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HangUp;

impl HangUp {
    /// The answer that closes the connection.
    pub(crate) fn response() -> Response {
        let mut response = ().into_response();
        response.extensions_mut().insert(Self);
        response
    }
}

/// A running server on the loopback interface. Must be started and dropped inside a tokio runtime
/// that outlives it.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `router` on 127.0.0.1; port 0 takes any free one.
    ///
    /// # Errors
    /// Whatever keeps the port from being bound.
    pub(crate) async fn start(port: u16, router: Router) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, router));
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and every connection, and returns once that is done.
    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        // An aborted task answers with a cancellation, which is what was asked for.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The URL of a server at `address`.
///
/// # Panics
/// Never: an address is always a valid authority.
pub(crate) fn http_url(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/")).expect("an address is a valid authority")
}

/// The set of connections lives in this future, so that aborting it closes all of them.
async fn accept(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(converse(stream, router.clone())); }
                Err(error) => tracing::warn!(%error, "cannot accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection: HTTP/1.1 with keep-alive, or HTTP/2 with prior knowledge.
async fn converse(stream: TcpStream, router: Router) {
    let _ = stream.set_nodelay(true);
    let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let request = request.map(Body::new);
            let response: Result<Response, Infallible> = tower::ServiceExt::oneshot(router, request).await;
            match response {
                Ok(response) if response.extensions().get::<HangUp>().is_some() => {
                    Err(io::Error::from(io::ErrorKind::ConnectionAborted))
                }
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        }
    });
    // Clients that go away and connections closed on purpose both end here; neither is an error.
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await;
}
