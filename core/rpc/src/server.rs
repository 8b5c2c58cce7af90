//! The JSON-RPC server: HTTP and WebSocket on one port.

use std::{net::SocketAddr, sync::Arc};

use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, Server, ServerConfig, ServerHandle, middleware::rpc::RpcServiceBuilder,
};
use tower::ServiceBuilder;
use tracing::info;

use crate::{
    access::{AccessLayer, cors},
    config::RpcConfig,
    method::{self, METHODS, SET},
    middleware::{GuardLayer, Limits},
    proofs::Proofs,
    service::{Parts, Service},
};

/// Why a listener did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (`{key}`): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key in the configuration.
        key: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The admin listener would be open to others than this machine.
    #[error("`rpc.admin_listen` is {0}, which others may reach; give a loopback address such as 127.0.0.1:8647")]
    Public(SocketAddr),
    /// The table of methods names one twice.
    #[error("the table of methods is wrong: {0}")]
    Methods(#[from] jsonrpsee::core::RegisterMethodError),
}

/// The running server.
#[derive(Debug)]
pub struct RpcServer {
    address: SocketAddr,
    handle: ServerHandle,
}

impl RpcServer {
    /// Listens and answers, until [`RpcServer::stop`].
    ///
    /// # Errors
    /// [`StartError::Listen`] if the address cannot be had.
    pub async fn start(config: &RpcConfig, parts: Parts) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen {
            address: config.listen,
            key: "rpc.listen",
            source,
        };
        let batches = match config.max_batch {
            0 => BatchRequestConfig::Disabled,
            limit => BatchRequestConfig::Limit(limit),
        };
        let server = ServerConfig::builder()
            .max_request_body_size(config.max_request_bytes)
            .max_response_body_size(config.max_response_bytes)
            .max_connections(config.max_connections)
            .set_batch_request_config(batches)
            // A peer that went away without a word gives its place back.
            .enable_ws_ping(PingConfig::new())
            .build();
        let limits = Limits {
            call_timeout: config.call_timeout,
            max_response_bytes: config.max_response_bytes,
        };
        let server = Server::builder()
            .set_config(server)
            .set_http_middleware(
                ServiceBuilder::new()
                    .layer(cors(config))
                    .layer(AccessLayer::new(config)),
            )
            .set_rpc_middleware(RpcServiceBuilder::new().layer(GuardLayer::new(&SET, limits)))
            .build(config.listen)
            .await
            .map_err(listen)?;
        let address = server.local_addr().map_err(listen)?;
        let proofs = Proofs::new(&config.proofs, Arc::clone(&parts.plugins));
        let service = Arc::new(Service {
            parts,
            proofs,
            max_page: config.max_page,
        });
        let handle = server.start(method::router(METHODS, service)?);
        info!(%address, "json-rpc is served");
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
