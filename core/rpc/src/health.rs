//! `/livez`, `/readyz`, `/healthz` and `/metrics`, on a listener of their own.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use set_chain::ChainView;
use set_index::Index;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tracing::{error, info};

use crate::{
    port::{Condition, Plugins, StatusReport},
    server::StartError,
};

/// Blocks that the index may be behind before it counts as degraded.
const TOLERATED_LAG: u64 = 32;

/// The state of a plugin that does all its work.
const STARTED: &str = "started";

/// What health is read from.
#[derive(Clone)]
pub struct HealthParts {
    /// The chain's head and tags.
    pub heads: watch::Receiver<Arc<ChainView>>,
    /// The index.
    pub index: Index,
    /// The plugins.
    pub plugins: Arc<dyn Plugins>,
    /// The other parts.
    pub status: Arc<dyn StatusReport>,
    /// Renders the metrics.
    pub metrics: PrometheusHandle,
}

/// How a part is, or all of them together. Ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It works.
    Ok,
    /// It works in part, or late.
    Degraded,
    /// It does not work.
    Down,
}

/// The answer of `/healthz`, and of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// The worst of the components.
    pub status: Health,
    /// The components that are in use.
    pub components: BTreeMap<String, ComponentAnswer>,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentAnswer {
    /// How it is.
    pub status: Health,
    /// What is wrong, or to be known of it; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The running listener.
#[derive(Debug)]
pub struct HealthServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl HealthServer {
    /// Listens and answers, until [`HealthServer::stop`]. Start it once the configuration is read and the
    /// required plugins have been started: readiness is about what comes after.
    ///
    /// # Errors
    /// [`StartError::Listen`] if the address cannot be had.
    pub async fn start(address: SocketAddr, parts: HealthParts) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen {
            address,
            key: "rpc.health_listen",
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let router = Router::new()
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(readyz))
            .route("/healthz", get(healthz))
            .route("/metrics", get(render_metrics))
            .with_state(parts);
        let (stop, mut stopped) = watch::channel(false);
        let served = axum::serve(listener, router).with_graceful_shutdown(async move {
            // The sender goes away only together with the server.
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        let task = tokio::spawn(async move {
            if let Err(error) = served.await {
                error!(%error, "health and metrics are no longer served");
            }
        });
        info!(%address, "health and metrics are served");
        Ok(Self { address, stop, task })
    }

    /// Where it listens; tells the port where port 0 was configured.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests and returns once those under way are answered.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // A panic of the task was logged by the runtime; there is nothing left to stop.
        let _ = self.task.await;
    }
}

/// Ready: the chain is reachable with the right chain id, and the required plugins run. A sidecar that
/// another one keeps from sending answers callers all the same: it is ready, and says that it stands by.
async fn readyz(State(parts): State<HealthParts>) -> impl IntoResponse {
    let own = [("chain", chain(&parts)), ("plugins", plugins(&parts))];
    let noted = parts
        .status
        .conditions()
        .into_iter()
        .filter_map(|(name, condition)| match condition {
            Condition::Noted(note) => Some((name, component(Health::Ok, Some(note)))),
            Condition::Well | Condition::Hindered(_) => None,
        });
    let answer = answer(own.into_iter().chain(noted));
    let code = if answer.status == Health::Down {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (code, Json(answer))
}

async fn healthz(State(parts): State<HealthParts>) -> impl IntoResponse {
    // What hinders a part is for an operator to look at; the part itself goes on as soon as it can.
    let others = parts.status.conditions().into_iter().map(|(name, condition)| {
        let component = match condition {
            Condition::Well => component(Health::Ok, None),
            Condition::Noted(note) => component(Health::Ok, Some(note)),
            Condition::Hindered(reason) => component(Health::Degraded, Some(reason)),
        };
        (name, component)
    });
    let own = [
        ("chain", chain(&parts)),
        ("index", index(&parts)),
        ("plugins", plugins(&parts)),
    ];
    let answer = answer(own.into_iter().chain(others));
    let code = match answer.status {
        Health::Ok => StatusCode::OK,
        Health::Degraded => StatusCode::PARTIAL_CONTENT,
        Health::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(answer))
}

async fn render_metrics(State(parts): State<HealthParts>) -> impl IntoResponse {
    // Rendering walks every histogram; that is work, not waiting.
    let text = tokio::task::spawn_blocking(move || parts.metrics.render())
        .await
        .unwrap_or_default();
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text)
}

fn answer<'a>(components: impl IntoIterator<Item = (&'a str, ComponentAnswer)>) -> HealthAnswer {
    let components: BTreeMap<_, _> = components
        .into_iter()
        .map(|(name, component)| (name.to_owned(), component))
        .collect();
    let worst = components.values().map(|component| component.status).max();
    let status = worst.unwrap_or(Health::Ok);
    HealthAnswer { status, components }
}

fn component(status: Health, reason: Option<String>) -> ComponentAnswer {
    ComponentAnswer { status, reason }
}

fn chain(parts: &HealthParts) -> ComponentAnswer {
    let view = parts.heads.borrow();
    if view.reachable {
        component(Health::Ok, None)
    } else {
        component(Health::Down, view.error.clone())
    }
}

/// Nothing that is anchored depends on the index, so it never counts as down.
fn index(parts: &HealthParts) -> ComponentAnswer {
    let synced = parts.index.synced().borrow().clone();
    if let Some(error) = synced.error {
        return component(Health::Degraded, Some(error));
    }
    match synced.lag() {
        Some(lag) if lag <= TOLERATED_LAG && synced.block.is_some() => component(Health::Ok, None),
        Some(lag) => component(Health::Degraded, Some(format!("{lag} blocks are yet to be followed"))),
        None => component(Health::Degraded, Some("the chain has not been followed yet".to_owned())),
    }
}

fn plugins(parts: &HealthParts) -> ComponentAnswer {
    let (mut status, mut reasons) = (Health::Ok, vec![]);
    for plugin in parts
        .plugins
        .list()
        .into_iter()
        .filter(|plugin| plugin.state != STARTED)
    {
        // Serving but not started is degraded: it answers, and says that it cannot do all its work.
        let down = plugin.required && !plugin.serving;
        status = status.max(if down { Health::Down } else { Health::Degraded });
        reasons.push(format!("`{}` is {}", plugin.id, plugin.state));
    }
    component(status, (!reasons.is_empty()).then(|| reasons.join(", ")))
}
