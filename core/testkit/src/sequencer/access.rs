//! Who is let in: a bootstrap admin's key, in any of the forms in which the sequencer takes one.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::Response,
};

use super::{Shared, refusal};

/// The keys that the sequencer knows.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// The bootstrap admin's.
    pub(super) admin: String,
    /// A tenant's own; it is known, and refused.
    pub(super) tenant: String,
}

/// The key of a request, which names its principal to the layers below.
#[derive(Debug, Clone)]
pub(super) struct Principal(pub(super) String);

/// Lets only the bootstrap admin pass.
pub(super) async fn admin_only(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    match presented(request.headers()) {
        Some(key) if key == shared.keys.admin => {
            let principal = Principal(key.to_owned());
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Some(key) if key == shared.keys.tenant => {
            refusal::plain(StatusCode::FORBIDDEN, "this key may not read the anchoring API")
        }
        _ => refusal::coded(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "missing or invalid credentials",
        ),
    }
}

/// `Authorization: ApiKey <key>`, `Authorization: <key>` or `X-Api-Key: <key>`. `Bearer` is for tokens,
/// so a key sent so is none.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name)?.to_str().ok();
    match text(AUTHORIZATION.as_str()) {
        Some(value) => match value.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("apikey") => Some(key.trim()),
            Some(_) => None,
            None => Some(value),
        },
        None => text("x-api-key"),
    }
}
