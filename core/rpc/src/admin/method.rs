//! The table of `admin_` methods, and their bodies.

use std::sync::Arc;

use set_types::BatchId;

use super::port::{AccountAnswer, Administration, ReloadAnswer};
use crate::{
    args::Args,
    error::RpcError,
    method::{BATCH_ID, Method, Namespace, answered_by},
};

/// What the handlers ask.
pub(crate) type Program = dyn Administration;

/// Every method there is.
pub(crate) static METHODS: &[Method<Program>] = &[
    Method {
        name: "admin_accounts",
        summary: "Each sending account: its signer, its role, its state, and what it has in flight.",
        params: &[],
        handler: answered_by!(accounts),
    },
    Method {
        name: "admin_reload",
        summary: "Reads the configuration again, as SIGHUP does, and says what changed.",
        params: &[],
        handler: answered_by!(reload),
    },
    Method {
        name: "admin_dismissConflict",
        summary: "Ends the alarm about a report that the sequencer contradicts; the report is never repeated.",
        params: &[BATCH_ID],
        handler: answered_by!(dismiss_conflict),
    },
];

/// The namespace, for what surrounds each call.
pub(crate) static ADMIN: Namespace = Namespace {
    known: |name| METHODS.iter().map(|method| method.name).find(|known| *known == name),
    hint: "there are admin_accounts, admin_reload and admin_dismissConflict",
};

async fn accounts(program: &Arc<Program>, _: Args) -> Result<Vec<AccountAnswer>, RpcError> {
    Ok(program.accounts())
}

async fn reload(program: &Arc<Program>, _: Args) -> Result<ReloadAnswer, RpcError> {
    let answer = program.reload().await;
    answer.map_err(|problems| RpcError::FaultyConfiguration(problems.0))
}

async fn dismiss_conflict(program: &Arc<Program>, mut args: Args) -> Result<bool, RpcError> {
    let batch_id: BatchId = args.required()?;
    Ok(program.dismiss_conflict(batch_id).await)
}
