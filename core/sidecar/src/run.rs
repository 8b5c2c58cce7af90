//! `set-sidecar run`: from the first line of the log to the last.

use eyre::{Result, WrapErr, eyre};
use metrics_exporter_prometheus::PrometheusBuilder;
use set_rpc::admin::Administration;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tracing::{info, warn};

use crate::{
    assembly::Sidecar,
    config::{Config, Layers, Problems},
    logging,
};

/// Runs until SIGTERM or SIGINT, then drains and stops within `sidecar.shutdown_timeout`. SIGHUP reads the
/// configuration again.
///
/// # Errors
/// [`Problems`] of the configuration, or where a part does not start, with the key that it hangs on.
pub(crate) async fn run(layers: Layers) -> Result<()> {
    let mut survey = Config::survey(&layers);
    let config = match survey.config.take() {
        Some(config) if survey.problems.is_empty() => config,
        _ => return Err(Problems(survey.problems).into()),
    };
    logging::install(&config.sidecar.log, config.sidecar.log_format)?;
    let metrics = PrometheusBuilder::new()
        .install_recorder()
        .wrap_err("metrics cannot be recorded")?;
    describe_metrics();
    let mut signals = Signals::listen()?;
    info!(version = env!("CARGO_PKG_VERSION"), chain = config.chain.id, registry = %config.chain.registry, "starting");
    let within = config.sidecar.shutdown_timeout;
    let mut sidecar = Sidecar::start(config, layers, survey.values(), metrics).await?;
    info!("ready; stop with SIGTERM or Ctrl-C");
    let name = loop {
        tokio::select! {
            asked = signals.next() => match asked {
                // Beside everything else, for a signer may take its time. Whatever it says is in the log.
                Asked::Reload => {
                    let live = sidecar.live();
                    tokio::spawn(async move { live.reload().await });
                }
                Asked::Stop(name) => break name,
            },
            () = sidecar.stopped() => return Err(eyre!("the pipeline ended by itself; the log says why")),
        }
    };
    info!(signal = name, timeout = ?within, "finishing what is in flight");
    tokio::select! {
        finished = timeout(within, sidecar.stop(within)) => match finished {
            Ok(()) => info!("stopped"),
            Err(_) => warn!("stopped before everything had finished; what is in flight goes on in the next run"),
        },
        name = signals.stop() => warn!(signal = name, "stopping at once; what is in flight goes on in the next run"),
    }
    Ok(())
}

/// Says what each metric means.
fn describe_metrics() {
    set_chain::describe_metrics();
    set_host::describe_metrics();
    set_index::describe_metrics();
    set_settlement::describe_metrics();
    set_lease::describe_metrics();
    set_txmgr::describe_metrics();
    set_pipeline::describe_metrics();
    set_rpc::describe_metrics();
}

/// What a signal asks for.
enum Asked {
    Reload,
    Stop(&'static str),
}

/// SIGHUP, SIGTERM and SIGINT.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
        }
    }

    /// Waits for a signal to stop; a reload makes no sense any more.
    async fn stop(&mut self) -> &'static str {
        loop {
            if let Asked::Stop(name) = self.next().await {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Mutex};

    use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

    /// Keeps the names of what is described.
    #[derive(Default)]
    struct Described(Mutex<BTreeSet<String>>);

    impl Described {
        fn note(&self, name: &KeyName, text: &SharedString) {
            assert!(text.ends_with('.'), "{name:?}: {text}");
            self.0.lock().unwrap().insert(name.as_str().to_owned());
        }
    }

    impl Recorder for Described {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
            self.note(&name, &text);
        }

        fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
            self.note(&name, &text);
        }

        fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
            self.note(&name, &text);
        }

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn every_metric_is_documented_and_every_documented_one_exists() {
        let described = Described::default();
        metrics::with_local_recorder(&described, super::describe_metrics);
        let guide = include_str!("../../../config/README.md");
        let table = guide.split("<summary>Every metric</summary>").nth(1).unwrap();
        let table = table.split("</details>").next().unwrap();
        let named = table.split('`').filter(|word| word.starts_with("set_"));
        // Plugins have metrics of their own.
        let documented: BTreeSet<_> = named.filter(|name| !name.contains('<')).map(str::to_owned).collect();
        assert_eq!(described.0.into_inner().unwrap(), documented);
    }
}
