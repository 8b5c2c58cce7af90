//! The listener.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jsonrpsee::server::{BatchRequestConfig, Server, ServerConfig, ServerHandle, middleware::rpc::RpcServiceBuilder};
use tower::ServiceBuilder;
use tracing::info;

use super::{
    method::{ADMIN, METHODS},
    port::Administration,
    secret::AdminSecret,
};
use crate::{
    access::AccessLayer,
    config::RpcConfig,
    door::DoorLayer,
    method,
    middleware::{GuardLayer, Limits},
    server::StartError,
};

/// Opening a keystore takes seconds, and a reload opens each.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_BYTES: u32 = 1 << 20;
const MAX_CONNECTIONS: u32 = 16;

/// The running listener.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    handle: ServerHandle,
}

impl AdminServer {
    /// Listens and answers, until [`AdminServer::stop`].
    ///
    /// # Errors
    /// [`StartError::Public`] unless the address is a loopback address, [`StartError::Listen`] if it cannot
    /// be had.
    pub async fn start(
        address: SocketAddr,
        secret: AdminSecret,
        program: Arc<dyn Administration>,
    ) -> Result<Self, StartError> {
        if !address.ip().is_loopback() {
            return Err(StartError::Public(address));
        }
        let listen = |source| StartError::Listen {
            address,
            key: "rpc.admin_listen",
            source,
        };
        let server = ServerConfig::builder()
            .http_only()
            .max_request_body_size(MAX_BYTES)
            .max_response_body_size(MAX_BYTES)
            .max_connections(MAX_CONNECTIONS)
            .set_batch_request_config(BatchRequestConfig::Disabled)
            .build();
        let limits = Limits {
            call_timeout: CALL_TIMEOUT,
            max_response_bytes: MAX_BYTES,
        };
        let nobody_else = RpcConfig::default();
        let server = Server::builder()
            .set_config(server)
            .set_http_middleware(
                ServiceBuilder::new()
                    .layer(AccessLayer::new(&nobody_else))
                    .layer(DoorLayer::kept_by(secret)),
            )
            .set_rpc_middleware(RpcServiceBuilder::new().layer(GuardLayer::new(&ADMIN, limits)))
            .build(address)
            .await
            .map_err(listen)?;
        let address = server.local_addr().map_err(listen)?;
        let handle = server.start(method::router(METHODS, program)?);
        info!(%address, "admin methods are served");
        Ok(Self { address, handle })
    }

    /// Where it listens; tells the port where port 0 was configured.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests and returns once those under way are answered.
    pub async fn stop(self) {
        // An error means that it has stopped already.
        let _ = self.handle.stop();
        self.handle.stopped().await;
    }
}
