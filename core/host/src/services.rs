//! What a plugin can ask of the core.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use set_plugin_abi::{MAX_PAYLOAD, method::host, status};
use set_types::{ChainCall, KvGet, KvPut, KvValue, Refusal};
use tokio::sync::Semaphore;

use crate::{
    chain_method,
    config::PluginConfig,
    log::{LogBudget, Outbox},
    secrets::Redactor,
};

/// Questions of one plugin that may be open at once.
const CONCURRENCY: usize = 32;

/// The longest key, in bytes.
const LONGEST_KEY: usize = 256;

/// The longest value, in bytes.
const LONGEST_VALUE: usize = 64 << 10;

/// Metrics that one plugin may name.
const MOST_METRICS: usize = 64;

/// The longest name of a metric, in bytes.
const LONGEST_METRIC: usize = 64;

/// What the core does for plugins. The host has checked allow-lists and sizes before it asks.
#[async_trait]
pub trait HostServices: Send + Sync + 'static {
    /// Asks the execution node, read-only; `params` is a JSON array. The answer is the node's `result`.
    async fn chain_call(
        &self,
        plugin: &str,
        method: &str,
        params: Box<RawValue>,
    ) -> Result<Box<RawValue>, ServiceError>;

    /// Reads a plugin's durable value.
    async fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, ServiceError>;

    /// Keeps a plugin's value; returns once it is durable.
    async fn kv_put(&self, plugin: &str, key: &str, value: Vec<u8>) -> Result<(), ServiceError>;
}

/// Why the core does not do what a plugin asked. The plugin reads it, so it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    /// What is wrong.
    pub message: String,
    /// Whether the same question may be answered later.
    pub retryable: bool,
}

impl ServiceError {
    /// A refusal that stays.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: false,
        }
    }

    /// A refusal for now.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: true,
        }
    }
}

impl From<ServiceError> for Refusal {
    fn from(error: ServiceError) -> Self {
        Self {
            message: error.message,
            retryable: error.retryable,
        }
    }
}

/// The core's services, as one plugin gets them.
pub(crate) struct Services {
    plugin: Arc<str>,
    core: Arc<dyn HostServices>,
    /// Methods of the node that the operator allows; `None`: all that only read.
    chain_calls: Option<Vec<String>>,
    permits: Semaphore,
    /// Names of metrics so far.
    metrics: Mutex<HashSet<String>>,
    redactor: Arc<Redactor>,
    budget: LogBudget,
    outbox: Outbox,
}

/// Why a question gets no answer.
enum Denied {
    Refused(ServiceError),
    Invalid(String),
    UnknownMethod,
}

impl From<ServiceError> for Denied {
    fn from(error: ServiceError) -> Self {
        Self::Refused(error)
    }
}

impl Services {
    pub(crate) fn new(
        plugin: &PluginConfig,
        redactor: Arc<Redactor>,
        core: Arc<dyn HostServices>,
        outbox: Outbox,
    ) -> Self {
        Self {
            plugin: plugin.id.as_str().into(),
            core,
            chain_calls: plugin.allow.chain_calls.clone(),
            permits: Semaphore::new(CONCURRENCY),
            metrics: Mutex::default(),
            redactor,
            budget: LogBudget::default(),
            outbox,
        }
    }

    /// Passes a log line on. The texts are only made if the line is wanted.
    pub(crate) fn log(&self, level: u32, texts: impl FnOnce() -> (String, String, String)) {
        if level > crate::log::finest_level() {
            return;
        }
        self.outbox
            .send(&self.plugin, &self.redactor, &self.budget, level, texts);
    }

    /// Records a metric, if its name can be one and there are not too many.
    pub(crate) fn metric(&self, kind: u32, name: &str, value: f64) {
        let in_alphabet = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > LONGEST_METRIC || !name.bytes().all(in_alphabet) {
            return;
        }
        {
            let mut names = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
            if !names.contains(name) {
                if names.len() == MOST_METRICS {
                    return;
                }
                names.insert(name.to_owned());
                crate::metrics::describe_of_plugin(kind, &format!("set_plugin_{name}"));
            }
        }
        let (name, plugin) = (format!("set_plugin_{name}"), self.plugin.to_string());
        match kind {
            // Negative and absurd values saturate.
            status::METRIC_COUNTER => metrics::counter!(name, "plugin" => plugin).increment(value as u64),
            status::METRIC_GAUGE => metrics::gauge!(name, "plugin" => plugin).set(value),
            status::METRIC_HISTOGRAM => metrics::histogram!(name, "plugin" => plugin).record(value),
            _ => {}
        }
    }

