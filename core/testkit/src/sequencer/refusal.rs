//! The three shapes of an error: JSON, plain text, nothing.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// `{code, error}`, as 401, 429 and 503 have it.
pub(super) fn coded(status: StatusCode, code: &str, error: &str) -> Response {
    (status, Json(json!({ "code": code, "error": error }))).into_response()
}

/// Plain text, as 400, 403, 404, 409, 422 and 500 have it.
pub(super) fn plain(status: StatusCode, error: impl Into<String>) -> Response {
    (status, error.into()).into_response()
}

/// 429 with the time to wait.
pub(super) fn too_many(retry_after: Option<u64>) -> Response {
    let mut response = coded(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        "too many requests; slow down",
    );
    let seconds = HeaderValue::from(retry_after.unwrap_or(60));
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// An empty 504.
pub(super) fn timeout() -> Response {
    StatusCode::GATEWAY_TIMEOUT.into_response()
}
