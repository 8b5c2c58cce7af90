//! A plugin before a server.

use serde_json::{Map, Value, json};
use set_plugin_sdk::{harness::Harness, prelude::*, types::alloy_primitives::B256};
use set_sequencer_http::PLUGIN;
use set_testkit::{Sequencer, sequencer::SequencerBuilder};

/// Starts the plugin with `base_url` and `api_key`, and what `more` adds or replaces.
pub(crate) async fn plugin(base_url: &str, api_key: &str, more: Value) -> Result<Harness, PluginError> {
    let mut config: Map<String, Value> = Map::new();
    config.insert("base_url".into(), base_url.into());
    config.insert("api_key".into(), api_key.into());
    let Value::Object(more) = more else {
        panic!("{more} is no object")
    };
    config.extend(more);
    Harness::builder(PLUGIN).config(Value::Object(config)).start().await
}

/// A sequencer, and the plugin before it with the bootstrap admin's key.
pub(crate) async fn start(builder: SequencerBuilder, more: Value) -> (Sequencer, Harness) {
    let sequencer = builder.start().await.unwrap();
    let plugin = plugin(sequencer.url().as_str(), sequencer.admin_key(), more)
        .await
        .unwrap();
    (sequencer, plugin)
}

/// One stream, and the defaults.
pub(crate) async fn simple() -> (Sequencer, Harness) {
    start(Sequencer::builder(), json!({})).await
}

pub(crate) const ALL: PollRequest = PollRequest { limit: 5000 };

/// A report of a commitment in the transaction `0xnn…nn`.
pub(crate) fn receipt(batch_id: BatchId, transaction: u8) -> AnchorReceipt {
    AnchorReceipt {
        batch_id,
        chain_id: 84_532_001,
        tx_hash: B256::repeat_byte(transaction),
        block_number: 7,
        gas_used: Some(46_000),
    }
}

/// What becomes of one report.
pub(crate) async fn report(plugin: &Harness, batch_id: BatchId, transaction: u8) -> Result<ReportStatus, PluginError> {
    let request = ReportRequest {
        receipts: vec![receipt(batch_id, transaction)],
    };
    let mut outcomes = plugin.report(&request).await?.outcomes;
    let outcome = outcomes.pop().unwrap();
    assert_eq!((outcome.batch_id, outcomes.len()), (batch_id, 0));
    Ok(outcome.status)
}

/// The reason and the time of a retry.
pub(crate) fn retry(status: ReportStatus) -> (String, Option<u64>) {
    match status {
        ReportStatus::Retry { after_ms, reason } => (reason, after_ms),
        other => panic!("{other:?} is no retry"),
    }
}