    /// Answers a question: a status and the payload that goes with it.
    pub(crate) async fn answer(&self, method: &str, payload: &[u8]) -> (u32, Vec<u8>) {
        match self.ask(method, payload).await {
            Ok(answer) => (status::OK, answer),
            Err(Denied::Refused(error)) => {
                // A structure of a string and a bool always has a JSON form.
                (
                    status::REFUSED,
                    serde_json::to_vec(&Refusal::from(error)).unwrap_or_default(),
                )
            }
            Err(Denied::Invalid(reason)) => (status::INVALID, reason.into_bytes()),
            Err(Denied::UnknownMethod) => (status::UNKNOWN_METHOD, vec![]),
        }
    }

    async fn ask(&self, method: &str, payload: &[u8]) -> Result<Vec<u8>, Denied> {
        if payload.len() > MAX_PAYLOAD {
            let reason = format!("the request is {} bytes ({MAX_PAYLOAD} at most)", payload.len());
            return Err(ServiceError::permanent(reason).into());
        }
        let Ok(_permit) = self.permits.try_acquire() else {
            return Err(ServiceError::retryable(format!("{CONCURRENCY} questions to the host are open")).into());
        };
        match method {
            host::CHAIN_CALL => self.chain_call(read(payload)?).await,
            host::KV_GET => {
                let KvGet { key } = read(payload)?;
                check_length("key", key.len(), LONGEST_KEY)?;
                let value = self.core.kv_get(&self.plugin, &key).await?.map(Into::into);
                write(&KvValue { value })
            }
            host::KV_PUT => {
                let KvPut { key, value } = read(payload)?;
                check_length("key", key.len(), LONGEST_KEY)?;
                check_length("value", value.len(), LONGEST_VALUE)?;
                self.core.kv_put(&self.plugin, &key, value.into()).await?;
                write(&())
            }
            _ => Err(Denied::UnknownMethod),
        }
    }

    async fn chain_call(&self, call: ChainCall<&RawValue>) -> Result<Vec<u8>, Denied> {
        let ChainCall { method, params } = call;
        let listed = self.chain_calls.as_ref().is_none_or(|list| list.contains(&method));
        if !chain_method::is_read_only(&method) {
            let reason = format!("`{method}` is no read-only method of the node that a plugin may ask");
            return Err(ServiceError::permanent(reason).into());
        }
        if !listed {
            let reason = format!("`{method}` is not in the plugin's `allow.chain_calls`");
            return Err(ServiceError::permanent(reason).into());
        }
        // Serde writes the empty tuple as null; JSON-RPC wants a list.
        let params = match params.get() {
            "null" => RawValue::from_string("[]".to_owned()).map_err(|error| Denied::Invalid(error.to_string()))?,
            list if list.starts_with('[') => params.to_owned(),
            _ => return Err(Denied::Invalid("`params` must be a list".to_owned())),
        };
        let plugin = self.plugin.to_string();
        metrics::counter!("set_plugin_chain_calls_total", "plugin" => plugin, "method" => method.clone()).increment(1);
        let result = self.core.chain_call(&self.plugin, &method, params).await?;
        let result = Box::<str>::from(result);
        check_length("answer of the node", result.len(), MAX_PAYLOAD)?;
        Ok(result.into_string().into_bytes())
    }
}

fn check_length(what: &str, length: usize, most: usize) -> Result<(), ServiceError> {
    if length <= most {
        return Ok(());
    }
    Err(ServiceError::permanent(format!(
        "the {what} is {length} bytes long ({most} at most)"
    )))
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Denied> {
    serde_json::from_slice(payload).map_err(|error| Denied::Invalid(error.to_string()))
}

fn write<T: Serialize>(answer: &T) -> Result<Vec<u8>, Denied> {
    serde_json::to_vec(answer).map_err(|error| Denied::Invalid(error.to_string()))
}
