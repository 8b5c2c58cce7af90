//! Batches, limits, faults, hosts and origins; HTTP and WebSocket.

use std::time::Duration;

use jsonrpsee::{
    core::{
        client::{ClientT, Error},
        params::BatchRequestBuilder,
    },
    rpc_params,
    ws_client::WsClientBuilder,
};
use serde_json::{Value, json};
use set_rpc::{RpcConfig, RpcServer, answer::VersionAnswer};

use crate::fixture::{Fixture, HANGS, PANICS, call, commitment, post, stream};

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn a_mixed_batch_is_answered_entry_by_entry() {
    let fixture = Fixture::new().await;
    let one = commitment(stream(1), 0);
    fixture.anchor(std::slice::from_ref(&one)).await;
    let server = fixture.serve().await;
    let batch = json!([
        request(1, "set_version", json!([])),
        request(2, "set_nothing", json!([])),
        request(3, "set_getCommitment", json!(["x"])),
        request(4, "set_getCommitment", json!([PANICS])),
        { "jsonrpc": "2.0", "method": "set_version" },
        { "id": 5 },
        request(6, "set_getCommitment", json!([one.batch_id])),
    ]);
    let (status, answers) = post(&server, batch.to_string()).await;
    assert_eq!(status, 200);
    let answers = answers.as_array().unwrap();
    let codes: Vec<_> = answers
        .iter()
        .map(|answer| (&answer["id"], answer["error"]["code"].as_i64()))
        .collect();
    let expected = [
        (&json!(1), None),
        (&json!(2), Some(-32601)),
        (&json!(3), Some(-32602)),
        (&json!(4), Some(-32603)),
        (&json!(5), Some(-32600)),
        (&json!(6), None),
    ];
    assert_eq!(codes, expected, "in order, and nothing for the notification");
    assert!(
        answers[1]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("`set_nothing`; set_version lists")
    );
    assert_eq!(answers[3]["error"]["data"]["kind"], "internal");
    let ids: Vec<_> = [2, 3]
        .map(|entry: usize| &answers[entry]["error"]["data"]["requestId"])
        .into();
    assert!(
        ids[0] != ids[1] && !ids[0].as_str().unwrap().is_empty(),
        "each entry has an id of its own: {ids:?}"
    );

    let (_, answer) = post(
        &server,
        json!([{ "jsonrpc": "2.0", "method": "set_version" }]).to_string(),
    )
    .await;
    assert_eq!(answer, Value::Null, "a batch of notifications has no answers");
    server.stop().await;
}

#[tokio::test]
async fn limits_are_kept_and_named() {
    let mut fixture = Fixture::new().await;
    fixture.config = RpcConfig {
        max_request_bytes: 2_000,
        max_response_bytes: 2_000,
        max_batch: 3,
        ..fixture.config
    };
    let server = fixture.serve().await;
    let large = request(1, "set_getCommitment", json!(["x".repeat(2_000)]));
    let (status, answer) = post(&server, large.to_string()).await;
    assert_eq!((status, &answer["error"]["code"]), (413, &json!(-32007)));
    let (_, answer) = post(
        &server,
        json!(vec![request(1, "set_listPlugins", json!([])); 4]).to_string(),
    )
    .await;
    assert_eq!(answer["error"]["code"], -32010);
    let error = call(&server, "set_version", json!([])).await.unwrap_err();
    assert_eq!(error["code"], -32008, "the directory of methods is over 2,000 bytes");
    let (_, answer) = post(&server, "{").await;
    assert_eq!(answer["error"]["code"], -32700);
    server.stop().await;
}

#[tokio::test]
async fn a_fault_is_the_calls_own() {
    let mut fixture = Fixture::new().await;
    // Only what hangs takes so long, however busy this machine is.
    fixture.config.call_timeout = Duration::from_secs(3);
    let server = fixture.serve().await;
    let error = call(&server, "set_getCommitment", json!([PANICS])).await.unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["kind"]),
        (&json!(-32603), &json!("internal"))
    );
    assert!(
        !error.to_string().contains("as a handler might"),
        "causes stay in the log: {error}"
    );
    let error = call(&server, "set_getCommitment", json!([HANGS])).await.unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["retryable"]),
        (&json!(-39010), &json!(true))
    );
    call(&server, "set_version", json!([])).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_websocket_on_the_same_port_answers_the_same() {
    let fixture = Fixture::new().await;
    let server = fixture.serve().await;
    let client = WsClientBuilder::default()
        .build(format!("ws://{}", server.address()))
        .await
        .unwrap();
    let version: VersionAnswer = client.request("set_version", rpc_params![]).await.unwrap();
    let over_http = call(&server, "set_version", json!([])).await.unwrap();
    assert_eq!(serde_json::to_value(version).unwrap(), over_http);
    let refused: Result<Value, _> = client.request("set_getCommitment", rpc_params!["x"]).await;
    let Err(Error::Call(error)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(error.code(), -32602);

    let mut batch = BatchRequestBuilder::new();
    batch.insert("set_version", rpc_params![]).unwrap();
    batch.insert("set_getCommitment", rpc_params![PANICS]).unwrap();
    let answers = client.batch_request::<Value>(batch).await.unwrap();
    assert_eq!((answers.num_successful_calls(), answers.num_failed_calls()), (1, 1));
    server.stop().await;
}

async fn ask_as(server: &RpcServer, method: reqwest::Method, headers: &[(&str, &str)]) -> reqwest::Response {
    set_chain::install_tls();
    let body = request(1, "set_version", json!([])).to_string();
    let request = reqwest::Client::new()
        .request(method, format!("http://{}", server.address()))
        .header("content-type", "application/json")
        .body(body);
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

#[tokio::test]
async fn strange_hosts_and_origins_are_refused() {
    let mut fixture = Fixture::new().await;
    fixture.config.cors_origins = vec!["https://shop.example".to_owned()];
    let server = fixture.serve().await;
    let post = reqwest::Method::POST;
    let rebound = ask_as(&server, post.clone(), &[("host", "evil.example:8645")]).await;
    assert_eq!(rebound.status(), 403);
    assert!(rebound.text().await.unwrap().contains("rpc.hosts"));
    let foreign = ask_as(&server, post.clone(), &[("origin", "https://evil.example")]).await;
    assert_eq!(foreign.status(), 403);

    let welcome = ask_as(&server, post, &[("origin", "https://shop.example")]).await;
    assert_eq!(welcome.status(), 200);
    assert_eq!(welcome.headers()["access-control-allow-origin"], "https://shop.example");
    let preflight = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let preflight = ask_as(&server, reqwest::Method::OPTIONS, &preflight).await;
    assert_eq!(preflight.status(), 200);
    assert_eq!(preflight.headers()["access-control-allow-headers"], "content-type");

    // Browsers do not ask before they open a WebSocket.
    let headers = [("origin", "https://evil.example")].into_iter().map(|(name, value)| {
        (
            name.parse::<http::HeaderName>().unwrap(),
            value.parse::<http::HeaderValue>().unwrap(),
        )
    });
    let socket = WsClientBuilder::default().set_headers(headers.collect());
    assert!(socket.build(format!("ws://{}", server.address())).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_key() {
    let mut fixture = Fixture::new().await;
    let server = fixture.serve().await;
    fixture.config.health_listen = server.address();
    let parts = fixture.health_parts();
    let error = set_rpc::HealthServer::start(server.address(), parts)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("rpc.health_listen") && error.contains(&server.address().to_string()),
        "{error}"
    );
    server.stop().await;
}
