//! Requests to the sequencer: credentials, time, size, rate, and what became of them.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use reqwest::{
    RequestBuilder, StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue},
    redirect::Policy,
};
use serde::Serialize;
use set_plugin_sdk::{Host, PluginError, Secret};
use tokio::time::Instant;
use url::Url;

use crate::{
    answer,
    config::Settings,
    failure::{Cause, Failure},
    gate::{Gate, Urgency},
    route::Route,
};

/// When a call must have its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// `timeout` from now on.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    fn left(self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Waits for `future`, but not past the deadline.
    pub(crate) async fn bound<F: Future>(self, future: F) -> Option<F::Output> {
        tokio::time::timeout_at(self.0, future).await.ok()
    }
}

/// A client of one sequencer. Connections are kept and shared by all requests.
pub(crate) struct Client {
    http: reqwest::Client,
    base_url: Url,
    key: Secret,
    max_response_bytes: usize,
    gate: Gate,
    newest_problem: Mutex<Option<PluginError>>,
    host: Host,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client; connects to nothing yet.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(crate) fn new(settings: Settings, host: Host) -> Result<Self, PluginError> {
        // Each loaded library has a `rustls` of its own, which needs its implementation before any client
        // is built. Another part of the program may have installed it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, settings.authorization),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(settings.connect_timeout)
            .redirect(Policy::none());
        if settings.base_url.scheme() == "http" {
            // A proxy would read the key. And no certificate is ever checked, so that a machine without any
            // will do.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| {
            PluginError::permanent(format!(
                "no HTTP client for `base_url`: {}; https:// needs the system's CA certificates",
                answer::root_cause(error)
            ))
        })?;
        Ok(Self {
            http,
            base_url: settings.base_url,
            key: settings.api_key,
            max_response_bytes: settings.max_response_bytes,
            gate: Gate::default(),
            newest_problem: Mutex::default(),
            host,
        })
    }

    /// Waits until the next proof may be asked for; `None` where that is past the deadline.
    pub(crate) async fn proof_turn(&self, deadline: Deadline) -> Option<()> {
        let turn = self.gate.proof_turn(Instant::now().into_std());
        deadline.bound(tokio::time::sleep_until(turn.into())).await
    }

    /// What was wrong with the newest request; `None` where it was well, or there was none yet.
    pub(crate) fn newest_problem(&self) -> Option<PluginError> {
        self.newest_problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Where the plugin's metrics go.
    pub(crate) const fn host(&self) -> &Host {
        &self.host
    }

    /// Asks, and reads the answer with `read`, whose error says what is wrong with it.
    pub(crate) async fn get<T>(
        &self,
        route: Route,
        path: &[&str],
        query: &[(&str, String)],
        deadline: Deadline,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.ask(route, self.http.get(url), deadline, read).await
    }

    /// Sends `body` as JSON; otherwise as [`Client::get`].
    pub(crate) async fn post<T>(
        &self,
        route: Route,
        path: &[&str],
        body: &(impl Serialize + Sync),
        deadline: Deadline,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let request = self.http.post(self.url(path)).json(body);
        self.ask(route, request, deadline, read).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn ask<T>(
        &self,
        route: Route,
        request: RequestBuilder,
        deadline: Deadline,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let fail = |cause| Failure { route, cause };
        let urgency = match route {
            Route::Proof => Urgency::Proof,
            _ => Urgency::Anchoring,
        };
        if let Some(wait) = self.gate.closed_for(Instant::now().into_std(), urgency) {
            return Err(fail(Cause::RateLimited(wait)));
        }
        let left = deadline.left().ok_or_else(|| fail(Cause::OutOfTime))?;
        let asked = Instant::now();
        let (status, answer) = self.exchange(route, request.timeout(left)).await;
        self.count(route, status, asked.elapsed());
        let answer = answer.and_then(|body| {
            // Bytes that are no UTF-8 spoil the entry that they are in, not its neighbours.
            let text = String::from_utf8_lossy(&body);
            read(&text).map_err(|problem| {
                let begin: String = text.chars().take(1000).collect();
                let [problem, begin] = [&problem, &begin].map(|text| answer::excerpt(&self.without_key(text)));
                Cause::Unreadable(format!("{problem}; it begins with `{begin}`"))
            })
        });
        let answer = answer.map_err(fail);
        self.remember(answer.as_ref().err());
        answer
    }

    /// One request and its answer. The status is `None` where there was no answer.
    async fn exchange(&self, route: Route, request: RequestBuilder) -> (Option<StatusCode>, Result<Vec<u8>, Cause>) {
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return (None, Err(answer::no_answer(error))),
        };
        let status = response.status();
        if status.is_success() {
            return (Some(status), answer::body(&mut response, self.max_response_bytes).await);
        }
        let retry_after = answer::retry_after(&response, Timestamp::now());
        let said = match answer::said(&mut response).await {
            Ok(said) => answer::excerpt(&self.without_key(&said)),
            // A rate limit needs no explanation; what else the status means hangs on it.
            Err(_) if status == StatusCode::TOO_MANY_REQUESTS => String::new(),
            Err(cause) => return (Some(status), Err(cause)),
        };
        let cause = match Cause::of_refusal(route, status, said, retry_after) {
            Cause::RateLimited(wait) => {
                let wait = self.gate.close(Instant::now().into_std(), wait);
                tracing::warn!(%route, wait_s = wait.as_secs(), "the sequencer limits the rate of requests");
                Cause::RateLimited(wait)
            }
            cause => cause,
        };
        (Some(status), Err(cause))
    }

    /// Whatever answers might repeat the headers.
    fn without_key(&self, text: &str) -> String {
        text.replace(self.key.expose().trim(), "[redacted]")
    }

    fn remember(&self, failure: Option<&Failure>) {
        let problem = failure.filter(|failure| !failure.cause.is_about_the_request());
        let problem = problem.map(|failure| failure.clone().into());
        *self.newest_problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    fn count(&self, route: Route, status: Option<StatusCode>, took: Duration) {
        let class = match status.map(|status| status.as_u16()) {
            None => "no_answer",
            Some(429) => "429",
            Some(200..300) => "2xx",
            Some(300..400) => "3xx",
            Some(400..500) => "4xx",
            Some(_) => "5xx",
        };
        let route = route.metric();
        self.host.counter(&format!("requests_{route}_{class}"), 1);
        self.host
            .histogram(&format!("request_seconds_{route}"), took.as_secs_f64());
    }
}
