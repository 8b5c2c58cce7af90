//! What else a sidecar needs: the sequencer through the source plugin, the lease, ports, the data directory.

use std::{sync::Arc, time::Duration};

use set_chain::L2Provider;
use set_host::{Host, HostConfig};
use set_index::Durable;
use set_lease::LeaseKind;
use set_types::{PluginKind, PollRequest};
use tokio::net::TcpListener;

use super::report::Finding;
use crate::{assembly, config::Config, services::CoreServices};

/// How long plugins may take to end again.
const END: Duration = Duration::from_secs(5);

/// Asks the sequencer as the pipeline does: through the source plugin, with the real key.
pub(crate) async fn sequencer(config: &Config, provider: &L2Provider) -> Vec<Finding> {
    let host = match start_host(config, provider).await {
        Ok(host) => host,
        Err(error) => {
            let advice = "correct [[plugins]]";
            return vec![Finding::problem("plugins", "[[plugins]]", error, advice)];
        }
    };
    let mut findings = vec![Finding::ok("plugins", "[[plugins]]", "every plugin starts")];
    if let Some(source) = host.source() {
        let plugin = config.plugins.iter().find(|plugin| plugin.kind == PluginKind::Source);
        let subject = plugin.map_or_else(String::new, |plugin| plugin.id.clone());
        findings.push(match source.poll(&PollRequest { limit: 1 }).await {
            Ok(answer) => {
                let waits = if answer.commitments.is_empty() {
                    "nothing waits"
                } else {
                    "commitments wait"
                };
                Finding::ok("sequencer", subject, format!("answers; {waits} to be anchored"))
            }
            Err(error) => {
                let advice = "look at `sequencer.url`, at the key in `sequencer.api_key`, and at the sequencer itself";
                Finding::problem("sequencer", subject, error.to_string(), advice)
            }
        });
    }
    host.shutdown(END).await;
    findings
}

async fn start_host(config: &Config, provider: &L2Provider) -> Result<Host, String> {
    let host = HostConfig {
        // Copies of plugin files are temporary then: checking leaves nothing behind.
        data_dir: None,
        ..assembly::host_config(config)
    };
    let durable = Durable::open(None).await.map_err(|error| error.to_string())?;
    let services = CoreServices {
        provider: provider.clone(),
        durable,
    };
    let started = Host::start(host, &assembly::builtins(), Arc::new(services)).await;
    started.map_err(|error| error.to_string())
}

/// Asks for the lease as a sidecar does. Where nobody holds it, it is taken and given back at once.
pub(crate) async fn lease(config: &Config) -> Vec<Finding> {
    let kind = config.sidecar.lease;
    if kind == LeaseKind::None {
        return vec![];
    }
    let subject = kind.label();
    let advice = "look at [lease] and at what keeps it";
    let name = assembly::lease_name(config);
    let started = set_lease::start(kind, config.lease.clone(), name, set_lease::process_name()).await;
    let (leadership, task) = match started {
        Ok(started) => started,
        Err(error) => return vec![Finding::problem("lease", subject, error.to_string(), advice)],
    };
    let mut states = leadership.changes();
    let known = states
        .wait_for(|state| state.held || state.holder.is_some() || state.error.is_some())
        .await;
    let finding = match known.map(|state| state.as_ref().clone()) {
        Ok(state) if state.held => Finding::ok("lease", subject, "answers; nobody holds it"),
        Ok(state) => match (state.holder, state.error) {
            (_, Some(error)) => Finding::problem("lease", subject, error, advice),
            (holder, None) => {
                let holder = holder.unwrap_or_default();
                Finding::ok("lease", subject, format!("answers; {holder} holds it"))
            }
        },
        Err(_) => Finding::problem("lease", subject, "its task ended", advice),
    };
    task.release().await;
    vec![finding]
}

/// Whether the ports are free, or held by a sidecar that runs already.
pub(crate) async fn ports(config: &Config) -> Vec<Finding> {
    let health = config.rpc.health_listen;
    let running = alive(health).await;
    let mut listeners = vec![("rpc.listen", config.rpc.listen), ("rpc.health_listen", health)];
    if config.admin_jwt().is_some() {
        listeners.push(("rpc.admin_listen", config.rpc.admin_listen));
    }
    let mut findings = vec![];
    for (key, address) in listeners {
        let subject = format!("{key} {address}");
        findings.push(match TcpListener::bind(address).await {
            Ok(_) => Finding::ok("port", subject, "free"),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && running => {
                Finding::ok("port", subject, "in use: a sidecar runs here already")
            }
            Err(error) => {
                let advice = format!("give another address in `{key}`, or end the program that uses it");
                Finding::problem("port", subject, error.to_string(), advice)
            }
        });
    }
    findings
}

/// Whether a sidecar answers there.
async fn alive(address: std::net::SocketAddr) -> bool {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build();
    let Ok(client) = client else { return false };
    let answer = client.get(format!("http://{address}/livez")).send().await;
    match answer {
        Ok(answer) => answer.text().await.is_ok_and(|text| text == "alive\n"),
        Err(_) => false,
    }
}

/// Whether files can be made in the data directory.
pub(crate) async fn data_dir(config: &Config) -> Vec<Finding> {
    let Some(dir) = config.sidecar.data_dir.clone() else {
        return vec![];
    };
    let subject = dir.display().to_string();
    let writable = tokio::task::spawn_blocking(move || {
        // The one that is there, or the next above it in which it would be made.
        let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(&dir);
        rustix::fs::access(there, rustix::fs::Access::WRITE_OK)
    });
    vec![match writable.await {
        Ok(Ok(())) => Finding::ok("data", subject, "can be written"),
        Ok(Err(error)) => {
            let advice = "give the sidecar's user the right to write there, or another `sidecar.data_dir`";
            Finding::problem("data", subject, error.to_string(), advice)
        }
        Err(_) => Finding::skipped("data", subject, "not looked at"),
    }]
}
