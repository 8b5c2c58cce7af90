//! A plugin in C, through the committed header: one that keeps the contract, and one for each clause that
//! it could break.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use set_host::{CallErrorKind, Host, HostConfig, PluginState};
use set_types::PollRequest;
use support::{PluginDir, asked, out_of_time, plugin, refusal, start, until};

const POLL: PollRequest = PollRequest { limit: 1 };

fn config(dir: &PluginDir, deadline: &str) -> HostConfig {
    dir.config(vec![plugin(json!({
        "id": "plain", "kind": "source", "path": "libplain.so", "required": true, "deadline": deadline,
        "config": { "greeting": "hello" },
    }))])
}

async fn started(dir: &PluginDir, defines: &[&str], deadline: &str) -> Host {
    dir.compile("libplain.so", defines);
    start(config(dir, deadline)).await.unwrap()
}

#[tokio::test]
async fn one_that_keeps_the_contract_works() {
    let dir = PluginDir::new();
    let host = started(&dir, &[], "20s").await;
    let answer = host.source().unwrap().poll(&POLL).await.unwrap();
    assert_eq!(answer.malformed[0].reason, "first");
    // Each plugin is asked for its health too; this one does not know that method, which is no failure.
    asked(&host, 2).await;
    let report = host.plugins().remove(0);
    assert_eq!(
        (report.name.as_deref(), report.state),
        (Some("plain-c"), PluginState::Started)
    );
    assert_eq!((report.failures, report.last_error), (0, None));
    host.shutdown(Duration::from_secs(20)).await;
    assert_eq!(host.plugins()[0].state, PluginState::Stopped);
}

#[tokio::test]
async fn one_that_is_no_such_plugin_is_not_started() {
    for (define, expected) in [
        (
            "WRONG_MAJOR",
            "it is built for version 2 of the ABI, this program for 1",
        ),
        ("SHORT_TABLE", "the table is 32 bytes, and version 1 has at least 56"),
        ("NO_FUNCTIONS", "must not be null"),
        ("NULL_TABLE", "at no valid address"),
        ("WRONG_KIND", "`kind` is source, but the plugin `plain-c` is a policy"),
        (
            "WRONG_PROTOCOL",
            "it speaks message versions 7 to 9, this program speaks 1",
        ),
        ("BAD_DESCRIPTOR", "`describe` wrote what cannot be read"),
        ("set_plugin_v1=set_plugin_v9", "has no symbol `set_plugin_v1`"),
    ] {
        let dir = PluginDir::new();
        dir.compile("libplain.so", &[define]);
        let error = refusal(start(config(&dir, "1s")).await);
        assert!(
            error.starts_with("plugins: plugin `plain`: ") && error.contains(expected),
            "{define}: {error}"
        );
    }
}

#[tokio::test]
async fn a_wrong_answer_is_an_error_of_that_call() {
    for (define, expected) in [
        ("BAD_ANSWER", "it answered what cannot be read"),
        ("NULL_ANSWER", "it answered 9 bytes at null"),
        ("HUGE_ANSWER", "it answered 67108865 bytes (67108864 at most)"),
        ("STRANGE_STATUS", "it completed with the unknown status 77"),
    ] {
        let dir = PluginDir::new();
        let host = started(&dir, &[define], "20s").await;
        for _ in 0..2 {
            let error = host.source().unwrap().poll(&POLL).await.unwrap_err();
            assert!(
                matches!(&error.kind, CallErrorKind::Protocol(reason) if reason.contains(expected)),
                "{error}"
            );
        }
        assert_eq!(host.plugins()[0].generation, 1);
    }
}

#[tokio::test]
async fn a_second_completion_is_dropped() {
    let dir = PluginDir::new();
    let host = started(&dir, &["TWICE"], "20s").await;
    let source = host.source().unwrap();
    for _ in 0..3 {
        source.poll(&POLL).await.unwrap();
    }
    // The second completion of a call comes before the first of the next one.
    let report = host.plugins().remove(0);
    assert!(report.stray_completions >= 2 && report.failures == 0, "{report:?}");
    host.shutdown(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn a_late_completion_is_dropped_and_the_next_call_answered() {
    let dir = PluginDir::new();
    let host = started(&dir, &["LATE"], "20s").await;
    let source = host.source().unwrap();
    // The plugin's health is asked for first, and is not what comes late.
    asked(&host, 1).await;
    let error = out_of_time(source.poll(&POLL)).await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Timeout(Duration::from_secs(20)));
    assert_eq!(source.poll(&POLL).await.unwrap().malformed[0].reason, "first");
    let report = host.plugins().remove(0);
    assert_eq!((report.stray_completions, report.generation), (1, 1), "{report:?}");
    host.shutdown(Duration::from_secs(20)).await;
    assert_eq!(host.plugins()[0].state, PluginState::Stopped);
}

#[tokio::test]
async fn one_that_hangs_or_never_completes_is_replaced() {
    for define in ["NEVER", "BLOCK"] {
        let dir = PluginDir::new();
        let host = started(&dir, &[define], "100ms").await;
        let error = host.source().unwrap().poll(&POLL).await.unwrap_err();
        assert_eq!(error.kind, CallErrorKind::Timeout(Duration::from_millis(100)));
        until(&host, |report| {
            report.generation == 2 && report.state == PluginState::Started
        })
        .await;
    }
}

#[tokio::test]
async fn the_same_path_with_new_content_is_new_code() {
    let dir = PluginDir::new();
    for generation in ["first", "second", "first"] {
        let host = started(&dir, &[&format!("GENERATION=\"{generation}\"")], "20s").await;
        assert_eq!(
            host.source().unwrap().poll(&POLL).await.unwrap().malformed[0].reason,
            generation
        );
        host.shutdown(Duration::from_secs(20)).await;
    }
}

#[test]
fn inspect_shows_what_a_file_is() {
    let dir = PluginDir::new();
    let file = dir.compile("libplain.so", &[]);
    let shown = serde_json::to_value(set_host::inspect(&file).unwrap()).unwrap();
    assert_eq!(
        (&shown["abi"], &shown["descriptor"]["name"]),
        (&json!("1.0"), &json!("plain-c"))
    );
    assert_eq!(shown["sha256"].as_str().map(str::len), Some(64));
    let text = dir.path().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    let error = set_host::inspect(&text).unwrap_err().to_string();
    assert!(error.contains("text.so: cannot be loaded"), "{error}");
}

#[tokio::test]
async fn the_schema_of_any_language_is_enforced() {
    let dir = PluginDir::new();
    dir.compile("libplain.so", &[]);
    let mut config = config(&dir, "1s");
    config.plugins[0].config = Value::Object(serde_json::Map::new());
    let error = refusal(start(config).await);
    assert!(
        error.ends_with("its configuration is wrong: `config.greeting` is missing"),
        "{error}"
    );
}
