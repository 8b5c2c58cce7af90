//! Each of `chain.rpc_urls`: does it answer, for the right chain, at the chain's head, by the same clock?

use std::time::{Duration, Instant};

use alloy_primitives::U64;
use futures::future::join_all;
use jiff::Timestamp;
use reqwest::{Client, header::DATE};
use serde_json::{Value, json};
use set_chain::SettlementTag;
use url::Url;

use super::report::{Finding, within};
use crate::config::Config;

/// Difference of clocks that is nobody's concern; HTTP tells whole seconds.
const CLOCK_TOLERANCE: i64 = 5;

/// The questions, in the order of their ids.
fn questions() -> Value {
    let block =
        |id, tag| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_getBlockByNumber", "params": [tag, false] });
    json!([
        { "jsonrpc": "2.0", "id": 0, "method": "eth_chainId", "params": [] },
        { "jsonrpc": "2.0", "id": 1, "method": "eth_syncing", "params": [] },
        block(2, "latest"),
        block(3, "safe"),
        block(4, "finalized"),
    ])
}

/// What a node answered.
struct Answers {
    took: Duration,
    /// By the node's own clock, where it says.
    date: Option<Timestamp>,
    answers: Vec<Value>,
}

impl Answers {
    fn result(&self, id: u64) -> &Value {
        let answer = self.answers.iter().find(|answer| answer["id"] == id);
        answer.map_or(&Value::Null, |answer| &answer["result"])
    }

    fn number(&self, id: u64) -> Option<u64> {
        number(self.result(id))
    }
}

fn number(value: &Value) -> Option<u64> {
    serde_json::from_value::<U64>(value.clone())
        .ok()
        .map(|number| number.to())
}

/// Asks every node, all at the same time.
pub(crate) async fn check(config: &Config, deadline: Duration) -> Vec<Finding> {
    let checks = config.chain.rpc_urls.iter().map(|written| async move {
        match written.parse::<Url>() {
            Ok(url) => {
                let shown = url.origin().ascii_serialization();
                within(deadline, "node", &shown, check_one(config, url, &shown)).await
            }
            Err(error) => {
                let advice = "correct `chain.rpc_urls`";
                vec![Finding::problem(
                    "node",
                    "chain.rpc_urls",
                    format!("no URL ({error})"),
                    advice,
                )]
            }
        }
    });
    join_all(checks).await.into_iter().flatten().collect()
}

async fn check_one(config: &Config, url: Url, shown: &str) -> Vec<Finding> {
    let answers = match ask(config, url).await {
        Ok(answers) => answers,
        Err(error) => {
            let advice = "is the node running, and is this its public RPC? Correct `chain.rpc_urls`";
            return vec![Finding::problem("node", shown, error, advice)];
        }
    };
    let took = format!("answers in {} ms", answers.took.as_millis());
    let now = Timestamp::now();
    let mut findings = vec![Finding::ok("node", shown, took), chain_id(config, shown, &answers)];
    findings.push(syncing(shown, &answers));
    findings.push(head(config, shown, &answers, now));
    findings.extend(clock(shown, &answers, now));
    findings.extend(tags(config, shown, &answers));
    findings.push(gas_limit(config, shown, &answers));
    findings
}

async fn ask(config: &Config, url: Url) -> Result<Answers, String> {
    // What the client says first repeats the URL, which may hold an access key.
    let words = |error: reqwest::Error| {
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause.to_string()
    };
    let client = Client::builder()
        .timeout(config.chain.rpc_timeout)
        .build()
        .map_err(words)?;
    let begun = Instant::now();
    let response = client.post(url).json(&questions()).send().await;
    let response = response.map_err(words)?;
    let status = response.status();
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let date = date.map(|date| date.timestamp());
    let body: Value = match response.json().await {
        Ok(body) => body,
        Err(_) if !status.is_success() => return Err(format!("HTTP status {status}")),
        Err(error) => return Err(words(error)),
    };
    let took = begun.elapsed();
    match body {
        Value::Array(answers) => Ok(Answers { took, date, answers }),
        other => Err(format!("refuses a JSON-RPC batch: {}", other["error"]["message"])),
    }
}

