//! The plugins of a real host.

use std::sync::Arc;

use alloy_primitives::Address;
use async_trait::async_trait;
use serde_json::{json, value::RawValue};
use set_host::{Builtin, Host, HostConfig, HostServices, ServiceError};
use set_rpc::{Plugins, SourceError};
use set_types::InclusionProofRequest;

use crate::fixture::stream;

/// No node is there.
struct Nothing;

#[async_trait]
impl HostServices for Nothing {
    async fn chain_call(&self, _: &str, _: &str, _: Box<RawValue>) -> Result<Box<RawValue>, ServiceError> {
        Err(ServiceError::retryable("no node is there"))
    }

    async fn kv_get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, ServiceError> {
        Ok(None)
    }

    async fn kv_put(&self, _: &str, _: &str, _: Vec<u8>) -> Result<(), ServiceError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_shows_what_anybody_may_see() {
    let registry = Address::repeat_byte(0xab);
    let plugin = json!({
        "id": "registry", "kind": "submitter", "builtin": "registry-submitter", "required": true,
        "config": { "registry": registry },
    });
    let config = HostConfig {
        plugins: vec![serde_json::from_value(plugin).unwrap()],
        ..HostConfig::default()
    };
    let builtin = Builtin {
        name: "registry-submitter",
        entry: set_registry_submitter::PLUGIN,
    };
    let host = Host::start(config, &[builtin], Arc::new(Nothing)).await.unwrap();

    let listed = host.list();
    let [plugin] = listed.as_slice() else {
        panic!("{listed:?}")
    };
    assert_eq!((plugin.id.as_str(), plugin.kind.as_str()), ("registry", "submitter"));
    assert_eq!(plugin.name.as_deref(), Some("registry-submitter"));
    assert!(
        plugin.builtin && plugin.serving && plugin.required && plugin.sha256.is_none(),
        "{plugin:?}"
    );
    let shown = serde_json::to_string(&listed).unwrap().to_lowercase();
    assert!(!shown.contains("abab"), "its configuration stays inside: {shown}");

    let request = InclusionProofRequest {
        stream: stream(1),
        batch_id: Default::default(),
        sequence: 1,
    };
    let error = host.inclusion_proof(request).await.unwrap_err();
    assert_eq!(error, SourceError::Unavailable("no source is configured".to_owned()));
    host.shutdown(std::time::Duration::from_secs(5)).await;
}
