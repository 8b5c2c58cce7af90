//! `set-sidecar check --online`: everything that a running sidecar depends on, asked at the same time.

use std::time::Duration;

use eyre::Result;

use super::{
    accounts, contracts, neighbours, nodes, proofs,
    report::{Report, within},
    rollup, settlement,
};
use crate::{assembly, config::Config, signers::NamedSigner};

/// A source plugin's first poll can take a while; nothing else should.
const LONGEST: Duration = Duration::from_secs(30);

/// Asks everybody.
///
/// # Errors
/// Where no way to a node can even be opened.
pub(crate) async fn check(config: &Config, signers: &[NamedSigner]) -> Result<Report> {
    let provider = assembly::connect(config)?;
    let (heads, tracking) = set_chain::track(provider.clone(), config.chain.id, config.block.time / 2);
    let tracking = tokio::spawn(tracking);
    let deadline = config.chain.rpc_timeout * 2;
    let registry = config.chain.registry.to_string();
    let (nodes, rollup, settlement, proofs, contracts, accounts, sequencer, lease, ports, data) = tokio::join!(
        nodes::check(config, deadline),
        within(deadline, "rollup", "[rollup]", rollup::check(config, &provider)),
        settlement::check(config, &provider, deadline),
        within(deadline, "proofs", "[chain]", proofs::check(config, &provider)),
        within(deadline, "registry", &registry, contracts::check(config, &provider)),
        accounts::check(config, &provider, &heads, signers, deadline),
        within(
            LONGEST,
            "sequencer",
            "[[plugins]]",
            neighbours::sequencer(config, &provider)
        ),
        within(
            config.lease.ttl,
            "lease",
            config.sidecar.lease.label(),
            neighbours::lease(config)
        ),
        within(deadline, "port", "[rpc]", neighbours::ports(config)),
        within(deadline, "data", "sidecar.data_dir", neighbours::data_dir(config)),
    );
    tracking.abort();
    let findings = [
        nodes, rollup, settlement, proofs, contracts, accounts, sequencer, lease, ports, data,
    ]
    .concat();
    Ok(Report::new(findings))
}
