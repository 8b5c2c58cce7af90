//! Settlement, wired: op-node and L1 as the configuration names them, and what health says of it.

use std::{future::Future, sync::Arc};

use eyre::{Result, WrapErr};
use serde_json::{Value, json};
use set_chain::{ChainView, L2Provider, OpNode};
use set_rpc::Condition;
use set_settlement::{L1Access, Settlement, SettlementSettings, l1};
use tokio::sync::watch;

use crate::config::Config;

/// The way to op-node, where it is configured.
pub(crate) fn op_node(config: &Config) -> Result<Option<OpNode>> {
    let Some(url) = &config.chain.op_node_url else {
        return Ok(None);
    };
    let url = url.parse().wrap_err("`chain.op_node_url` is no URL")?;
    let op_node = OpNode::connect(&url, config.chain.rpc_timeout).wrap_err("`chain.op_node_url`")?;
    Ok(Some(op_node))
}

/// The way to L1, where a node and the portal are configured.
pub(crate) fn l1_access(config: &Config) -> Result<Option<L1Access>> {
    let (Some(url), Some(portal)) = (&config.l1.rpc_url, config.l1.portal) else {
        return Ok(None);
    };
    let url = url.parse().wrap_err("`l1.rpc_url` is no URL")?;
    Ok(Some(L1Access {
        provider: l1::connect(&url, config.l1.rpc_timeout).wrap_err("`l1.rpc_url`")?,
        chain_id: config.l1.chain_id,
        portal,
        poll: config.l1.poll_interval,
    }))
}

/// Opens what is known of settlement, and gives what follows it, to be run.
pub(crate) async fn open(
    config: &Config,
    provider: L2Provider,
    heads: watch::Receiver<Arc<ChainView>>,
) -> Result<(Settlement, impl Future<Output = ()> + Send + use<>)> {
    let settings = SettlementSettings {
        chain_id: config.chain.id,
        first_block: config.chain.start_block,
        op_node: op_node(config)?,
        l1: l1_access(config)?,
        head_alarm: config.settlement.head_alarm,
        safe_alarm: config.settlement.safe_alarm,
    };
    let path = config.data_file("settlement.redb");
    let opened = Settlement::open(path.as_deref(), settings, provider, heads).await;
    opened.wrap_err("the store of settlement in `sidecar.data_dir`")
}

/// For `set_status`.
pub(crate) fn report(settlement: &Settlement) -> Value {
    json!(**settlement.view().borrow())
}

/// For health: what somebody should look at.
pub(crate) fn condition(settlement: &Settlement) -> Condition {
    let view = settlement.view();
    let alarms: Vec<_> = view.borrow().alarms.iter().map(|alarm| alarm.message.clone()).collect();
    if alarms.is_empty() {
        Condition::Well
    } else {
        Condition::Hindered(alarms.join("; "))
    }
}
