//! Credentials and configuration.

use rstest::rstest;
use serde_json::{Value, json};
use set_plugin_sdk::prelude::*;
use set_testkit::Sequencer;
use uuid::Uuid;

use crate::fixture::{ALL, plugin, receipt, simple};

#[rstest]
#[case::a_tenants_own_key(|sequencer: &Sequencer| sequencer.tenant_key().to_owned(), "403 Forbidden: this key may not read")]
#[case::an_unknown_key(|_: &Sequencer| "ss_unknown".to_owned(), "401 Unauthorized: unauthorized: missing or invalid")]
#[tokio::test]
async fn a_key_that_is_not_let_in_is_named_and_not_shown(
    #[case] key: fn(&Sequencer) -> String,
    #[case] expected: &str,
) {
    let sequencer = Sequencer::builder().start().await.unwrap();
    let key = key(&sequencer);
    let plugin = plugin(sequencer.url().as_str(), &key, json!({})).await.unwrap();
    let receipts = (1..20).map(|id| receipt(Uuid::from_u128(id).into(), 1)).collect();
    let errors = [
        plugin.poll(&ALL).await.unwrap_err(),
        plugin.report(&ReportRequest { receipts }).await.unwrap_err(),
        plugin.health().await.unwrap_err(),
    ];
    for error in errors {
        assert!(!error.retryable && error.message.contains(expected), "{error}");
        assert!(
            error.message.contains("only a bootstrap admin's key is let in"),
            "{error}"
        );
        assert!(error.message.contains("check `api_key`"), "{error}");
        assert!(!error.message.contains(&key), "{error}");
    }
    assert!(!format!("{:?}", plugin.logs()).contains(&key));
}

#[tokio::test]
async fn white_space_around_the_key_is_left_out() {
    let (sequencer, _) = simple().await;
    let key = format!(" {}\n", sequencer.admin_key());
    let plugin = plugin(sequencer.url().as_str(), &key, json!({})).await.unwrap();
    plugin.poll(&ALL).await.unwrap();
}

#[rstest]
#[case(json!({ "base_url": "sequencer.example" }), "`base_url` is no URL")]
#[case(json!({ "base_url": "ftp://sequencer.example" }), "`base_url` has the scheme `ftp`")]
#[case(json!({ "base_url": "http://admin:hunter2@sequencer.example" }), "`base_url` holds user information")]
#[case(json!({ "base_url": "http://admin:hunter2@sequencer.example:99999" }), "`base_url` is no URL: invalid port")]
#[case(json!({ "base_url": "http://sequencer.example?key=hunter2" }), "`base_url` holds a query")]
#[case(json!({ "api_key": "  " }), "`api_key` is empty")]
#[case(json!({ "api_key": "ApiKey hunter2" }), "give the key alone, without a scheme")]
#[case(json!({ "api_key": "hunter2\u{0}" }), "`api_key` holds characters that no HTTP header can have")]
#[case(json!({ "timeout": "30s" }), "`timeout` is 30s: give more than nothing and less than 30s")]
#[case(json!({ "timeout": "0s", "connect_timeout": "0s" }), "`connect_timeout` is 0")]
#[case(json!({ "report_concurrency": 0 }), "expected a nonzero u16")]
#[case(json!({ "retries": 3 }), "unknown field `retries`")]
#[tokio::test]
async fn a_wrong_configuration_is_refused_with_its_key(#[case] config: Value, #[case] expected: &str) {
    let error = plugin("http://127.0.0.1:8080", "ss_key", config).await.unwrap_err();
    assert!(!error.retryable && error.message.contains(expected), "{error}");
    assert!(!error.message.contains("hunter2"), "{error}");
}
