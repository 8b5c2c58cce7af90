//! `GET /v1/commitments/pending`, and the faults of its answer.

use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State},
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, batch::PendingEntry, faults::strikes, refusal};

const DEFAULT_LIMIT: usize = 1000;
const LARGEST_LIMIT: usize = 5000;

#[derive(Debug, Deserialize)]
pub(super) struct Window {
    limit: Option<usize>,
}

/// How the body of one answer is spoilt.
enum Spoilt {
    No,
    WebPage,
    Truncated,
    CutOff,
}

/// Lists commitments that nobody has reported, oldest first, all streams mixed.
pub(super) async fn list(State(shared): State<Arc<Shared>>, Query(window): Query<Window>) -> Response {
    let limit = window.limit.unwrap_or(DEFAULT_LIMIT).min(LARGEST_LIMIT);
    shared.count(|requests| &mut requests.pending);
    let (stale, holes, malformed, spoilt, content_type) = {
        let mut faults = shared.faults();
        let spoilt = if strikes(&mut faults.web_pages) {
            Spoilt::WebPage
        } else if strikes(&mut faults.truncated) {
            Spoilt::Truncated
        } else if strikes(&mut faults.cut_off) {
            Spoilt::CutOff
        } else {
            Spoilt::No
        };
        (
            faults.stale(),
            faults.holes,
            faults.malformed,
            spoilt,
            faults.content_type.clone(),
        )
    };
    let entries: Vec<PendingEntry> = {
        let mut ledger = shared.ledger();
        let batches = ledger.pending(limit, stale, holes);
        batches.into_iter().map(|batch| (&batch.commitment).into()).collect()
    };
    let body = match malformed {
        0 => serde_json::to_vec(&json!({ "total": entries.len(), "commitments": entries })),
        malformed => serde_json::to_vec(&among(json!(entries), malformed, limit)),
    };
    let body = match body {
        Ok(body) => Bytes::from(body),
        Err(error) => return refusal::plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let mut response = match spoilt {
        Spoilt::WebPage => return ([(CONTENT_TYPE, "text/html")], "<html><body>Log in</body></html>").into_response(),
        Spoilt::No => Body::from(body).into_response(),
        Spoilt::Truncated => Body::from(body.slice(..body.len() / 2)).into_response(),
        Spoilt::CutOff => cut_off(&body),
    };
    let content_type = content_type.as_deref().unwrap_or("application/json");
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}

/// Announces the whole body and breaks off after half of it.
fn cut_off(body: &Bytes) -> Response {
    let half = stream::iter([Ok(body.slice(..body.len() / 2)), Err(io::ErrorKind::ConnectionReset)]);
    let half = futures::StreamExt::map(half, |part| part.map_err(io::Error::from));
    let mut response = Body::from_stream(half).into_response();
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    response
}

/// Puts malformed entries between the good ones, one after each, the rest at the end.
fn among(entries: Value, malformed: u32, limit: usize) -> Value {
    let Value::Array(good) = entries else { return entries };
    let mut bad = (0..malformed).map(bad_entry);
    let mut mixed = vec![];
    for entry in good {
        mixed.push(entry);
        mixed.extend(bad.next());
    }
    mixed.extend(bad);
    mixed.truncate(limit);
    json!({ "total": mixed.len(), "commitments": mixed })
}

/// An entry that is no commitment, each in another way.
fn bad_entry(number: u32) -> Value {
    let id = |kind: u8| format!("00000000-0000-4000-8000-{kind:02x}{number:010x}");
    let mut entry = json!({
        "batch_id": id(1),
        "chain_tx_hash": null,
        "committed_at": "2026-11-22T10:58:10Z",
        "event_count": 1,
        "events_root": format!("0x{}", "11".repeat(32)),
        "new_state_root": format!("0x{}", "22".repeat(32)),
        "prev_state_root": format!("0x{}", "00".repeat(32)),
        "sequence_end": 1,
        "sequence_start": 1,
        "store_id": id(2),
        "tenant_id": id(3),
    });
    match number % 10 {
        0 => entry["batch_id"] = "not-a-uuid".into(),
        1 => entry["events_root"] = "0x1234".into(),
        2 => entry["sequence_start"] = (-1).into(),
        3 => entry["event_count"] = 4_294_967_296_u64.into(),
        4 => entry["committed_at"] = "yesterday".into(),
        5 => entry["tenant_id"] = Value::Null,
        6 => entry["sequence_end"] = "18446744073709551616".into(),
        7 => {
            entry.as_object_mut().map(|fields| fields.remove("new_state_root"));
        }
        8 => entry = Value::Null,
        _ => entry = "a text".into(),
    }
    entry
}

#[cfg(test)]
mod tests {
    use set_types::Commitment;

    use super::*;

    #[test]
    fn malformed_entries_stand_between_good_ones_and_are_no_commitments() {
        let recorded: Value = serde_json::from_str(include_str!("../../vectors/pending.json")).unwrap();
        let mixed = among(recorded["commitments"].clone(), 10, 5000);
        let entries = mixed["commitments"].as_array().unwrap();
        assert_eq!(mixed["total"], 22);
        for (index, entry) in entries.iter().enumerate() {
            let readable = serde_json::from_value::<Commitment>(entry.clone()).is_ok();
            assert_eq!(readable, index % 2 == 0 || index >= 20, "{entry}");
        }
    }
}