fn chain_id(config: &Config, shown: &str, answers: &Answers) -> Finding {
    let expected = config.chain.id;
    match answers.number(0) {
        Some(found) if found == expected => Finding::ok("chain id", shown, found.to_string()),
        Some(found) => Finding::problem(
            "chain id",
            shown,
            format!("the node serves chain {found}, `chain.id` is {expected}"),
            "give this chain's node in `chain.rpc_urls`, or correct `chain.id`",
        ),
        None => Finding::problem("chain id", shown, "the node does not say", "is this an Ethereum RPC?"),
    }
}

fn syncing(shown: &str, answers: &Answers) -> Finding {
    match answers.result(1) {
        Value::Object(progress) => {
            let block = |key| {
                progress
                    .get(key)
                    .and_then(number)
                    .map_or_else(|| "?".to_owned(), |block| block.to_string())
            };
            let found = format!(
                "the node is at block {} of {}",
                block("currentBlock"),
                block("highestBlock")
            );
            Finding::problem("syncing", shown, found, "wait until the node has caught up")
        }
        _ => Finding::ok("syncing", shown, "the node has caught up"),
    }
}

fn head(config: &Config, shown: &str, answers: &Answers, now: Timestamp) -> Finding {
    let block = answers.result(2);
    let (Some(number_), Some(timestamp)) = (number(&block["number"]), number(&block["timestamp"])) else {
        return Finding::problem(
            "head",
            shown,
            "the node knows no newest block",
            "is it a node of the L2?",
        );
    };
    let age = now.as_second() - i64::try_from(timestamp).unwrap_or(i64::MAX);
    let block_time = i64::try_from(config.block.time.as_secs()).unwrap_or(i64::MAX);
    let oldest = (block_time * 10).max(30);
    if age < -(block_time + CLOCK_TOLERANCE) {
        let found = format!("block {number_} is {} s ahead of this machine's clock", -age);
        return Finding::problem(
            "head",
            shown,
            found,
            "set the clock of this machine or of the block builder right (NTP)",
        );
    }
    if age > oldest {
        let found = format!("block {number_} is {age} s old by this machine's clock");
        let advice = "are blocks being made, and does this node get them? Or is this machine's clock ahead (NTP)?";
        return Finding::problem("head", shown, found, advice);
    }
    Finding::ok("head", shown, format!("block {number_}, {} s old", age.max(0)))
}

fn clock(shown: &str, answers: &Answers, now: Timestamp) -> Option<Finding> {
    let ahead = answers.date?.as_second() - now.as_second();
    Some(if ahead.abs() > CLOCK_TOLERANCE {
        let found = format!("the node's clock is {ahead} s ahead of this machine's");
        Finding::problem("clock", shown, found, "set both clocks by NTP")
    } else {
        Finding::ok("clock", shown, "the node's clock and this machine's agree")
    })
}

/// The tags that reports and watching wait for; op-node's own check looks at them where they are its word.
fn tags(config: &Config, shown: &str, answers: &Answers) -> Vec<Finding> {
    let waits = [
        ("commitment.report_at", config.commitment.report_at),
        ("txmgr.watch_until", config.txmgr.watch_until),
    ];
    let finding = |(key, tag): (&str, SettlementTag)| {
        let id = match tag {
            SettlementTag::Included => 2,
            SettlementTag::Safe => 3,
            SettlementTag::Finalized => 4,
        };
        match number(&answers.result(id)["number"]) {
            Some(block) => Finding::ok("tag", shown, format!("`{key}` = \"{tag}\": block {block}")),
            None => Finding::problem(
                "tag",
                shown,
                format!("the node knows no {tag} block, and `{key}` waits for it"),
                "does op-node follow L1? On a chain without L1 behind it, write \"included\"",
            ),
        }
    };
    let by_the_node =
        |(_, tag): &(&str, SettlementTag)| *tag == SettlementTag::Included || config.chain.op_node_url.is_none();
    waits.into_iter().filter(by_the_node).map(finding).collect()
}

fn gas_limit(config: &Config, shown: &str, answers: &Answers) -> Finding {
    let configured = config.block.gas_limit;
    match number(&answers.result(2)["gasLimit"]) {
        Some(found) if found == configured => Finding::ok("block", shown, format!("gas limit {found}")),
        Some(found) => Finding::problem(
            "block",
            shown,
            format!("a block's gas limit is {found}, `block.gas_limit` is {configured}"),
            "correct `block.gas_limit`",
        ),
        None => Finding::skipped("block", shown, "the node knows no newest block"),
    }
}
