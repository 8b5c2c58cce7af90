//! What the core does for plugins: questions to the node, and a place to keep values.

use std::borrow::Cow;

use alloy::providers::Provider;
use async_trait::async_trait;
use serde_json::value::RawValue;
use set_chain::{L2Provider, transport_cause};
use set_host::{HostServices, ServiceError};
use set_index::{Durable, StoreError};

/// The host's services over the node and the durable store. The host itself checks which methods a
/// plugin may ask.
pub(crate) struct CoreServices {
    pub(crate) provider: L2Provider,
    pub(crate) durable: Durable,
}

#[async_trait]
impl HostServices for CoreServices {
    async fn chain_call(
        &self,
        _plugin: &str,
        method: &str,
        params: Box<RawValue>,
    ) -> Result<Box<RawValue>, ServiceError> {
        let answer = self
            .provider
            .raw_request_dyn(Cow::Owned(method.to_owned()), &params)
            .await;
        answer.map_err(|error| match error.as_error_resp() {
            // The node's own words about the question: asking again changes nothing, except that a
            // revert's data is what a plugin may be after.
            Some(answer) => {
                let data = answer
                    .data
                    .as_ref()
                    .map(|data| format!(" (data: {data})"))
                    .unwrap_or_default();
                ServiceError::permanent(format!("{method}: {}{data}", answer.message))
            }
            None => ServiceError::retryable(format!("{method}: {}", transport_cause(&error))),
        })
    }

    async fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, ServiceError> {
        self.durable.plugin_value(plugin, key).await.map_err(store)
    }

    async fn kv_put(&self, plugin: &str, key: &str, value: Vec<u8>) -> Result<(), ServiceError> {
        self.durable
            .set_plugin_value(plugin, key, Some(value))
            .await
            .map_err(store)
    }
}

fn store(error: StoreError) -> ServiceError {
    ServiceError::retryable(error.to_string())
}
