//! What the host does for a plugin.

use std::ffi::c_void;

use serde::{Serialize, de::DeserializeOwned};
use set_plugin_abi::{MAX_PAYLOAD, OwnedBuffer, SetBuffer, SetCompletion, SetHostV1, SetSlice, method::host, status};
use set_types::{ChainCall, KvGet, KvPut, KvValue, Refusal, alloy_primitives::Bytes};
use tokio::sync::oneshot;

use crate::PluginError;

/// The host, as an instance sees it. Cheap to clone.
///
/// There is no method for logging: `tracing` events on the instance's runtime go to the host by
/// themselves.
#[derive(Clone, Copy)]
pub struct Host {
    table: &'static SetHostV1,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Host {
    pub(crate) const fn new(table: &'static SetHostV1) -> Self {
        Self { table }
    }

    /// Asks the execution node: a read-only `eth_` method that the operator allows, and its parameters
    /// as a tuple, array or slice.
    ///
    /// # Errors
    /// The method is not allowed, the node cannot be reached (retryable), or the node answered an
    /// error, whose text it holds.
    pub async fn chain_call<R: DeserializeOwned>(
        &self,
        method: &str,
        params: impl Serialize + Send,
    ) -> Result<R, PluginError> {
        self.ask(
            host::CHAIN_CALL,
            &ChainCall {
                method: method.to_owned(),
                params,
            },
        )
        .await
    }

    /// Reads one of this plugin's own durable values.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, PluginError> {
        let found: KvValue = self.ask(host::KV_GET, &KvGet { key: key.to_owned() }).await?;
        Ok(found.value.map(Into::into))
    }

    /// Keeps a value durably under one of this plugin's own keys: at most 256 bytes of key and 64 KiB
    /// of value. Once this returns, a crash does not lose it.
    ///
    /// # Errors
    /// Key or value are too long, or the store cannot be written.
    pub async fn kv_put(&self, key: &str, value: impl Into<Bytes> + Send) -> Result<(), PluginError> {
        self.ask(
            host::KV_PUT,
            &KvPut {
                key: key.to_owned(),
                value: value.into(),
            },
        )
        .await
    }

    /// Adds to a counter, which the host exports as `set_plugin_<name>` with the plugin's id. Names are
    /// of `[a-z0-9_]`, at most 64 bytes; at most 64 names a plugin.
    pub fn counter(&self, name: &str, add: u64) {
        self.metric(status::METRIC_COUNTER, name, add as f64);
    }

    /// Sets a gauge; named as in [`Host::counter`].
    pub fn gauge(&self, name: &str, value: f64) {
        self.metric(status::METRIC_GAUGE, name, value);
    }

    /// Records a value in a histogram; named as in [`Host::counter`]. Durations are in seconds.
    pub fn histogram(&self, name: &str, value: f64) {
        self.metric(status::METRIC_HISTOGRAM, name, value);
    }

    fn metric(&self, kind: u32, name: &str, value: f64) {
        // SAFETY: the host's table stays valid for ever; `name` outlives the call.
        unsafe { (self.table.metric)(self.table.ctx, kind, SetSlice::new(name.as_bytes()), value) }
    }

    /// The finest level that the host records, as a `LOG_` number.
    pub(crate) fn log_level(&self) -> u32 {
        // SAFETY: the host's table stays valid for ever.
        unsafe { (self.table.log_level)(self.table.ctx) }
    }

    pub(crate) fn log(&self, level: u32, target: &str, message: &str, fields: &[u8]) {
        let (target, message) = (SetSlice::new(target.as_bytes()), SetSlice::new(message.as_bytes()));
        // SAFETY: the host's table stays valid for ever; the slices outlive the call.
        unsafe { (self.table.log)(self.table.ctx, level, target, message, SetSlice::new(fields)) }
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(&self, method: &str, request: &Q) -> Result<A, PluginError> {
        let refuse = |problem: &dyn std::fmt::Display| PluginError::permanent(format!("host, `{method}`: {problem}"));
        let payload = serde_json::to_vec(request).map_err(|error| refuse(&error))?;
        if payload.len() > MAX_PAYLOAD {
            return Err(refuse(&format_args!(
                "the request is {} bytes, more than {MAX_PAYLOAD}",
                payload.len()
            )));
        }
        let reply = self
            .begin(method, &payload)
            .await
            .map_err(|_| refuse(&"gave no answer"))?;
        let bytes = reply
            .payload
            .bytes()
            .ok_or_else(|| refuse(&"answered a length without bytes"))?;
        match reply.status {
            status::OK => serde_json::from_slice(bytes).map_err(|error| refuse(&error)),
            status::REFUSED => {
                let refusal: Refusal = serde_json::from_slice(bytes).map_err(|error| refuse(&error))?;
                Err(refusal.into())
            }
            status::CANCELLED => Err(PluginError::retryable(format!(
                "host, `{method}`: the instance is ending"
            ))),
            status::UNKNOWN_METHOD => Err(refuse(&"this host knows no such method; update the sidecar")),
            _ => Err(refuse(&String::from_utf8_lossy(bytes))),
        }
    }

    fn begin(&self, method: &str, payload: &[u8]) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel::<Reply>();
        let ctx = Box::into_raw(Box::new(sender)).cast();
        let done = SetCompletion {
            complete: deliver,
            ctx,
            call: 0,
        };
        let (method, payload) = (SetSlice::new(method.as_bytes()), SetSlice::new(payload));
        // SAFETY: the host's table stays valid for ever; the slices outlive the call; the host completes
        // exactly once, which is when `deliver` takes the sender back.
        unsafe { (self.table.call)(self.table.ctx, method, payload, done) }
        receiver
    }
}

struct Reply {
    status: u32,
    payload: OwnedBuffer,
}

/// Hands the host's answer to whoever waits, if anybody still does.
unsafe extern "C" fn deliver(ctx: *mut c_void, _call: u64, status: u32, payload: SetBuffer) {
    // SAFETY: the host owns the buffer no more.
    let payload = unsafe { OwnedBuffer::new(payload) };
    // SAFETY: `ctx` is the box that `begin` made, and the host completes once.
    let sender = unsafe { Box::from_raw(ctx.cast::<oneshot::Sender<Reply>>()) };
    // A receiver that is gone has lost interest: its call was dropped.
    drop(sender.send(Reply { status, payload }));
}
