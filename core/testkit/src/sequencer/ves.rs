//! `/api/v1/ves/…`: one stream's commitments, one commitment, inclusion proofs.

use std::sync::Arc;

use alloy_primitives::B256;
use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use set_types::{BatchId, StreamId};
use uuid::Uuid;

use super::{Shared, refusal};

/// The real page limit was not measured.
const PAGE: usize = 1000;

#[derive(Debug, Deserialize)]
pub(super) struct OfStream {
    tenant_id: Uuid,
    store_id: Uuid,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OfBatch {
    tenant_id: Uuid,
    store_id: Uuid,
    batch_id: Uuid,
}

fn stream_id(tenant_id: Uuid, store_id: Uuid) -> StreamId {
    StreamId {
        tenant_id: tenant_id.into(),
        store_id: store_id.into(),
    }
}

/// One stream's commitments that nobody has reported, in order.
pub(super) async fn list(State(shared): State<Arc<Shared>>, Query(query): Query<OfStream>) -> Json<Value> {
    shared.count(|requests| &mut requests.stream_lists);
    let stale = shared.faults().stale();
    let limit = query.limit.unwrap_or(PAGE).min(PAGE);
    let ledger = shared.ledger();
    let commitments: Vec<Value> = ledger
        .stream(&stream_id(query.tenant_id, query.store_id))
        .into_iter()
        .flat_map(|stream| ledger.stream_pending(stream, stale))
        .take(limit)
        .map(|(_, batch)| batch.ves_entry(stale))
        .collect();
    Json(json!({ "commitments": commitments }))
}

/// One commitment, with its transaction once that was reported.
pub(super) async fn show(State(shared): State<Arc<Shared>>, Path(batch_id): Path<Uuid>) -> Response {
    shared.count(|requests| &mut requests.batches);
    let stale = shared.faults().stale();
    match shared.ledger().batch(BatchId::from(batch_id)) {
        Some(batch) => Json(batch.ves_entry(stale)).into_response(),
        None => refusal::plain(StatusCode::NOT_FOUND, format!("no batch {batch_id}")),
    }
}

/// The proof that an event is in a batch.
pub(super) async fn proof(
    State(shared): State<Arc<Shared>>,
    Path(sequence): Path<u64>,
    Query(query): Query<OfBatch>,
) -> Response {
    shared.count(|requests| &mut requests.proofs);
    let false_proofs = shared.faults().false_proofs;
    let ledger = shared.ledger();
    let Some(batch) = ledger.batch(BatchId::from(query.batch_id)) else {
        return refusal::plain(StatusCode::NOT_FOUND, format!("no batch {}", query.batch_id));
    };
    if batch.commitment.stream() != stream_id(query.tenant_id, query.store_id) {
        return refusal::plain(StatusCode::FORBIDDEN, "the batch belongs to another stream");
    }
    let proof = sequence
        .checked_sub(batch.first_sequence)
        .and_then(|index| batch.proof(index));
    let Some(mut proof) = proof else {
        return refusal::plain(StatusCode::BAD_REQUEST, "the sequence number is outside the batch");
    };
    if false_proofs {
        proof.leaf ^= B256::with_last_byte(1);
    }
    Json(proof.entry(batch)).into_response()
}
