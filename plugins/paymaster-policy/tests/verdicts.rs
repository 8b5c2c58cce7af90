//! Verdicts, asked through the plugin's C table.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use rstest::rstest;
use serde_json::{Value, json};
use set_paymaster_policy::PLUGIN;
use set_plugin_sdk::{
    harness::Harness,
    prelude::*,
    types::{
        FeeContext,
        alloy_primitives::{Address, B256, U256},
    },
};

const TENANT: &str = "f03eb0f6-90ee-46e2-a756-5ca9b225848a";
const STORE: &str = "fd5aa127-bf8d-4b16-9d8e-5be979cdfdc7";
const GWEI: u128 = 1_000_000_000;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// One of two commitments with 60 events together, the older made at 12:00.
fn commitment() -> Subject {
    let oldest = time("2026-11-22T12:00:00.25Z");
    Subject::Commitment {
        commitment: Box::new(Commitment {
            batch_id: "09dc526a-e203-4f7d-8295-f1f492512707".parse().unwrap(),
            tenant_id: TENANT.parse().unwrap(),
            store_id: STORE.parse().unwrap(),
            events_root: B256::repeat_byte(1),
            prev_state_root: B256::ZERO,
            new_state_root: B256::repeat_byte(2),
            sequence_start: 1,
            sequence_end: 20,
            event_count: 20,
            committed_at: oldest,
        }),
        backlog: StreamBacklog {
            commitments: 2,
            events: 60,
            oldest,
        },
    }
}

fn context(now: &str, fees: Option<(u128, u128)>) -> PolicyContext {
    PolicyContext {
        now: time(now),
        fees: fees.map(|(base_fee, tip)| FeeContext { base_fee, tip }),
    }
}

async fn judge(config: Value, subjects: Vec<Subject>, context: PolicyContext) -> Vec<Verdict> {
    let plugin = Harness::builder(PLUGIN).config(config).start().await.unwrap();
    let verdicts = plugin
        .evaluate(&EvaluateRequest { subjects, context })
        .await
        .unwrap()
        .verdicts;
    plugin.stop().await;
    verdicts
}

fn hold(until: Option<&str>, reason: &str) -> Verdict {
    Verdict::Hold {
        until: until.map(time),
        reason: reason.into(),
    }
}

fn deny(reason: impl Into<String>) -> Verdict {
    Verdict::Deny { reason: reason.into() }
}

const EARLY: &str = "2026-11-22T12:01:00Z";

#[rstest]
#[case::no_rules(json!({}), Verdict::Allow)]
#[case::paused(json!({ "pause": true }), hold(None, "`commitments.pause` is true"))]
#[case::enough_events(json!({ "min_events": 60 }), Verdict::Allow)]
#[case::too_few_events(
    json!({ "min_events": 61, "max_age": "90s" }),
    hold(Some("2026-11-22T12:01:30.25Z"), "60 events wait in the stream; `commitments.min_events` is 61")
)]
#[case::old_enough(json!({ "min_events": 61, "max_age": "59s 750ms" }), Verdict::Allow)]
#[case::one_millisecond_too_young(
    json!({ "min_events": 61, "max_age": "59s 751ms" }),
    hold(Some("2026-11-22T12:01:00.001Z"), "60 events wait in the stream; `commitments.min_events` is 61")
)]
#[case::an_age_past_the_end_of_time(
    json!({ "min_events": 61, "max_age": "500000y" }),
    hold(None, "60 events wait in the stream; `commitments.min_events` is 61")
)]
#[case::cheap_enough(json!({ "max_gas_price": "2.5" }), Verdict::Allow)]
#[case::too_dear(
    json!({ "max_gas_price": "2.499999999" }),
    hold(None, "gas costs 2.5 gwei; `commitments.max_gas_price` is 2.499999999")
)]
#[case::age_is_no_leave_to_overpay(
    json!({ "min_events": 61, "max_age": "1s", "max_gas_price": "2" }),
    hold(None, "gas costs 2.5 gwei; `commitments.max_gas_price` is 2")
)]
#[case::tenant_denied(
    json!({ "pause": true, "tenants": { "deny": [TENANT] } }),
    deny(format!("{TENANT} is in `commitments.tenants.deny`"))
)]
#[case::tenant_allowed(json!({ "tenants": { "allow": [TENANT] } }), Verdict::Allow)]
#[case::store_not_allowed(
    json!({ "tenants": { "allow": [TENANT] }, "stores": { "allow": [TENANT] } }),
    deny(format!("{STORE} is not in `commitments.stores.allow`"))
)]
#[tokio::test]
async fn commitments_are_judged(#[case] rules: Value, #[case] expected: Verdict) {
    let context = context(EARLY, Some((2 * GWEI, GWEI / 2)));
    let verdicts = judge(json!({ "commitments": rules }), vec![commitment()], context).await;
    assert_eq!(verdicts, [expected]);
}

