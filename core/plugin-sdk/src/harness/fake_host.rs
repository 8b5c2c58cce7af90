//! The host that a test plays.

use std::{
    collections::HashMap,
    ffi::c_void,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use set_plugin_abi::{MAJOR, MINOR, SetCompletion, SetHostV1, SetSlice, method::host, status};
use set_types::{ChainCall, KvGet, KvPut, KvValue};
use tokio::runtime::Handle;

use crate::{
    PluginError,
    export::{Ended, failure},
    instance::Done,
};

/// A line that a plugin logged.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// How grave it is, as a `LOG_` number of `set_plugin_abi::status`: 1 is an error, 5 a trace.
    pub level: u32,
    /// Where it comes from.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Its fields, those of the spans around it included.
    pub fields: Value,
}

type ChainAnswer = dyn Fn(String, Value) -> BoxFuture<'static, Result<Value, PluginError>> + Send + Sync;

/// Records what the plugin sends and answers what it asks.
#[derive(Default)]
pub struct FakeHost {
    logs: Mutex<Vec<LogLine>>,
    metrics: Mutex<HashMap<String, f64>>,
    kv: Mutex<HashMap<String, Vec<u8>>>,
    chain: Option<Box<ChainAnswer>>,
    calls: AtomicU64,
}

impl fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeHost").finish_non_exhaustive()
    }
}

/// What the table's `ctx` points to.
struct Context {
    host: Arc<FakeHost>,
    runtime: Handle,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeHost {
    pub(super) fn logs(&self) -> Vec<LogLine> {
        lock(&self.logs).clone()
    }

    pub(super) fn metric(&self, name: &str) -> Option<f64> {
        lock(&self.metrics).get(name).copied()
    }

    pub(super) fn kv(&self, key: &str) -> Option<Vec<u8>> {
        lock(&self.kv).get(key).cloned()
    }

    pub(super) fn keep(&self, key: &str, value: Vec<u8>) {
        lock(&self.kv).insert(key.to_owned(), value);
    }

    pub(super) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn answer_chain_calls<F, A>(&mut self, answer: F)
    where
        F: Fn(String, Value) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Value, PluginError>> + Send + 'static,
    {
        self.chain = Some(Box::new(move |method, params| Box::pin(answer(method, params))));
    }

    /// The C table of this host. Leaked, as the contract has it: valid for ever.
    pub(super) fn into_table(self: Arc<Self>) -> &'static SetHostV1 {
        let context = Box::leak(Box::new(Context {
            host: self,
            runtime: Handle::current(),
        }));
        Box::leak(Box::new(SetHostV1 {
            size: size_of::<SetHostV1>(),
            major: MAJOR,
            minor: MINOR,
            ctx: std::ptr::from_mut(context).cast(),
            log_level,
            log,
            metric,
            call,
        }))
    }

    async fn answer(&self, method: &str, payload: &[u8]) -> Result<Vec<u8>, Ended> {
        match method {
            host::CHAIN_CALL => {
                let ChainCall { method, params } = read::<ChainCall<Value>>(payload)?;
                let Some(chain) = &self.chain else {
                    let reason = format!("`{method}`: the test plays no chain; use `Builder::chain`");
                    return Err(Ended::Refused(PluginError::permanent(reason)));
                };
                // Serde writes the empty tuple as null; JSON-RPC wants a list.
                let params = if params == Value::Null {
                    Value::Array(vec![])
                } else {
                    params
                };
                write(&chain(method, params).await.map_err(Ended::Refused)?)
            }
            host::KV_GET => {
                let KvGet { key } = read(payload)?;
                write(&KvValue {
                    value: self.kv(&key).map(Into::into),
                })
            }
            host::KV_PUT => {
                let KvPut { key, value } = read(payload)?;
                self.keep(&key, value.into());
                write(&())
            }
            _ => Err(Ended::UnknownMethod),
        }
    }
}

fn read<'a, T: serde::Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Ended> {
    serde_json::from_slice(payload).map_err(|error| Ended::Invalid(error.to_string()))
}

fn write<T: Serialize>(answer: &T) -> Result<Vec<u8>, Ended> {
    serde_json::to_vec(answer).map_err(|error| Ended::Invalid(error.to_string()))
}

/// What `ctx` stands for.
///
/// # Safety
/// `ctx` is the one of [`FakeHost::into_table`].
unsafe fn context(ctx: *mut c_void) -> &'static Context {
    // SAFETY: leaked by `into_table`, and shared from then on.
    unsafe { &*ctx.cast::<Context>() }
}

/// A lent text.
///
/// # Safety
/// As [`SetSlice::bytes`].
unsafe fn text(slice: SetSlice) -> String {
    // SAFETY: passed on to the caller.
    String::from_utf8_lossy(unsafe { slice.bytes() }.unwrap_or_default()).into_owned()
}

unsafe extern "C" fn log_level(_: *mut c_void) -> u32 {
    status::LOG_TRACE
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, target: SetSlice, message: SetSlice, fields: SetSlice) {
    // SAFETY: `ctx` is ours; the plugin lends the rest for this call.
    let (host, target, message, fields) = unsafe {
        (
            &context(ctx).host,
            text(target),
            text(message),
            fields.bytes().unwrap_or_default(),
        )
    };
    let fields = serde_json::from_slice(fields).unwrap_or_default();
    lock(&host.logs).push(LogLine {
        level,
        target,
        message,
        fields,
    });
}

unsafe extern "C" fn metric(ctx: *mut c_void, kind: u32, name: SetSlice, value: f64) {
    // SAFETY: `ctx` is ours; the plugin lends the name for this call.
    let (host, name) = unsafe { (&context(ctx).host, text(name)) };
    let mut metrics = lock(&host.metrics);
    let entry = metrics.entry(name).or_default();
    *entry = if kind == status::METRIC_GAUGE {
        value
    } else {
        *entry + value
    };
}

unsafe extern "C" fn call(ctx: *mut c_void, method: SetSlice, payload: SetSlice, done: SetCompletion) {
    // SAFETY: `ctx` is ours; the plugin lends the rest for this call.
    let (context, method, payload) =
        unsafe { (context(ctx), text(method), payload.bytes().unwrap_or_default().to_vec()) };
    let done = Done::new(done);
    context.runtime.spawn(async move {
        match context.host.answer(&method, &payload).await {
            Ok(bytes) => done.finish(status::OK, bytes),
            Err(ended) => {
                let (status, bytes) = failure(ended);
                done.finish(status, bytes);
            }
        }
    });
}
