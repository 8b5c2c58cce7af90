//! What the sidecar shows of itself: `set_status` beside the chain and the index, and health.

use std::sync::Arc;

use serde_json::{Value, json};
use set_lease::{Leadership, LeaseKind, LeaseState};
use set_pipeline::PipelineView;
use set_rpc::{Condition, StatusReport};
use set_settlement::Settlement;

use crate::{
    accounts::{AccountView, Accounts},
    config::Config,
    kept_proofs::KeptProofs,
    settling,
};

/// `set_status`'s parts beside the chain and the index.
pub(crate) struct Status {
    pub(crate) pipeline: PipelineView,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) leadership: Leadership,
    pub(crate) settlement: Settlement,
    /// `None` where L1 is not followed.
    pub(crate) proofs: Option<KeptProofs>,
    /// What never changes while the program runs.
    pub(crate) facts: Value,
}

impl Status {
    pub(crate) fn facts(config: &Config) -> Value {
        json!({
            "name": config.chain.name,
            "registry": config.chain.registry,
            "paymaster": config.chain.paymaster,
            "blockTimeMs": config.block.time.as_millis() as u64,
            "blockGasLimit": config.block.gas_limit,
            "reportAt": config.commitment.report_at,
            "l1": { "chainId": config.l1.chain_id, "name": config.l1.name },
        })
    }
}

impl StatusReport for Status {
    fn status(&self) -> Value {
        let accounts: Vec<_> = self.accounts.views().into_iter().map(account).collect();
        json!({
            "network": self.facts,
            "lease": *self.leadership.state(),
            "pipeline": self.pipeline.status(),
            "settlement": settling::report(&self.settlement),
            "proofs": self.proofs.as_ref().map(KeptProofs::report),
            "txmgr": { "accounts": accounts },
        })
    }

    fn conditions(&self) -> Vec<(&'static str, Condition)> {
        let pipeline = self.pipeline.status();
        let source =
            (!pipeline.source.healthy).then(|| pipeline.source.error.unwrap_or_else(|| "not asked yet".into()));
        let holds = pipeline.holds.into_iter().map(|hold| hold.reason);
        let alarms = pipeline
            .alarms
            .into_iter()
            .map(|alarm| format!("{} ({})", alarm.message, alarm.count));
        let accounts = self.accounts.views();
        let txmgr = accounts.iter().flat_map(|view| {
            let alarms = view.status.alarms.iter();
            alarms.map(|alarm| format!("{} ({}): {}", view.status.address, view.signer, alarm.message))
        });
        let mut conditions = vec![
            ("source", hindered(source.into_iter())),
            ("pipeline", hindered(holds.chain(alarms))),
            ("txmgr", hindered(txmgr)),
            ("settlement", settling::condition(&self.settlement)),
        ];
        if let Some(proofs) = &self.proofs {
            conditions.push(("proofs", proofs.condition()));
        }
        if let Some(condition) = lease(&self.leadership.state()) {
            conditions.push(("lease", condition));
        }
        conditions
    }
}

/// An account: what it is for, and all that its transaction manager says of it.
fn account(view: AccountView) -> Value {
    let mut account = json!({ "signer": view.signer, "role": view.role, "state": view.state });
    if let (Some(account), Ok(Value::Object(status))) = (account.as_object_mut(), serde_json::to_value(&*view.status)) {
        account.extend(status);
    }
    account
}

/// How the lease is; `None` where there is none.
fn lease(state: &LeaseState) -> Option<Condition> {
    if state.kind == LeaseKind::None {
        return None;
    }
    let standby = match &state.holder {
        Some(holder) => format!("standby: {holder} holds the lease"),
        None => "standby: nobody is known to hold the lease".to_owned(),
    };
    Some(match (&state.error, state.held) {
        (Some(error), true) => Condition::Hindered(format!("the lease cannot be renewed: {error}")),
        (Some(error), false) => Condition::Hindered(format!("{standby}; it cannot be taken: {error}")),
        (None, true) => Condition::Well,
        (None, false) => Condition::Noted(standby),
    })
}

/// Reasons in one text.
fn hindered(reasons: impl Iterator<Item = String>) -> Condition {
    let reasons: Vec<_> = reasons.collect();
    if reasons.is_empty() {
        Condition::Well
    } else {
        Condition::Hindered(reasons.join("; "))
    }
}
