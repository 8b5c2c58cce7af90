//! A layer that lets a request in, or answers it itself.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::{Either, Ready, ready};
use http::{Request, Response, StatusCode};
use jsonrpsee::server::HttpBody;
use tower::{Layer, Service};

/// Decides who comes in.
pub(crate) trait Doorkeeper {
    /// Why a request is not let in: the status and the text of its answer.
    fn turn_away<B>(&self, request: &Request<B>) -> Option<(StatusCode, String)>;
}

/// Asks a [`Doorkeeper`] about each request, and counts those that it turns away.
#[derive(Debug)]
pub(crate) struct DoorLayer<K>(Arc<K>);

impl<K> DoorLayer<K> {
    pub(crate) fn kept_by(keeper: K) -> Self {
        Self(Arc::new(keeper))
    }
}

impl<K> Clone for DoorLayer<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, K> Layer<S> for DoorLayer<K> {
    type Service = Door<S, K>;

    fn layer(&self, inner: S) -> Door<S, K> {
        Door {
            inner,
            keeper: Arc::clone(&self.0),
        }
    }
}

/// See [`DoorLayer`].
#[derive(Debug)]
pub(crate) struct Door<S, K> {
    inner: S,
    keeper: Arc<K>,
}

impl<S: Clone, K> Clone for Door<S, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            keeper: Arc::clone(&self.keeper),
        }
    }
}

impl<S, K, B> Service<Request<B>> for Door<S, K>
where
    S: Service<Request<B>, Response = Response<HttpBody>>,
    K: Doorkeeper,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some((status, reason)) = self.keeper.turn_away(&request) else {
            return Either::Left(self.inner.call(request));
        };
        metrics::counter!("set_rpc_refused_total").increment(1);
        let mut response = Response::new(HttpBody::from(reason));
        *response.status_mut() = status;
        Either::Right(ready(Ok(response)))
    }
}
