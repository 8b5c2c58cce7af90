//! Through the C table, as the host does it.

use serde_json::json;
use set_plugin_sdk::{harness::Harness, prelude::*};

async fn harness(from: u8, until: u8) -> Harness {
    let config = json!({ "from": from, "until": until });
    Harness::builder(crate::PLUGIN).config(config).start().await.unwrap()
}

fn commitment() -> Subject {
    let word = |byte: &str| format!("0x{}", byte.repeat(32));
    serde_json::from_value(json!({
        "subject": "commitment",
        "batch_id": word("01"), "tenant_id": word("02"), "store_id": word("03"),
        "events_root": word("04"), "prev_state_root": word("00"), "new_state_root": word("05"),
        "sequence_start": 1, "sequence_end": 2, "event_count": 2, "committed_at": "2026-11-22T00:00:00Z",
        "backlog": { "commitments": 1, "events": 2, "oldest": "2026-11-22T00:00:00Z" },
    }))
    .unwrap()
}

fn sponsorship() -> Subject {
    serde_json::from_value(json!({
        "subject": "sponsorship", "merchant": format!("0x{}", "06".repeat(20)), "amount": "0x1", "operation_type": 0,
    }))
    .unwrap()
}

/// The verdicts about a commitment and a sponsorship at a time on one day.
async fn at(harness: &Harness, time: &str) -> Vec<Verdict> {
    let context = PolicyContext {
        now: format!("2026-11-22T{time}Z").parse().unwrap(),
        fees: None,
    };
    let subjects = vec![commitment(), sponsorship()];
    let request = EvaluateRequest { subjects, context };
    harness.evaluate(&request).await.unwrap().verdicts
}

fn held_until(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Hold { until, .. } => until.map(|until| until.to_string()),
        _ => None,
    }
}

#[tokio::test]
async fn commitments_wait_outside_of_the_hours_and_sponsorships_never() {
    let harness = harness(8, 20).await;
    for open in ["08:00:00", "12:34:56.789", "19:59:59.999"] {
        assert_eq!(at(&harness, open).await, [Verdict::Allow, Verdict::Allow], "{open}");
    }
    for (closed, opens) in [
        ("07:59:59.999", "2026-11-22T08:00:00Z"),
        ("20:00:00", "2026-11-23T08:00:00Z"),
    ] {
        let verdicts = at(&harness, closed).await;
        assert_eq!(held_until(&verdicts[0]).as_deref(), Some(opens), "{closed}");
        assert_eq!(verdicts[1], Verdict::Allow, "{closed}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn the_hours_may_span_midnight() {
    let harness = harness(22, 6).await;
    for open in ["22:00:00", "23:59:59", "00:00:00", "05:59:59"] {
        assert_eq!(at(&harness, open).await[0], Verdict::Allow, "{open}");
    }
    let held = at(&harness, "06:00:00").await;
    assert_eq!(held_until(&held[0]).as_deref(), Some("2026-11-22T22:00:00Z"));
    harness.stop().await;
}

#[tokio::test]
async fn hours_that_mean_nothing_are_refused() {
    let config = json!({ "from": 8, "until": 8 });
    let refused = Harness::builder(crate::PLUGIN)
        .config(config)
        .start()
        .await
        .unwrap_err();
    assert!(refused.message.contains("the same hour"), "{refused}");
    let schema = Harness::describe(crate::PLUGIN).unwrap().config_schema;
    assert_eq!(schema.as_value()["properties"]["until"]["maximum"], json!(23));
}

/// What the guide shows is what compiles here.
#[test]
fn the_guide_quotes_this_crate() {
    let guide = include_str!("../../README.md");
    let files = [
        ("toml", include_str!("../Cargo.toml")),
        ("rust", include_str!("lib.rs")),
    ];
    for (language, text) in files {
        let block = format!("\n```{language}\n{text}```\n");
        assert!(
            guide.contains(&block),
            "plugins/README.md must quote this file:\n{text}"
        );
    }
}
