//! Whether the sidecar's configuration, op-node's rollup configuration and the chain's blocks say the same.

mod blocks;
mod document;
mod facts;
mod op_node;

use std::path::Path;

use set_chain::L2Provider;

use self::{
    document::RollupConfig,
    facts::{Lasting, facts},
};
use super::report::Finding;
use crate::config::{Complaint, Config};

/// Compares with the file in `rollup.config`, where there is one. What SystemConfig may have changed since
/// genesis counts only if nobody `asks_the_chain`, whose blocks decide then.
pub(super) fn complaints(config: &Config, asks_the_chain: bool) -> Vec<Complaint> {
    let Some(path) = &config.rollup.config else {
        return vec![];
    };
    let rollup = match RollupConfig::read(path) {
        Ok(rollup) => rollup,
        Err(message) => return vec![Complaint::new("rollup.config", format!("names {message}"))],
    };
    let unfilled = rollup.unfilled();
    if !unfilled.is_empty() {
        let message = format!(
            "names {}, a template still: {} in it is zero; write what `op-deployer inspect rollup` prints",
            path.display(),
            unfilled.join(", ")
        );
        return vec![Complaint::new("rollup.config", message)];
    }
    let counts = |lasting| lasting == Lasting::Always || !asks_the_chain;
    let different = facts(config, &rollup)
        .into_iter()
        .filter(|fact| fact.differs() && counts(fact.lasting));
    different
        .map(|fact| {
            let mut message = format!("{fact} in {}", path.display());
            if fact.lasting == Lasting::UntilChanged {
                message += "; if SystemConfig has changed it since genesis, --online compares with the chain instead";
            }
            Complaint::new(fact.key, message)
        })
        .collect()
}

/// Asks op-node and the chain's newest blocks.
pub(super) async fn check(config: &Config, provider: &L2Provider) -> Vec<Finding> {
    let (op_node, blocks) = tokio::join!(op_node::check(config), blocks::check(config, provider));
    [file(config), op_node, blocks].concat()
}

/// What the file says, and what has changed since: what is wrong with it has been said before.
fn file(config: &Config) -> Vec<Finding> {
    let Some((path, rollup)) = configured(config) else {
        return vec![];
    };
    let facts = facts(config, &rollup);
    let changed: Vec<_> = facts
        .iter()
        .filter(|fact| fact.differs())
        .map(|fact| {
            format!(
                "`{}` was {} at genesis",
                fact.key,
                fact.theirs.as_deref().unwrap_or("unset")
            )
        })
        .collect();
    let found = if changed.is_empty() {
        format!("{} facts agree with the configuration", facts.len())
    } else {
        changed.join(", ")
    };
    vec![Finding::ok("rollup", path.display().to_string(), found)]
}

/// The configured file and what it holds.
fn configured(config: &Config) -> Option<(&Path, RollupConfig)> {
    let path = config.rollup.config.as_deref()?;
    Some((path, RollupConfig::read(path).ok()?))
}
