//! Servers that are no sequencer, and proxies before one.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::Html,
    routing::any,
};
use serde_json::json;
use set_plugin_sdk::prelude::*;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::fixture::{ALL, plugin, report, retry};

const KEY: &str = "ss_secret_key";

/// Serves on any free port until the test ends; returns the base URL.
pub(crate) async fn serve(app: Router) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn batch() -> BatchId {
    Uuid::from_u128(1).into()
}

#[tokio::test]
async fn the_key_follows_no_redirect() {
    let elsewhere = Arc::new(Mutex::new(0));
    let count = Arc::clone(&elsewhere);
    let other = serve(Router::new().fallback(move || async move { *count.lock().unwrap() += 1 })).await;
    let location = [(header::LOCATION, format!("{other}/v1/commitments/pending"))];
    let redirect = (StatusCode::TEMPORARY_REDIRECT, location);
    let url = serve(Router::new().fallback(|| async { redirect })).await;
    let plugin = plugin(&url, KEY, json!({})).await.unwrap();
    for error in [
        plugin.poll(&ALL).await.unwrap_err(),
        report(&plugin, batch(), 1).await.unwrap_err(),
    ] {
        assert!(
            !error.retryable && error.message.contains("redirects are not followed"),
            "{error}"
        );
        assert!(error.message.contains("`base_url`"), "{error}");
    }
    assert_eq!(*elsewhere.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_404_that_is_not_the_sequencers_refuses_no_report() {
    let empty = serve(Router::new()).await;
    let page = (StatusCode::NOT_FOUND, Html("<h1>404</h1>"));
    let page = serve(Router::new().fallback(move || async move { page })).await;
    for url in [empty, page] {
        let plugin = plugin(&url, KEY, json!({})).await.unwrap();
        for error in [
            plugin.poll(&ALL).await.unwrap_err(),
            report(&plugin, batch(), 1).await.unwrap_err(),
        ] {
            assert!(
                !error.retryable && error.message.contains("`base_url` leads to something else"),
                "{error}"
            );
        }
        assert!(plugin.health().await.is_err());
    }
}

#[tokio::test]
async fn a_refusal_whose_words_are_lost_refuses_no_report() {
    let broken = || async {
        let words = futures::stream::iter([Err::<&str, _>(std::io::ErrorKind::ConnectionReset)]);
        let words = futures::StreamExt::map(words, |part| part.map_err(std::io::Error::from));
        let length = [(header::CONTENT_LENGTH, "20")];
        (StatusCode::NOT_FOUND, length, axum::body::Body::from_stream(words))
    };
    let url = serve(Router::new().fallback(broken)).await;
    let plugin = plugin(&url, KEY, json!({})).await.unwrap();
    let (reason, _) = retry(report(&plugin, batch(), 1).await.unwrap());
    assert!(reason.contains("the connection broke"), "{reason}");
}

#[tokio::test]
async fn a_200_that_is_not_the_sequencers_records_nothing() {
    let url = serve(Router::new().fallback(|| async { Html("<form>Log in</form>") })).await;
    let plugin = plugin(&url, KEY, json!({})).await.unwrap();
    let (reason, _) = retry(report(&plugin, batch(), 1).await.unwrap());
    assert!(
        reason.contains("no answer to a report") && reason.contains("`<form>Log in</form>`"),
        "{reason}"
    );
    let url = serve(Router::new().fallback(|| async { r#"{"status":"queued"}"# })).await;
    let plugin = crate::fixture::plugin(&url, KEY, json!({})).await.unwrap();
    let (reason, _) = retry(report(&plugin, batch(), 1).await.unwrap());
    assert!(reason.contains("`status` is `queued`"), "{reason}");
}

#[tokio::test]
async fn what_a_server_repeats_is_shown_short_plain_and_without_the_key() {
    let echo = |headers: HeaderMap| async move {
        let sent = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{sent}\u{1b}[2J\n{}", "x".repeat(1 << 20)),
        )
    };
    let url = serve(Router::new().fallback(echo)).await;
    let plugin = plugin(&url, KEY, json!({})).await.unwrap();
    let error = plugin.poll(&ALL).await.unwrap_err();
    assert!(error.message.contains("ApiKey [redacted] [2J x"), "{error}");
    assert!(error.message.len() < 400 && !error.message.contains(KEY), "{error}");
}

#[tokio::test]
async fn a_path_before_the_routes_is_kept_and_requests_are_as_documented() {
    let seen = Arc::new(Mutex::new(vec![]));
    let record = {
        let seen = Arc::clone(&seen);
        move |request: Request| async move {
            let header = |name| {
                request
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            let line = format!("{} {}", request.method(), request.uri());
            let headers = [header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT_ENCODING].map(header);
            seen.lock().unwrap().push((line, headers));
            r#"{"commitments":[],"status":"anchored"}"#
        }
    };
    let url = serve(Router::new().route("/{*path}", any(record))).await;
    let id = |number| Uuid::from_u128(number).to_string();
    for prefix in ["", "/", "/set/sequencer", "/set/sequencer/"] {
        let plugin = plugin(&format!("{url}{prefix}"), KEY, json!({})).await.unwrap();
        plugin.poll(&PollRequest { limit: 70_000 }).await.unwrap();
        report(&plugin, batch(), 1).await.unwrap();
        let stream = StreamId {
            tenant_id: Uuid::from_u128(2).into(),
            store_id: Uuid::from_u128(3).into(),
        };
        let request = PollStreamRequest {
            stream,
            after: 0,
            limit: 5,
        };
        plugin.poll_stream(&request).await.unwrap();
        let prefix = prefix.trim_end_matches('/');
        let (one, two, three) = (id(1), id(2), id(3));
        let expected = [
            (format!("GET {prefix}/v1/commitments/pending?limit=5000"), None),
            (
                format!("POST {prefix}/v1/commitments/{one}/anchored"),
                Some("application/json".to_owned()),
            ),
            (
                format!("GET {prefix}/api/v1/ves/commitments?tenant_id={two}&store_id={three}"),
                None,
            ),
        ];
        let expected = expected.map(|(line, content_type)| {
            (
                line,
                [Some(format!("ApiKey {KEY}")), content_type, Some("gzip".to_owned())],
            )
        });
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), expected);
    }
}

#[tokio::test]
async fn https_to_a_server_without_it_is_an_error_and_no_panic() {
    let url = serve(Router::new()).await.replace("http://", "https://");
    let plugin = plugin(&url, KEY, json!({})).await.unwrap();
    let error = plugin.poll(&ALL).await.unwrap_err();
    assert!(error.retryable && error.message.contains("cannot connect"), "{error}");
}
