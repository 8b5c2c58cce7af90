//! What op-node says that it was started with.

use std::path::Path;

use reqwest::Url;
use serde_json::Value;
use set_chain::{json_rpc, transport_cause};

use super::{
    configured,
    document::RollupConfig,
    facts::{Lasting, facts},
};
use crate::{check::report::Finding, config::Config};

const METHOD: &str = "optimism_rollupConfig";

/// Compares op-node's rollup configuration with ours and with the file, where `chain.op_node_url` is given.
/// What else there is to say of op-node, its own check says.
pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let Some(url) = config.chain.op_node_url.as_ref().and_then(|url| url.parse().ok()) else {
        return vec![];
    };
    let subject = Url::origin(&url).ascii_serialization();
    match ask(config, &url).await {
        Ok(rollup) => compare(config, configured(config), &subject, &rollup),
        Err(cause) => vec![Finding::skipped("rollup", subject, cause)],
    }
}

async fn ask(config: &Config, url: &Url) -> Result<RollupConfig, String> {
    let client = json_rpc(url, config.chain.rpc_timeout).map_err(|error| error.to_string())?;
    let answer = client.request_noparams::<Value>(METHOD).await;
    let answer = answer.map_err(|error| transport_cause(&error))?;
    RollupConfig::new(answer).ok_or_else(|| format!("{METHOD} answers no rollup configuration"))
}

fn compare(config: &Config, file: Option<(&Path, RollupConfig)>, subject: &str, theirs: &RollupConfig) -> Vec<Finding> {
    let mut findings = vec![];
    let mut complain = |found: String, advice: String| {
        findings.push(Finding::problem("rollup", subject, found, advice));
    };
    let facts = facts(config, theirs);
    let lasting = facts.iter().filter(|fact| fact.lasting == Lasting::Always);
    for fact in lasting.clone().filter(|fact| fact.differs()) {
        let found = format!("`{}` {fact} at op-node", fact.key);
        complain(found, format!("correct `{}`, or `chain.op_node_url`", fact.key));
    }
    if let Some((path, ours)) = file {
        let (ours, theirs) = (ours.members(), theirs.members());
        let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        for name in names {
            let (ours, theirs) = (shown(ours.get(name)), shown(theirs.get(name)));
            if ours != theirs {
                let path = path.display();
                let found = format!("`{name}` is {ours} in {path}, but {theirs} at op-node");
                complain(
                    found,
                    "start op-node with this file, or name the one it was started with in `rollup.config`".to_owned(),
                );
            }
        }
    }
    if findings.is_empty() {
        let found = format!("{} facts agree with op-node's", lasting.count());
        findings.push(Finding::ok("rollup", subject, found));
    }
    findings
}

/// A member's value. A checksum in an address makes no difference; null says as little as nothing.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "missing".to_owned(),
        Some(Value::String(text)) => text.to_ascii_lowercase(),
        Some(other) => other.to_string(),
    }
}