#[tokio::test]
async fn an_unknown_price_holds_only_where_there_is_a_ceiling() {
    let rules = json!({ "commitments": { "max_gas_price": "1" } });
    let verdicts = judge(rules, vec![commitment()], context(EARLY, None)).await;
    let reason = "the gas price is not known; `commitments.max_gas_price` is 1 gwei";
    assert_eq!(verdicts, [hold(None, reason)]);
    let verdicts = judge(json!({}), vec![commitment()], context(EARLY, None)).await;
    assert_eq!(verdicts, [Verdict::Allow]);
}

#[rstest]
#[case::no_rules(json!({}), 6, Verdict::Allow)]
#[case::paused(json!({ "pause": true }), 0, hold(None, "`sponsorships.pause` is true"))]
#[case::unknown_operation(json!({}), 7, deny("operation type 7 is unknown; SetPaymaster has 0 to 6"))]
#[case::operation_not_paid(
    json!({ "operation_types": ["ORDER_CREATE"] }), 5,
    deny("CommitmentAnchor (operation type 5) is not in `sponsorships.operation_types`")
)]
#[case::operation_paid(json!({ "operation_types": ["COMMITMENT_ANCHOR"] }), 5, Verdict::Allow)]
#[case::amount_at_the_limit(json!({ "max_amount": "1000" }), 0, Verdict::Allow)]
#[case::amount_above(
    json!({ "max_amount": "999" }), 0, deny("1000 wei is more than `sponsorships.max_amount`, 999")
)]
#[case::merchant_denied(
    json!({ "merchants": { "deny": [Address::repeat_byte(0x11)] } }), 0,
    deny("0x1111111111111111111111111111111111111111 is in `sponsorships.merchants.deny`")
)]
#[tokio::test]
async fn sponsorships_are_judged(#[case] rules: Value, #[case] operation_type: u8, #[case] expected: Verdict) {
    let subject = Subject::Sponsorship(Sponsorship {
        merchant: Address::repeat_byte(0x11),
        amount: U256::from(1000),
        operation_type,
    });
    // Rules for commitments say nothing of sponsorships.
    let config = json!({ "commitments": { "pause": true }, "sponsorships": rules });
    let verdicts = judge(config, vec![subject], context(EARLY, None)).await;
    assert_eq!(verdicts, [expected]);
}

#[rstest]
#[case(json!({ "commitments": { "max_gas_price": "1 gwei" } }), "`1 gwei` is no gas price")]
#[case(json!({ "commitments": { "min_event": 1 } }), "unknown field `min_event`")]
#[case(json!({ "commitments": { "tenants": { "allow": [] } } }), "`commitments.tenants.allow` is empty")]
#[case(
    json!({ "commitments": { "stores": { "allow": [STORE], "deny": [STORE] } } }),
    "is in `commitments.stores.allow` and in `commitments.stores.deny`"
)]
#[case(json!({ "sponsorships": { "operation_types": ["ORDERS"] } }), "unknown variant `ORDERS`")]
#[tokio::test]
async fn a_wrong_configuration_is_refused_with_its_key(#[case] config: Value, #[case] expected: &str) {
    let error = Harness::builder(PLUGIN).config(config).start().await.unwrap_err();
    assert!(error.message.contains(expected), "{error}");
}
