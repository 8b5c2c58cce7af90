//! Faults that strike before a request reaches its route.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};

use super::{Faults, RateLimit, Shared, access::Principal, faults::strikes, refusal};
use crate::serve::HangUp;

/// How often each principal asked in the current window.
#[derive(Debug, Default)]
pub(super) struct Windows(HashMap<String, (Instant, u32)>);

impl Windows {
    fn exceeded(&mut self, principal: &str, limit: RateLimit) -> bool {
        let window = Duration::from_millis(limit.window_ms);
        let (since, requests) = self.0.entry(principal.to_owned()).or_insert((Instant::now(), 0));
        if since.elapsed() >= window {
            (*since, *requests) = (Instant::now(), 0);
        }
        *requests += 1;
        *requests > limit.requests
    }
}

/// What befalls one request.
enum Blow {
    None,
    HangUp,
    TooMany(Option<u64>),
    Silence(u64),
    Refusal(StatusCode),
}

impl Blow {
    fn of(faults: &mut Faults) -> Self {
        if strikes(&mut faults.hang_ups) {
            Self::HangUp
        } else if strikes(&mut faults.rate_limited) {
            Self::TooMany(faults.retry_after_s)
        } else if let Some(milliseconds) = faults.silence_ms {
            Self::Silence(milliseconds)
        } else if strikes(&mut faults.pool_exhausted) {
            Self::Refusal(StatusCode::SERVICE_UNAVAILABLE)
        } else if strikes(&mut faults.internal_errors) {
            Self::Refusal(StatusCode::INTERNAL_SERVER_ERROR)
        } else {
            Self::None
        }
    }
}

/// Applies the faults that do not depend on the route.
pub(super) async fn disturb(
    State(shared): State<Arc<Shared>>,
    Extension(Principal(principal)): Extension<Principal>,
    request: Request,
    next: Next,
) -> Response {
    let (delay, limit, retry_after, blow) = {
        let mut faults = shared.faults();
        let blow = Blow::of(&mut faults);
        (faults.delay_ms, faults.rate_limit, faults.retry_after_s, blow)
    };
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    if limit.is_some_and(|limit| shared.windows().exceeded(&principal, limit)) {
        return refusal::too_many(retry_after);
    }
    match blow {
        Blow::None => next.run(request).await,
        Blow::HangUp => HangUp::response(),
        Blow::TooMany(retry_after) => refusal::too_many(retry_after),
        Blow::Silence(milliseconds) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            refusal::timeout()
        }
        Blow::Refusal(StatusCode::SERVICE_UNAVAILABLE) => refusal::coded(
            StatusCode::SERVICE_UNAVAILABLE,
            "pool_exhausted",
            "no database connection is free",
        ),
        Blow::Refusal(status) => refusal::plain(status, "internal server error"),
    }
}
