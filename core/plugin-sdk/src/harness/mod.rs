//! Runs a plugin in a test: through its C table, with a host that the test plays.
//!
//! ```no_run
//! # use set_plugin_sdk::{EntryPoint, PluginError, harness::Harness};
//! # async fn test(plugin: EntryPoint) -> Result<(), PluginError> {
//! use serde_json::json;
//!
//! let harness = Harness::builder(plugin)
//!     .config(json!({ "url": "http://127.0.0.1:8080" }))
//!     .chain(|method, _params| async move {
//!         match method.as_str() {
//!             "eth_chainId" => Ok(json!("0x509db21")),
//!             other => Err(PluginError::permanent(format!("no {other} here"))),
//!         }
//!     })
//!     .start()
//!     .await?;
//! let listed = harness.poll(&set_types::PollRequest { limit: 10 }).await?;
//! assert!(listed.commitments.is_empty());
//! assert!(harness.logs().iter().any(|line| line.message.contains("polled")));
//! harness.stop().await;
//! # Ok(())
//! # }
//! ```

mod fake_host;

use std::{ffi::c_void, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use set_plugin_abi::{
    EntryPoint, OwnedBuffer, SetBuffer, SetCompletion, SetHostV1, SetPluginV1, SetSlice, method, status,
};
use set_types::{
    DecodeRequest, DecodeResponse, Descriptor, EvaluateRequest, EvaluateResponse, HeadsRequest, HeadsResponse,
    InclusionProof, InclusionProofRequest, LogFilter, LookupRequest, LookupResponse, PlanRequest, PlanResponse,
    PollRequest, PollResponse, PollStreamRequest, Refusal, ReportRequest, ReportResponse, SettleRequest,
    SettleResponse,
};
use tokio::sync::oneshot;

use crate::PluginError;

pub use fake_host::{FakeHost, LogLine};

/// A started instance of a plugin, and the host that it sees.
#[derive(Debug)]
pub struct Harness {
    table: &'static SetPluginV1,
    /// Empty once it was destroyed.
    instance: Option<Instance>,
    host: Arc<FakeHost>,
}

#[derive(Debug, Clone, Copy)]
struct Instance(*mut c_void);

// SAFETY: the SDK's instances can be used from any thread.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

/// What to start a plugin with.
#[derive(Debug)]
pub struct Builder {
    plugin: EntryPoint,
    config: Value,
    host: FakeHost,
}

impl Harness {
    /// Begins with an empty configuration, an empty key-value store and a node that refuses everything.
    pub fn builder(plugin: EntryPoint) -> Builder {
        Builder {
            plugin,
            config: Value::Object(serde_json::Map::new()),
            host: FakeHost::default(),
        }
    }

    /// What the plugin says of itself.
    ///
    /// # Errors
    /// It panicked, or what it says cannot be read.
    pub fn describe(plugin: EntryPoint) -> Result<Descriptor, PluginError> {
        let describe = plugin
            .table()
            .describe
            .ok_or_else(|| PluginError::permanent("no `describe`"))?;
        let mut out = SetBuffer::EMPTY;
        // SAFETY: `out` is a place to write to.
        let status = unsafe { describe(&raw mut out) };
        // SAFETY: the plugin gave the buffer away.
        let out = unsafe { OwnedBuffer::new(out) };
        read("describe", status, &out)
    }

    /// Lines that the plugin logged so far, oldest first.
    pub fn logs(&self) -> Vec<LogLine> {
        self.host.logs()
    }

    /// The newest value of a gauge, or the sum of a counter or of what a histogram recorded.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.host.metric(name)
    }

    /// What the plugin keeps under a key.
    pub fn kv(&self, key: &str) -> Option<Vec<u8>> {
        self.host.kv(key)
    }

    /// Asks anything, by name. The typed methods below are this one.
    ///
    /// # Errors
    /// As the plugin answers; a panic is a permanent one that says so.
    pub async fn call<A: DeserializeOwned>(&self, method: &str, request: &impl Serialize) -> Result<A, PluginError> {
        let payload = serde_json::to_vec(request).map_err(|error| PluginError::permanent(error.to_string()))?;
        let (status, answer) = self
            .begin(method, &payload)?
            .await
            .map_err(|_| PluginError::permanent(format!("`{method}` was never completed")))?;
        read(method, status, &answer)
    }

    fn begin(&self, method: &str, payload: &[u8]) -> Result<oneshot::Receiver<(u32, OwnedBuffer)>, PluginError> {
        let call = self.table.call.ok_or_else(|| PluginError::permanent("no `call`"))?;
        let Some(Instance(instance)) = self.instance else {
            return Err(PluginError::permanent("the instance was stopped"));
        };
        let (sender, receiver) = oneshot::channel::<(u32, OwnedBuffer)>();
        let ctx = Box::into_raw(Box::new(sender)).cast();
        let done = SetCompletion {
            complete: deliver,
            ctx,
            call: self.host.next_call(),
        };
        // SAFETY: the instance lives; the slices outlive the call; the SDK completes exactly once.
        unsafe { call(instance, SetSlice::new(method.as_bytes()), SetSlice::new(payload), done) };
        Ok(receiver)
    }

    /// Ends the instance and waits for that.
    pub async fn stop(mut self) {
        if let Some(end) = self.end() {
            // A plugin whose end panics was caught by its own shim.
            let _ = tokio::task::spawn_blocking(end).await;
        }
    }

    fn end(&mut self) -> Option<impl FnOnce() + Send + 'static> {
        let instance = self.instance.take()?;
        let destroy = self.table.destroy?;
        Some(move || {
            let Instance(instance) = { instance };
            // SAFETY: the instance was taken out, so this is the one time that it is destroyed.
            unsafe { destroy(instance) }
        })
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if let Some(end) = self.end() {
            // Not here: destroying waits, and a test's thread may be the one that it waits for.
            std::thread::spawn(end);
        }
    }
}

