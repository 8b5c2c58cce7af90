//! The routes, with what stands before them.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tower_http::compression::CompressionLayer;

use super::{Shared, access::admin_only, anchored, dev, disturb::disturb, pending, ves};

/// All routes. Unknown ones are an empty 404 and other methods an empty 405, as in the real one.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/v1/commitments/pending", get(pending::list))
        .route("/v1/commitments/{batch_id}/anchored", post(anchored::report))
        .route("/api/v1/ves/commitments", get(ves::list))
        .route("/api/v1/ves/commitments/{batch_id}", get(ves::show))
        .route("/api/v1/ves/proofs/{sequence}", get(ves::proof))
        .route_layer(from_fn_with_state(Arc::clone(shared), disturb))
        .route_layer(from_fn_with_state(Arc::clone(shared), admin_only))
        .layer(CompressionLayer::new());
    let dev = Router::new()
        .route("/dev/state", get(dev::state))
        .route("/dev/faults", get(dev::faults).post(dev::set_faults).delete(dev::heal))
        .route("/dev/commit", post(dev::commit))
        .route("/dev/streams", post(dev::open_stream))
        .route("/dev/events/{batch_id}/{sequence}", get(dev::event));
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .merge(api)
        .merge(dev)
        .with_state(Arc::clone(shared))
}

/// Stays green whatever the database does.
async fn health() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    if shared.faults().silence_ms.is_some() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not_ready" }))).into_response();
    }
    Json(json!({ "status": "ready" })).into_response()
}
