//! Nobody passes without a token.

use std::{
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use futures::future::{Either, Ready, ready};
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use jsonrpsee::server::HttpBody;
use tower::{Layer, Service};

use super::secret::AdminSecret;

/// Answers requests without a good token itself, with 401 and the reason.
#[derive(Debug, Clone)]
pub(crate) struct AuthenticationLayer(AdminSecret);

impl AuthenticationLayer {
    pub(crate) const fn new(secret: AdminSecret) -> Self {
        Self(secret)
    }
}

impl<S> Layer<S> for AuthenticationLayer {
    type Service = Authentication<S>;

    fn layer(&self, inner: S) -> Authentication<S> {
        Authentication {
            inner,
            secret: self.0.clone(),
        }
    }
}

/// See [`AuthenticationLayer`].
#[derive(Debug, Clone)]
pub(crate) struct Authentication<S> {
    inner: S,
    secret: AdminSecret,
}

impl<S, B> Service<Request<B>> for Authentication<S>
where
    S: Service<Request<B>, Response = Response<HttpBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let header = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        match self.secret.check(header, now) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(error) => {
                tracing::warn!(%error, "a request to the admin listener was refused");
                metrics::counter!("set_rpc_refused_total").increment(1);
                let mut response = Response::new(HttpBody::from(error.to_string()));
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                Either::Right(ready(Ok(response)))
            }
        }
    }
}