impl Builder {
    /// Sets the configuration.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Answers the plugin's chain calls: method and parameters in, result out.
    #[must_use]
    pub fn chain<F, A>(mut self, answer: F) -> Self
    where
        F: Fn(String, Value) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Value, PluginError>> + Send + 'static,
    {
        self.host.answer_chain_calls(answer);
        self
    }

    /// Starts with a value in the key-value store.
    #[must_use]
    pub fn kv(self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.host.keep(key, value.into());
        self
    }

    /// Creates the instance. Must be called on a tokio runtime, which also answers chain calls.
    ///
    /// # Errors
    /// As the plugin's `create`.
    pub async fn start(self) -> Result<Harness, PluginError> {
        let Self { plugin, config, host } = self;
        let table = plugin.table();
        let create = table.create.ok_or_else(|| PluginError::permanent("no `create`"))?;
        let host = Arc::new(host);
        let host_table: &'static SetHostV1 = host.clone().into_table();
        let config = config.to_string();
        // Elsewhere: an instance builds a runtime, which cannot be done on a thread of another one.
        let made = tokio::task::spawn_blocking(move || {
            let (mut instance, mut error) = (std::ptr::null_mut(), SetBuffer::EMPTY);
            let config = SetSlice::new(config.as_bytes());
            // SAFETY: the host's table is leaked; the rest outlives the call.
            let status = unsafe { create(host_table, config, &raw mut instance, &raw mut error) };
            // SAFETY: the plugin gave the buffer away.
            (status, Instance(instance), unsafe { OwnedBuffer::new(error) })
        });
        let (status, instance, error) = made
            .await
            .map_err(|error| PluginError::permanent(format!("`create`: {error}")))?;
        if status != status::OK {
            return Err(failure("create", status, &error));
        }
        Ok(Harness {
            table,
            instance: Some(instance),
            host,
        })
    }
}

unsafe extern "C" fn deliver(ctx: *mut c_void, _call: u64, status: u32, payload: SetBuffer) {
    // SAFETY: the plugin gave the buffer away.
    let payload = unsafe { OwnedBuffer::new(payload) };
    // SAFETY: `ctx` is the box that `begin` made, and the SDK completes once.
    let sender = unsafe { Box::from_raw(ctx.cast::<oneshot::Sender<(u32, OwnedBuffer)>>()) };
    // A test that no longer waits is no error.
    drop(sender.send((status, payload)));
}

fn read<A: DeserializeOwned>(method: &str, status: u32, payload: &OwnedBuffer) -> Result<A, PluginError> {
    if status != status::OK {
        return Err(failure(method, status, payload));
    }
    serde_json::from_slice(payload.bytes().unwrap_or_default())
        .map_err(|error| PluginError::permanent(format!("`{method}` answered what cannot be read: {error}")))
}

fn failure(method: &str, status: u32, payload: &OwnedBuffer) -> PluginError {
    let bytes = payload.bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(bytes);
    match status {
        status::REFUSED => match serde_json::from_slice::<Refusal>(bytes) {
            Ok(refusal) => refusal.into(),
            Err(error) => PluginError::permanent(format!("`{method}` refused in what cannot be read: {error}")),
        },
        status::PANICKED => PluginError::permanent(format!("`{method}` panicked: {text}")),
        status::UNKNOWN_METHOD => PluginError::permanent(format!("no method `{method}`")),
        status::INVALID => PluginError::permanent(format!("`{method}` could not read the request: {text}")),
        _ => PluginError::permanent(format!("`{method}` ended with status {status}: {text}")),
    }
}

macro_rules! typed {
    ($($(#[$doc:meta])* $name:ident($request:ty) -> $answer:ty = $method:expr;)*) => {
        /// The methods of every role. One that the plugin's role lacks is refused.
        ///
        /// # Errors
        /// As [`Harness::call`].
        #[allow(clippy::missing_errors_doc, reason = "said once, above")]
        impl Harness {
            $($(#[$doc])* pub async fn $name(&self, request: &$request) -> Result<$answer, PluginError> {
                self.call($method, request).await
            })*

            /// Any role: whether the instance can do its work.
            pub async fn health(&self) -> Result<(), PluginError> {
                self.call(method::HEALTH, &()).await
            }

            /// Submitter: which logs to follow.
            pub async fn log_filter(&self) -> Result<LogFilter, PluginError> {
                self.call(method::LOG_FILTER, &()).await
            }
        }
    };
}

typed! {
    /// Source: list commitments.
    poll(PollRequest) -> PollResponse = method::POLL;
    /// Source: list one stream's commitments.
    poll_stream(PollStreamRequest) -> PollResponse = method::POLL_STREAM;
    /// Source: report anchored commitments.
    report(ReportRequest) -> ReportResponse = method::REPORT;
    /// Source: prove an event.
    inclusion_proof(InclusionProofRequest) -> InclusionProof = method::INCLUSION_PROOF;
    /// Policy: judge subjects.
    evaluate(EvaluateRequest) -> EvaluateResponse = method::EVALUATE;
    /// Submitter: plan calls.
    plan(PlanRequest) -> PlanResponse = method::PLAN;
    /// Submitter: read a receipt.
    settle(SettleRequest) -> SettleResponse = method::SETTLE;
    /// Submitter: read streams' heads.
    heads(HeadsRequest) -> HeadsResponse = method::HEADS;
    /// Submitter: read records.
    lookup(LookupRequest) -> LookupResponse = method::LOOKUP;
    /// Submitter: read logs.
    decode(DecodeRequest) -> DecodeResponse = method::DECODE;
}
