//! What surrounds every call: an id, a deadline, metrics, and a net under panics.
//!
//! jsonrpsee hands the entries of a batch to `batch`, not to `call`, so both go through one `dispatch`.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::{FutureExt, StreamExt, stream};
use jsonrpsee::{
    BatchResponseBuilder, Extensions, MethodResponse,
    core::middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT},
    types::{ErrorCode, ErrorObjectOwned, Request},
};
use tower::Layer;
use tracing::{Instrument, debug, debug_span, error};

use crate::{error::RpcError, method::Namespace};

/// Entries of one batch that are worked on at a time.
const BATCH_CONCURRENCY: usize = 8;

/// What the log calls a request; its errors carry it, so that a caller can quote it.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    pub(crate) fn of(extensions: &Extensions) -> &str {
        extensions.get::<Self>().map_or("", |id| &id.0)
    }
}

/// Puts [`Guard`] around a service.
#[derive(Debug, Clone)]
pub(crate) struct GuardLayer {
    namespace: &'static Namespace,
    limits: Limits,
    /// Distinguishes the ids of one run from those of another.
    run: u64,
    requests: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) call_timeout: Duration,
    pub(crate) max_response_bytes: u32,
}

impl GuardLayer {
    pub(crate) fn new(namespace: &'static Namespace, limits: Limits) -> Self {
        let run = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Self {
            namespace,
            limits,
            run,
            requests: Arc::default(),
        }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner: Arc::new(inner),
            layer: self.clone(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Guard<S> {
    inner: Arc<S>,
    layer: GuardLayer,
}

impl<S> Clone for Guard<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            layer: self.layer.clone(),
        }
    }
}

impl<S> Guard<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse, NotificationResponse = MethodResponse> + Send + Sync + 'static,
{
    /// One entry of a batch; a notification has no answer.
    async fn entry(self, entry: Result<BatchEntry<'_>, BatchEntryErr<'_>>) -> Option<MethodResponse> {
        match entry {
            Ok(BatchEntry::Call(request)) => Some(self.dispatch(request).await),
            Ok(BatchEntry::Notification(notification)) => {
                self.inner.notification(notification).await;
                None
            }
            Err(refused) => {
                let (error, id) = refused.into_parts();
                Some(MethodResponse::error(id, error))
            }
        }
    }

    /// One call, alone or out of a batch.
    async fn dispatch(&self, mut request: Request<'_>) -> MethodResponse {
        let number = self.layer.requests.fetch_add(1, Ordering::Relaxed);
        let request_id = RequestId(format!("{:x}-{number:x}", self.layer.run).into());
        let known = (self.layer.namespace.known)(request.method_name());
        let label = known.unwrap_or("other");
        let id = request.id().into_owned();
        request.extensions_mut().insert(request_id.clone());
        let span = debug_span!("rpc", method = label, request_id = %request_id.0);
        let began = Instant::now();
        let in_flight = InFlight::enter();

        let response = if known.is_some() {
            let call = AssertUnwindSafe(self.inner.call(request))
                .catch_unwind()
                .instrument(span.clone());
            match tokio::time::timeout(self.layer.limits.call_timeout, call).await {
                Ok(Ok(response)) => response,
                Ok(Err(_)) => {
                    metrics::counter!("set_rpc_panics_total", "method" => label).increment(1);
                    error!(parent: &span, "the handler panicked");
                    MethodResponse::error(id, RpcError::Internal.to_object(&request_id.0))
                }
                Err(_) => {
                    let timeout = RpcError::Timeout(self.layer.limits.call_timeout.as_secs());
                    MethodResponse::error(id, timeout.to_object(&request_id.0))
                }
            }
        } else {
            MethodResponse::error(id, unknown_method(request.method_name(), self.layer.namespace.hint))
        };

        drop(in_flight);
        let code = response.as_error_code();
        debug!(parent: &span, code, elapsed = ?began.elapsed(), "answered");
        let outcome = if code.is_none() { "ok" } else { "error" };
        metrics::counter!("set_rpc_requests_total", "method" => label, "outcome" => outcome).increment(1);
        metrics::histogram!("set_rpc_request_seconds", "method" => label).record(began.elapsed());
        response
    }
}

impl<S> RpcServiceT for Guard<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse, NotificationResponse = MethodResponse> + Send + Sync + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move { this.dispatch(request).await }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        metrics::counter!("set_rpc_batches_total").increment(1);
        let limit = self.layer.limits.max_response_bytes as usize;
        // Boxed one by one, so that the stream below is of one type whatever the entries borrow.
        let entries: Vec<_> = batch
            .into_iter()
            .map(|entry| self.clone().entry(entry).boxed())
            .collect();
        async move {
            let mut answers = BatchResponseBuilder::new_with_limit(limit);
            let mut notified = false;
            let mut responses = stream::iter(entries).buffered(BATCH_CONCURRENCY);
            while let Some(response) = responses.next().await {
                let Some(response) = response else {
                    notified = true;
                    continue;
                };
                if let Err(too_large) = answers.append(response) {
                    return too_large;
                }
            }
            if answers.is_empty() && notified {
                return MethodResponse::notification();
            }
            MethodResponse::from_batch(answers.finish())
        }
    }

    fn notification<'a>(&self, notification: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

fn unknown_method(name: &str, hint: &str) -> ErrorObjectOwned {
    let name: String = name.chars().take(60).collect();
    let message = format!("there is no method `{name}`; {hint}");
    ErrorObjectOwned::owned(ErrorCode::MethodNotFound.code(), message, None::<()>)
}

/// Counts a call as under way until it is dropped, by whatever way it ends.
struct InFlight;

impl InFlight {
    fn enter() -> Self {
        metrics::gauge!("set_rpc_in_flight").increment(1);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("set_rpc_in_flight").decrement(1);
    }
}
