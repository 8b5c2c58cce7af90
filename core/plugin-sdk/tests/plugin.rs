//! A plugin written as an author writes one, driven through its C table.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use serde_json::json;
use set_plugin_sdk::{harness::Harness, prelude::*};

struct Counting {
    host: Host,
    limit: u64,
    token: Secret,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct CountingConfig {
    limit: u64,
    token: Secret,
}

#[async_trait]
impl Plugin for Counting {
    type Config = CountingConfig;

    async fn create(config: CountingConfig, host: Host) -> Result<Self, PluginError> {
        if config.limit == 0 {
            return Err(PluginError::permanent("`limit` is 0; give at least 1"));
        }
        tracing::info!(limit = config.limit, "created");
        Ok(Self {
            host,
            limit: config.limit,
            token: config.token,
        })
    }

    async fn health(&self) -> Result<(), PluginError> {
        let id: String = self.host.chain_call("eth_chainId", ()).await?;
        if id == "0x1" {
            Ok(())
        } else {
            Err(PluginError::retryable(format!("chain id is {id}")))
        }
    }
}

#[async_trait]
impl Policy for Counting {
    async fn evaluate(&self, request: EvaluateRequest) -> Result<EvaluateResponse, PluginError> {
        let seen = self.host.kv_get("seen").await?.map_or(0, |bytes| u64::from(bytes[0])) + 1;
        assert!(seen <= self.limit, "{seen} is past the limit");
        self.host.kv_put("seen", vec![seen as u8]).await?;
        self.host.counter("evaluations", 1);
        let spawned = tokio::spawn(async move {
            tokio::task::yield_now().await;
            let span = tracing::info_span!("judging", subjects = request.subjects.len());
            let _entered = span.enter();
            tracing::warn!(seen, "judged");
            request.subjects.len()
        });
        let subjects = spawned
            .await
            .map_err(|error| PluginError::permanent(error.to_string()))?;
        assert_eq!(self.token.expose(), "hunter2");
        Ok(EvaluateResponse {
            verdicts: vec![Verdict::Allow; subjects],
        })
    }
}

set_plugin_sdk::plugin!(Counting as Policy, name = "counting");

fn request() -> EvaluateRequest {
    EvaluateRequest {
        subjects: vec![],
        context: PolicyContext {
            now: Timestamp::UNIX_EPOCH,
            fees: None,
        },
    }
}

#[tokio::test]
async fn calls_services_logs_and_panics_cross_the_boundary() {
    let harness = Harness::builder(PLUGIN)
        .config(json!({ "limit": 2, "token": "hunter2" }))
        .kv("seen", [0])
        .chain(|method, params| async move {
            assert_eq!((method.as_str(), params), ("eth_chainId", json!([])));
            Ok(json!("0x1"))
        })
        .start()
        .await
        .unwrap();

    harness.health().await.unwrap();
    assert_eq!(harness.evaluate(&request()).await.unwrap().verdicts, []);
    assert_eq!(harness.kv("seen"), Some(vec![1]));
    assert_eq!(harness.metric("evaluations"), Some(1.0));

    let logs = harness.logs();
    assert_eq!(
        (logs[0].message.as_str(), &logs[0].fields),
        ("created", &json!({ "limit": 2 }))
    );
    let judged = logs.iter().find(|line| line.message == "judged").unwrap();
    assert_eq!(
        (judged.level, &judged.fields),
        (2, &json!({ "subjects": 0, "seen": 1 }))
    );
    assert_eq!(judged.target, "plugin");

    harness.evaluate(&request()).await.unwrap();
    let panic = harness.evaluate(&request()).await.unwrap_err();
    assert_eq!(panic.message, "`evaluate` panicked: 3 is past the limit");
    harness.health().await.unwrap();

    let other_role = harness.poll(&PollRequest { limit: 1 }).await.unwrap_err();
    assert_eq!(other_role.message, "no method `poll`");
    harness.stop().await;
}

#[tokio::test]
async fn a_plugin_that_cannot_start_says_why() {
    let start = |config| Harness::builder(PLUGIN).config(config).start();
    let refused = start(json!({ "limit": 0, "token": "hunter2" })).await.unwrap_err();
    assert_eq!(refused, PluginError::permanent("`limit` is 0; give at least 1"));
    let misspelt = start(json!({ "limits": 1, "token": "hunter2" })).await.unwrap_err();
    assert!(misspelt.message.contains("unknown field `limits`"), "{misspelt}");
}

#[test]
fn the_descriptor_holds_name_role_and_schema() {
    let descriptor = Harness::describe(PLUGIN).unwrap();
    assert_eq!(
        (descriptor.name.as_str(), descriptor.kind),
        ("counting", PluginKind::Policy)
    );
    assert_eq!(descriptor.version, env!("CARGO_PKG_VERSION"));
    let schema = serde_json::to_value(&descriptor.config_schema).unwrap();
    assert_eq!(schema["required"], json!(["limit", "token"]));
    assert_eq!(schema["properties"]["token"]["writeOnly"], json!(true));
}
