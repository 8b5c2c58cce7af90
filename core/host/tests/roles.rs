//! The chain of policies, and what a submitter may answer.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use serde_json::{Value, json};
use set_host::{CallErrorKind, Host, HostConfig, Judgement};
use set_types::{
    BatchId, DecodeRequest, EvaluateRequest, HeadsRequest, LookupRequest, PlanRequest, SettleRequest, Verdict,
};
use support::{plugin, start, stream};

const A: &str = "aaaaaaaa-0000-4000-8000-000000000000";
const B: &str = "bbbbbbbb-0000-4000-8000-000000000000";
const C: &str = "cccccccc-0000-4000-8000-000000000000";

fn commitment(batch: &str) -> Value {
    let root = format!("0x{}", "11".repeat(32));
    let mut commitment = stream();
    let more = json!({
        "batch_id": batch, "events_root": root, "prev_state_root": root, "new_state_root": root,
        "sequence_start": 1, "sequence_end": 1, "event_count": 1, "committed_at": "2026-01-01T00:00:00Z",
    });
    commitment
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    commitment
}

fn policy(id: &str, config: Value) -> Value {
    json!({ "id": id, "kind": "policy", "builtin": "fixture-policy", "config": config })
}

async fn judge(policies: Vec<Value>) -> Vec<Judgement> {
    let config = HostConfig {
        plugins: policies.into_iter().map(plugin).collect(),
        ..HostConfig::default()
    };
    let host = start(config).await.unwrap();
    let subject = |batch| {
        let mut subject = commitment(batch);
        subject["subject"] = json!("commitment");
        subject["backlog"] = json!({ "commitments": 1, "events": 1, "oldest": "2026-01-01T00:00:00Z" });
        subject
    };
    let request = json!({
        "subjects": [subject(A), subject(B), subject(C)], "context": { "now": "2026-01-01T00:00:00Z", "fees": null },
    });
    let request: EvaluateRequest = serde_json::from_value(request).unwrap();
    host.policies().evaluate(&request).await
}

fn held(policy: &str, reason: &str) -> Judgement {
    Judgement {
        verdict: Verdict::Hold {
            until: None,
            reason: reason.to_owned(),
        },
        policy: Some(policy.to_owned()),
    }
}

const ALLOWED: Judgement = Judgement {
    verdict: Verdict::Allow,
    policy: None,
};

#[tokio::test]
async fn the_first_policy_that_does_not_allow_decides() {
    assert_eq!(judge(vec![]).await, [ALLOWED, ALLOWED, ALLOWED]);
    let chain = vec![
        policy("one", json!({ "hold": [A] })),
        policy("two", json!({ "hold": [A, C] })),
    ];
    // The second is asked only about the two that the first allows.
    assert_eq!(judge(chain).await, [held("one", "3"), ALLOWED, held("two", "2")]);
}

#[tokio::test]
async fn a_policy_without_an_answer_holds() {
    for config in [json!({ "refuse": true }), json!({ "lie": true })] {
        let judgements = judge(vec![policy("one", json!({ "hold": [A] })), policy("two", config)]).await;
        assert_eq!(judgements[0], held("one", "3"));
        for judgement in &judgements[1..] {
            let Verdict::Hold { until: None, reason } = &judgement.verdict else {
                panic!("{judgement:?}")
            };
            assert!(
                reason.starts_with("no verdict, so it waits: plugin `two`, `evaluate`"),
                "{reason}"
            );
        }
    }
}

async fn submitter(plan: Value, lie: bool) -> Host {
    let to = format!("0x{}", "11".repeat(20));
    let entry = json!({
        "id": "registry", "kind": "submitter", "builtin": "fixture-submitter",
        "config": { "plan": plan.to_string(), "lie": lie },
        "allow": { "calls": [{ "to": to, "selectors": ["0x01020304"] }] },
    });
    start(HostConfig {
        plugins: vec![plugin(entry)],
        ..HostConfig::default()
    })
    .await
    .unwrap()
}

fn call(data: &str, gas_limit: u64, batches: &[&str]) -> Value {
    let to = format!("0x{}", "11".repeat(20));
    json!({ "to": to, "data": data, "value": "0x0", "gas_limit": gas_limit, "batches": batches })
}

#[tokio::test]
async fn a_plan_is_what_was_asked_for_and_allowed() {
    let request: PlanRequest = serde_json::from_value(json!({
        "commitments": [commitment(A), commitment(B)], "heads": [], "from": format!("0x{}", "22".repeat(20)),
        "limits": { "gas": 100, "bytes": 1, "estimated_bytes": 1, "da_footprint": null, "da_footprint_scalar": null, "calls": 2 },
    }))
    .unwrap();
    let planned = async |plan: Value| submitter(plan, false).await.submitter().unwrap().plan(&request).await;

    let good = call("0x0102030405", 100, &[A]);
    let plan = planned(json!({ "calls": [good], "excluded": [{ "batch_id": B, "reason": "r" }] }))
        .await
        .unwrap();
    assert_eq!(plan.calls[0].batches, [A.parse::<BatchId>().unwrap()]);
    for (calls, expected) in [
        (vec![call("0x09090909", 1, &[A])], "may not call"),
        (vec![call("0x01020304", 101, &[A])], "101 gas in one call (100 at most)"),
        (vec![call("0x01020304", 1, &[C])], "not asked for"),
        (
            vec![call("0x01020304", 1, &[A]), call("0x01020304", 1, &[B, A])],
            "planned twice",
        ),
        (vec![call("0x01020304", 1, &[])], "settles nothing"),
        (vec![good.clone(), good.clone(), good.clone()], "3 calls (2 at most)"),
    ] {
        let error = planned(json!({ "calls": calls })).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn every_answer_fits_its_question() {
    let settle: SettleRequest = serde_json::from_value(json!({
        "call": call("0x01020304", 1, &[A, B]), "succeeded": true, "gas_used": 1, "block_number": 1,
        "from": format!("0x{}", "22".repeat(20)), "logs": [],
    }))
    .unwrap();
    let heads: HeadsRequest = serde_json::from_value(json!({ "streams": [stream()] })).unwrap();
    let lookup: LookupRequest = serde_json::from_value(json!({ "batches": [A] })).unwrap();
    let decode = DecodeRequest { logs: vec![] };

    let honest = submitter(json!({ "calls": [] }), false).await.submitter().unwrap();
    assert_eq!(honest.settle(&settle).await.unwrap().settlements.len(), 2);
    assert_eq!(honest.heads(&heads).await.unwrap().heads.len(), 1);
    assert_eq!(honest.lookup(&lookup).await.unwrap().records, [None]);
    assert_eq!(honest.log_filter().await.unwrap().from_block, Some(7));
    assert_eq!(honest.decode(&decode).await.unwrap().opened, []);

    let liar = submitter(json!({ "calls": [] }), true).await.submitter().unwrap();
    let errors = [
        liar.settle(&settle).await.unwrap_err(),
        liar.heads(&heads).await.unwrap_err(),
        liar.lookup(&lookup).await.unwrap_err(),
        liar.decode(&decode).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error.kind, CallErrorKind::Protocol(_)), "{error}");
    }
}
