//! All plugins together: start, look-up, shutdown.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::join_all;
use set_types::PluginKind;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    client::{SourceClient, SubmitterClient},
    config::{HostConfig, PluginConfig},
    error::{HostError, StartError},
    loader::{self, Builtin},
    log,
    policy::PolicyChain,
    report::{PluginReport, PluginState},
    services::{HostServices, Services},
    slot::{Signals, Slot},
    supervisor::supervise,
};

/// The running plugins.
///
/// Dropping it ends them without waiting; [`Host::shutdown`] ends them in good order.
pub struct Host {
    slots: Vec<Arc<Slot>>,
    /// Told whenever a plugin's state changes.
    changes: watch::Sender<()>,
    /// Ends the supervisors.
    stop: watch::Sender<bool>,
    /// Writes what plugins log, until its sender says so.
    relay: Mutex<Option<(watch::Sender<bool>, JoinHandle<()>)>>,
}

impl Host {
    /// Finds every problem of the configuration and of the plugins' files and settings, without starting
    /// anything. Loading a plugin file runs its initialisers.
    pub async fn check(config: &HostConfig, builtins: &[Builtin]) -> Vec<HostError> {
        let mut problems = config.problems();
        let prepared = join_all(
            config
                .plugins
                .iter()
                .map(|plugin| loader::prepare(plugin, config, builtins)),
        )
        .await;
        let failed = config.plugins.iter().zip(prepared);
        problems.extend(failed.filter_map(|(plugin, prepared)| Some(HostError::new(&plugin.id, prepared.err()?))));
        problems
    }

    /// Starts all plugins, side by side. One that fails and is not required is logged and stays failed.
    ///
    /// # Errors
    /// The configuration cannot be meant, or a required plugin does not start; nothing runs then.
    pub async fn start(
        config: HostConfig,
        builtins: &[Builtin],
        core: Arc<dyn HostServices>,
    ) -> Result<Self, StartError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(StartError(problems));
        }
        let (stop, stopped) = watch::channel(false);
        let (end_relay, relay_ended) = watch::channel(false);
        let (outbox, relay) = log::relay(relay_ended);
        let relay = (end_relay, tokio::spawn(relay));
        let changes = watch::Sender::new(());
        let starting = config.plugins.iter().map(|plugin| async {
            // One trouble an instance, and instances one after the other.
            let (trouble, troubles) = mpsc::channel(4);
            let (core, outbox) = (core.clone(), outbox.clone());
            let services = |plugin: &PluginConfig, redactor| Services::new(plugin, redactor, core, outbox);
            let signals = Signals {
                trouble,
                changes: changes.clone(),
            };
            let (slot, outcome) = bring_up(plugin, &config, builtins, services, signals).await;
            if outcome.is_ok() {
                tokio::spawn(supervise(slot.clone(), troubles, stopped.clone()));
            }
            (slot, outcome)
        });
        let started = join_all(starting).await;
        let mut host = Self {
            slots: vec![],
            changes,
            stop,
            relay: Mutex::new(Some(relay)),
        };
        let mut fatal = vec![];
        for (slot, outcome) in started {
            if let Err(error) = outcome {
                if slot.config.required {
                    fatal.push(error);
                } else {
                    tracing::error!(plugin = %slot.config.id, %error, "the plugin does not start; the program goes on without it");
                }
            }
            host.slots.push(slot);
        }
        if fatal.is_empty() {
            return Ok(host);
        }
        host.shutdown(Duration::from_secs(5)).await;
        Err(StartError(fatal))
    }

    /// The plugins, in the order of the configuration.
    pub fn plugins(&self) -> Vec<PluginReport> {
        self.slots.iter().map(|slot| slot.report()).collect()
    }

    /// Changes whenever a plugin's state does; [`Host::plugins`] then says what it is.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The source; `None` where none is configured. One that failed answers that it is down.
    pub fn source(&self) -> Option<SourceClient> {
        self.of_kind(PluginKind::Source).next().map(SourceClient::new)
    }

    /// The policies, in the order of the configuration. Without any, everything is allowed.
    pub fn policies(&self) -> PolicyChain {
        PolicyChain::new(self.of_kind(PluginKind::Policy).collect())
    }

    /// The submitter; `None` where none is configured. One that failed answers that it is down.
    pub fn submitter(&self) -> Option<SubmitterClient> {
        self.of_kind(PluginKind::Submitter).next().map(SubmitterClient::new)
    }

    fn of_kind(&self, kind: PluginKind) -> impl Iterator<Item = Arc<Slot>> {
        self.slots.iter().filter(move |slot| slot.config.kind == kind).cloned()
    }

    /// Takes no more calls, lets those that run end, and destroys the instances; all within `deadline`,
    /// after which what still runs is left to itself.
    pub async fn shutdown(&self, deadline: Duration) {
        let begun = Instant::now();
        self.stop.send_replace(true);
        join_all(self.slots.iter().map(|slot| async move {
            let failed = slot.state() == PluginState::Failed;
            let Some(instance) = slot.close() else {
                slot.set_state(
                    if failed {
                        PluginState::Failed
                    } else {
                        PluginState::Stopped
                    },
                    None,
                );
                return;
            };
            // Half of the time for the calls, the rest for the plugin to end.
            instance.drain(deadline / 2).await;
            if instance.stop(deadline.saturating_sub(begun.elapsed())).await {
                slot.set_state(PluginState::Stopped, None);
            } else {
                let reason = "it did not end in time".to_owned();
                tracing::warn!(plugin = %slot.config.id, "the plugin did not end in time and is left to itself");
                slot.set_state(PluginState::Wedged, Some(reason));
            }
        }))
        .await;
        let relay = self.relay.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((end, relay)) = relay {
            // The plugins have said their last words; what is queued is still written.
            end.send_replace(true);
            drop(relay.await);
        }
    }
}

async fn bring_up(
    plugin: &PluginConfig,
    config: &HostConfig,
    builtins: &[Builtin],
    services: impl FnOnce(&PluginConfig, Arc<crate::secrets::Redactor>) -> Services,
    signals: Signals,
) -> (Arc<Slot>, Result<(), HostError>) {
    let failed = |problem| Err(HostError::new(&plugin.id, problem));
    let slot = match loader::prepare(plugin, config, builtins).await {
        Ok(prepared) => Arc::new(Slot::new(plugin.clone(), prepared, services, signals)),
        Err(problem) => {
            let slot = Arc::new(Slot::unusable(plugin.clone(), &problem, signals));
            return (slot, failed(problem));
        }
    };
    match slot.start().await {
        Ok(()) => (slot, Ok(())),
        Err(problem) => {
            slot.set_state(PluginState::Failed, Some(problem.to_string()));
            (slot, failed(problem))
        }
    }
}
