//! Replaces instances that panicked or hang, and asks the others how they are.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use set_plugin_abi::method;
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    error::CallErrorKind,
    report::PluginState,
    slot::{Slot, Trouble},
};

/// A plugin that fails so often within [`WINDOW`] is not started again.
const MOST_FAILURES: usize = 5;

/// How long a failure counts.
const WINDOW: Duration = Duration::from_secs(600);

/// The wait before the first new instance; it doubles with each failure that counts.
const BACKOFF: Duration = Duration::from_millis(100);

/// How long an instance that is given up may take to end before its thread is left to itself.
const END: Duration = Duration::from_secs(10);

/// How often a plugin is asked for its health.
const HEALTH: Duration = Duration::from_secs(10);

/// Watches over one plugin until the host stops.
pub(crate) async fn supervise(slot: Arc<Slot>, mut troubles: mpsc::Receiver<Trouble>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = watch_over(&slot, &mut troubles) => {}
        // An error means that the host was dropped.
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn watch_over(slot: &Arc<Slot>, troubles: &mut mpsc::Receiver<Trouble>) {
    let mut failures = VecDeque::new();
    let mut health = interval(HEALTH);
    health.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            trouble = troubles.recv() => {
                let Some(trouble) = trouble else { return };
                if !replace(slot, trouble, &mut failures).await {
                    return;
                }
            }
            _ = health.tick() => check_health(slot).await,
        }
    }
}

/// Ends an instance and starts another; false where the plugin failed too often.
async fn replace(slot: &Arc<Slot>, trouble: Trouble, failures: &mut VecDeque<Instant>) -> bool {
    let plugin = &slot.config.id;
    let Trouble { instance, mut reason } = trouble;
    let generation = instance.generation();
    let id = plugin.clone();
    tokio::spawn(async move {
        if !instance.stop(END).await {
            tracing::error!(plugin = %id, generation, "the instance does not end; its threads are left to themselves");
        }
    });
    loop {
        failures.push_back(Instant::now());
        while failures.front().is_some_and(|failure| failure.elapsed() > WINDOW) {
            failures.pop_front();
        }
        let count = failures.len();
        metrics::counter!("set_plugin_failures_total", "plugin" => plugin.clone()).increment(1);
        if count >= MOST_FAILURES {
            let reason = format!(
                "it failed {count} times within {} minutes, last: {reason}",
                WINDOW.as_secs() / 60
            );
            tracing::error!(%plugin, %reason, "the plugin is not started again; restart the program once it is mended");
            slot.set_state(PluginState::Failed, Some(reason));
            return false;
        }
        let wait = BACKOFF * (1 << (count - 1));
        tracing::warn!(%plugin, generation, %reason, wait_ms = wait.as_millis(), "the plugin failed and is replaced");
        sleep(wait).await;
        match slot.start().await {
            Ok(()) => {
                tracing::info!(%plugin, "the plugin runs again");
                return true;
            }
            Err(problem) => reason = problem.to_string(),
        }
    }
}

async fn check_health(slot: &Arc<Slot>) {
    if !matches!(slot.state(), PluginState::Started | PluginState::Degraded) {
        return;
    }
    let ill = match slot.call::<_, ()>(method::HEALTH, &()).await {
        Ok(()) => None,
        Err(error) => match error.kind {
            // Not every plugin has something to say about its health; a busy one is at work; one that
            // panicked, hangs or is down is seen to elsewhere.
            CallErrorKind::Refused { message, .. } => Some(message),
            _ => return,
        },
    };
    if slot.set_health(ill.clone()) {
        match ill {
            Some(reason) => tracing::warn!(plugin = %slot.config.id, %reason, "the plugin cannot do its work"),
            None => tracing::info!(plugin = %slot.config.id, "the plugin can do its work again"),
        }
    }
}
