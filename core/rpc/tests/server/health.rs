//! `/livez`, `/readyz`, `/healthz`, `/metrics`.

use std::sync::Arc;

use serde_json::json;
use set_chain::ChainView;
use set_rpc::{Health, HealthAnswer, HealthServer, answer::PluginAnswer};

use crate::fixture::{Fixture, call, commitment, plugin, stream};

async fn get(server: &HealthServer, path: &str) -> (u16, String) {
    set_chain::install_tls();
    let response = reqwest::get(format!("http://{}{path}", server.address()))
        .await
        .unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn readiness_and_health_say_which_part_is_at_fault() {
    let fixture = Fixture::new().await;
    let server = fixture.serve_health().await;
    assert_eq!(get(&server, "/livez").await, (200, "alive\n".to_owned()));
    let (status, text) = get(&server, "/readyz").await;
    assert_eq!(status, 200, "a standby answers callers all the same");
    assert!(text.contains("standby: b holds the lease"), "{text}");
    // The index has followed nothing yet: late, not down.
    let (status, text) = get(&server, "/healthz").await;
    let answer: HealthAnswer = serde_json::from_str(&text).unwrap();
    assert_eq!((status, answer.status), (206, Health::Degraded));
    assert_eq!(answer.components["index"].status, Health::Degraded);
    assert_eq!(answer.components["chain"].status, Health::Ok);

    fixture
        .plugins
        .plugins
        .send_replace(vec![plugin("policy", false, "failed")]);
    assert_eq!(
        get(&server, "/readyz").await.0,
        200,
        "an optional plugin keeps nobody from being ready"
    );
    fixture
        .plugins
        .plugins
        .send_replace(vec![plugin("sequencer", true, "wedged")]);
    let (status, text) = get(&server, "/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("`sequencer` is wedged"), "{text}");

    let degraded = PluginAnswer {
        serving: true,
        ..plugin("sequencer", true, "degraded")
    };
    fixture.plugins.plugins.send_replace(vec![degraded]);
    let (status, text) = get(&server, "/readyz").await;
    assert_eq!(status, 200, "it answers");
    assert!(text.contains("`sequencer` is degraded"), "{text}");

    fixture
        .plugins
        .plugins
        .send_replace(vec![plugin("sequencer", true, "started")]);
    fixture.heads.send_replace(Arc::new(ChainView::unknown()));
    for path in ["/readyz", "/healthz"] {
        let (status, text) = get(&server, path).await;
        assert_eq!(status, 503, "{path}");
        assert!(text.contains("the node has not answered yet"), "{text}");
    }
    assert_eq!(get(&server, "/livez").await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn metrics_count_calls_by_known_names_only() {
    let fixture = Fixture::new().await;
    fixture.anchor(&[commitment(stream(1), 0)]).await;
    let (rpc, health) = (fixture.serve().await, fixture.serve_health().await);
    call(&rpc, "set_status", json!([])).await.unwrap();
    call(&rpc, "set_invented_by_the_caller", json!([])).await.unwrap_err();
    let (_, text) = get(&health, "/metrics").await;
    assert!(
        text.contains(r#"set_rpc_requests_total{method="set_status",outcome="ok"}"#),
        "{text}"
    );
    assert!(
        text.contains(r#"set_rpc_requests_total{method="other",outcome="error"}"#),
        "{text}"
    );
    assert!(!text.contains("invented"), "{text}");
    rpc.stop().await;
    health.stop().await;
}
