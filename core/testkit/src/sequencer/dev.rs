//! `/dev/…`: what a test or a demonstration does to the sequencer. Not part of the real API; no
//! credentials.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use set_types::BatchId;
use uuid::Uuid;

use super::{Defect, Faults, Shared, batch::PendingEntry, refusal};

/// `GET /dev/faults`
pub(super) async fn faults(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    Json(shared.faults().clone())
}

/// `POST /dev/faults`: sets the switches that the object names, and answers with all of them.
pub(super) async fn set_faults(State(shared): State<Arc<Shared>>, Json(changes): Json<Map<String, Value>>) -> Response {
    let mut faults = shared.faults();
    match faults.merge(changes) {
        Ok(()) => Json(faults.clone()).into_response(),
        Err(error) => refusal::plain(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

/// `DELETE /dev/faults`: everything is well again.
pub(super) async fn heal(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    let mut faults = shared.faults();
    *faults = Faults::default();
    Json(faults.clone())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Commit {
    /// Position of the stream in `/dev/state`.
    #[serde(default)]
    stream: usize,
    #[serde(default = "one")]
    batches: u32,
    #[serde(default = "one")]
    events: u32,
    defect: Option<Defect>,
}

const fn one() -> u32 {
    1
}

/// `POST /dev/commit`: commits batches now, and answers with them as `pending` would list them.
pub(super) async fn commit(State(shared): State<Arc<Shared>>, Json(order): Json<Commit>) -> Response {
    let Some(stream) = shared.ledger().streams.get(order.stream).map(|stream| stream.id) else {
        return refusal::plain(StatusCode::NOT_FOUND, format!("no stream {}", order.stream));
    };
    let made: Vec<PendingEntry> = (0..order.batches)
        .filter_map(|_| shared.commit(stream, order.events, order.defect))
        .map(|commitment| (&commitment).into())
        .collect();
    Json(made).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenStream {
    #[serde(default = "first")]
    first_sequence: u64,
}

const fn first() -> u64 {
    1
}

/// `POST /dev/streams`: opens a stream whose first batch will start anywhere.
pub(super) async fn open_stream(State(shared): State<Arc<Shared>>, Json(order): Json<OpenStream>) -> Json<Value> {
    let mut ledger = shared.ledger();
    let position = ledger.streams.len();
    let stream = ledger.open_stream(order.first_sequence);
    Json(json!({ "stream": position, "tenant_id": stream.tenant_id, "store_id": stream.store_id }))
}

/// `GET /dev/events/{batch_id}/{sequence}`: the signed event that a leaf stands for, and its agent's key.
pub(super) async fn event(
    State(shared): State<Arc<Shared>>,
    Path((batch_id, sequence)): Path<(Uuid, u64)>,
) -> Response {
    let ledger = shared.ledger();
    let id = BatchId::from(batch_id);
    match (ledger.event(id, sequence), ledger.batch(id)) {
        (Some(event), Some(batch)) => {
            let key = ledger.streams[batch.stream].public_key();
            Json(json!({ "sequence_number": sequence, "agent_public_key": key, "event": event })).into_response()
        }
        _ => refusal::plain(StatusCode::NOT_FOUND, "no such event"),
    }
}

/// `GET /dev/state`: streams, counts of requests, switches, and every report that arrived.
pub(super) async fn state(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let faults = shared.faults().clone();
    let requests = shared.requests();
    let ledger = shared.ledger();
    let streams: Vec<Value> = ledger
        .streams
        .iter()
        .map(|stream| {
            json!({
                "tenant_id": stream.id.tenant_id,
                "store_id": stream.id.store_id,
                "agent_public_key": stream.public_key(),
                "batches": stream.batches.len(),
                "anchored": stream.batches.iter().filter(|batch| ledger.batches[**batch].anchor.is_some()).count(),
                "next_sequence": stream.next_sequence,
            })
        })
        .collect();
    Json(json!({
        "batches": ledger.batches.len(),
        "anchored": ledger.anchored,
        "streams": streams,
        "requests": requests,
        "faults": faults,
        "reports": ledger.reports,
    }))
}
