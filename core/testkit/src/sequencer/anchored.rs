//! `POST /v1/commitments/{batch_id}/anchored`: reports.

use std::sync::Arc;

use alloy_primitives::B256;
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use set_types::BatchId;
use uuid::Uuid;

use super::{Shared, faults::strikes, ledger::Outcome, ledger::Report, refusal};

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    chain_tx_hash: String,
    chain_id: u64,
    block_number: Option<u64>,
    gas_used: Option<u64>,
}

/// What the gateway before the sequencer does to one report.
enum Gateway {
    Passes,
    TimesOutBefore,
    TimesOutAfter,
}

/// Records a report. Final: no route undoes it, and nothing is checked against a chain.
pub(super) async fn report(
    State(shared): State<Arc<Shared>>,
    Path(batch_id): Path<Uuid>,
    Json(body): Json<Body>,
) -> Response {
    shared.count(|requests| &mut requests.reports);
    let Some(chain_tx_hash) = hash(&body.chain_tx_hash) else {
        return refusal::plain(
            StatusCode::BAD_REQUEST,
            "chain_tx_hash must be 0x followed by 64 hex digits",
        );
    };
    let mut report = Report {
        batch_id: BatchId::from(batch_id),
        chain_tx_hash,
        chain_id: body.chain_id,
        block_number: body.block_number,
        gas_used: body.gas_used,
        status: StatusCode::GATEWAY_TIMEOUT.as_u16(),
        recorded: false,
    };
    let gateway = {
        let mut faults = shared.faults();
        if strikes(&mut faults.timeouts_before_write) {
            Gateway::TimesOutBefore
        } else if strikes(&mut faults.timeouts_after_write) {
            Gateway::TimesOutAfter
        } else {
            Gateway::Passes
        }
    };
    if matches!(gateway, Gateway::TimesOutBefore) {
        shared.ledger().reports.push(report);
        return refusal::timeout();
    }
    let outcome = {
        let mut faults = shared.faults();
        let mut ledger = shared.ledger();
        let conflicts = ledger.outcome(&report, false) == Outcome::Conflict;
        let overwrite = conflicts && strikes(&mut faults.accepted_conflicts);
        let outcome = ledger.outcome(&report, overwrite);
        if matches!(gateway, Gateway::Passes) {
            report.status = status(outcome).as_u16();
        }
        ledger.report(report.clone(), outcome);
        outcome
    };
    tracing::info!(%batch_id, tx = %report.chain_tx_hash, block = report.block_number, gas = report.gas_used, ?outcome, "reported");
    shared.reported.send_replace(shared.ledger().anchored);
    match gateway {
        Gateway::TimesOutAfter => refusal::timeout(),
        _ => answer(outcome, batch_id, chain_tx_hash),
    }
}

const fn status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Anchored | Outcome::AlreadyAnchored => StatusCode::OK,
        Outcome::Conflict => StatusCode::CONFLICT,
        Outcome::Unknown => StatusCode::NOT_FOUND,
    }
}

fn answer(outcome: Outcome, batch_id: Uuid, tx_hash: B256) -> Response {
    match outcome {
        Outcome::Anchored => {
            Json(json!({ "status": "anchored", "batch_id": batch_id, "chain_tx_hash": tx_hash })).into_response()
        }
        Outcome::AlreadyAnchored => Json(json!({ "status": "already_anchored" })).into_response(),
        Outcome::Conflict => refusal::plain(
            StatusCode::CONFLICT,
            format!("batch {batch_id} is anchored in another transaction"),
        ),
        Outcome::Unknown => refusal::plain(StatusCode::NOT_FOUND, format!("no batch {batch_id}")),
    }
}

/// `0x` and 64 hex digits; nothing else.
fn hash(text: &str) -> Option<B256> {
    text.starts_with("0x").then(|| text.parse().ok()).flatten()
}
