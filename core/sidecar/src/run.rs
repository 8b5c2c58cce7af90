//! `set-sidecar run`: starts every part in order, and stops them in the opposite one.

use std::{path::PathBuf, sync::Arc, time::Instant};

use eyre::{Result, WrapErr, eyre};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use set_chain::{ChainView, EndpointConfig, L2Provider, RegistryReader};
use set_host::{Builtin, Host, HostConfig, LoadingConfig, SourceClient, SubmitterClient};
use set_index::{Durable, Follower, FollowerOptions, Index};
use set_pipeline::{Pipeline, PipelineHandle};
use set_rpc::{HealthParts, HealthServer, RpcServer};
use set_txmgr::{Journal, TxMgr};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tracing::{error, info, warn};

use crate::{
    config::Config,
    ports::{PipelinePending, Status, SubmitterLogs},
    services::CoreServices,
};

/// Blocks whose logs are asked for at once. Nodes that allow fewer say so, and then fewer are asked for.
const LOG_RANGE: u64 = 5_000;

/// The plugins that are linked in.
pub(crate) fn builtins() -> [Builtin; 3] {
    [
        Builtin {
            name: "sequencer-http",
            entry: set_sequencer_http::PLUGIN,
        },
        Builtin {
            name: "paymaster-policy",
            entry: set_paymaster_policy::PLUGIN,
        },
        Builtin {
            name: "registry-submitter",
            entry: set_registry_submitter::PLUGIN,
        },
    ]
}

/// What the host is started with.
pub(crate) fn host_config(config: &Config) -> HostConfig {
    HostConfig {
        plugins: config.plugins.clone(),
        loading: LoadingConfig {
            enabled: config.sidecar.load_plugins,
            dirs: config.sidecar.plugin_dirs.clone(),
        },
        data_dir: config.sidecar.data_dir.clone(),
    }
}

/// Runs until SIGTERM or SIGINT, then drains and stops within `sidecar.shutdown_timeout`.
///
/// # Errors
/// Where a part does not start, with the configuration's key that it hangs on.
pub(crate) async fn run(config: Config) -> Result<()> {
    let metrics = PrometheusBuilder::new()
        .install_recorder()
        .wrap_err("metrics cannot be recorded")?;
    let mut signals = Signals::listen()?;
    info!(version = env!("CARGO_PKG_VERSION"), chain = config.chain.id, registry = %config.chain.registry, "starting");
    let mut sidecar = Sidecar::start(&config, metrics).await?;
    info!("ready; stop with SIGTERM or Ctrl-C");
    let name = tokio::select! {
        name = signals.next() => name,
        () = sidecar.pipeline.stopped() => return Err(eyre!("the pipeline ended by itself; the log says why")),
    };
    info!(signal = name, timeout = ?config.sidecar.shutdown_timeout, "finishing what is in flight");
    tokio::select! {
        finished = timeout(config.sidecar.shutdown_timeout, sidecar.stop(config.sidecar.shutdown_timeout)) => match finished {
            Ok(()) => info!("stopped"),
            Err(_) => warn!("stopped before everything had finished; what is in flight goes on in the next run"),
        },
        name = signals.next() => warn!(signal = name, "stopping at once; what is in flight goes on in the next run"),
    }
    Ok(())
}

/// Everything that runs.
struct Sidecar {
    host: Arc<Host>,
    pipeline: PipelineHandle,
    rpc: RpcServer,
    health: HealthServer,
    /// Ends the follower.
    stop: watch::Sender<bool>,
    follower: JoinHandle<()>,
}

impl Sidecar {
    async fn start(config: &Config, metrics: PrometheusHandle) -> Result<Self> {
        let data_dir = config.sidecar.data_dir.clone();
        if let Some(dir) = &data_dir {
            tokio::fs::create_dir_all(dir)
                .await
                .wrap_err_with(|| format!("`sidecar.data_dir`: cannot create {}", dir.display()))?;
        }
        let provider = connect(config)?;
        let (heads, tracking) = set_chain::track(provider.clone(), config.chain.id, config.block.time / 2);
        tokio::spawn(tracking);
        tokio::spawn(compare_blocks(heads.clone(), config.block.gas_limit));

        let durable = Durable::open(config.data_file("durable.redb").as_deref())
            .await
            .wrap_err("the durable store in `sidecar.data_dir`")?;
        let index = Index::open(config.data_file("index.redb").as_deref())
            .await
            .wrap_err("the index in `sidecar.data_dir`")?;

        let services = CoreServices {
            provider: provider.clone(),
            durable: durable.clone(),
        };
        let host = Arc::new(Host::start(host_config(config), &builtins(), Arc::new(services)).await?);
        let (source, submitter) = roles(&host)?;

        let (stop, stopped) = watch::channel(false);
        let follower = follow(
            config,
            &provider,
            submitter.clone(),
            index.clone(),
            heads.clone(),
            stopped,
        );

        let (txmgr, events) = send(config, provider.clone(), heads.clone(), data_dir).await?;
        let parts = set_pipeline::Parts {
            source,
            policies: host.policies(),
            submitter,
            txmgr: txmgr.clone(),
            tx_config: config.txmgr.clone(),
            tx_events: events,
            heads: heads.clone(),
            chain_id: config.chain.id,
            index: index.clone(),
            durable,
        };
        let pipeline = Pipeline::start(config.commitment.clone(), parts).await?;

        let status = Arc::new(Status {
            pipeline: pipeline.view(),
            txmgr: txmgr.clone(),
            facts: Status::facts(config),
        });
        let parts = set_rpc::Parts {
            chain_id: config.chain.id,
            version: env!("CARGO_PKG_VERSION"),
            index: index.clone(),
            heads: heads.clone(),
            registry: Arc::new(RegistryReader::new(provider, config.chain.registry)),
            pending: Arc::new(PipelinePending(pipeline.view())),
            status: status.clone(),
            plugins: host.clone(),
        };
        let rpc = RpcServer::start(&config.rpc, parts).await?;
        let health = HealthParts {
            heads,
            index,
            plugins: host.clone(),
            status,
            metrics,
        };
        let health = HealthServer::start(config.rpc.health_listen, health).await?;
        Ok(Self {
            host,
            pipeline,
            rpc,
            health,
            stop,
            follower,
        })
    }

    /// Stops taking commitments, lets what was sent be included and reported, then ends the rest. What
    /// does not finish in time goes on in the next run.
    async fn stop(self, within: std::time::Duration) {
        let begun = Instant::now();
        // A tenth is kept for what comes last.
        let left = || (within * 9 / 10).saturating_sub(begun.elapsed());
        if timeout(left() / 4, self.rpc.stop()).await.is_err() {
            warn!("calls to set_* were still being answered and are cut off");
        }
        // Until then it needs the transaction manager, the index and the plugins.
        if !self.pipeline.drain(left() * 3 / 4).await {
            warn!("not everything was included and reported in time; the next run takes it up");
        }
        self.stop.send_replace(true);
        if let Err(panic) = self.follower.await {
            error!(%panic, "the follower ended badly");
        }
        self.host.shutdown(left()).await;
        self.health.stop().await;
    }
}

fn connect(config: &Config) -> Result<L2Provider> {
    let urls = config.chain.rpc_urls.iter().map(|url| url.parse());
    let endpoint = EndpointConfig {
        rpc_urls: urls.collect::<Result<_, _>>().wrap_err("`chain.rpc_urls` holds what is no URL")?,
        chain_id: Some(config.chain.id),
        timeout: config.chain.rpc_timeout,
        poll_interval: config.block.time / 2,
    };
    set_chain::connect(&endpoint).wrap_err("`chain.rpc_urls`")
}

fn roles(host: &Host) -> Result<(SourceClient, SubmitterClient)> {
    let missing = |kind| eyre!("[[plugins]] has no plugin of kind \"{kind}\"");
    Ok((
        host.source().ok_or_else(|| missing("source"))?,
        host.submitter().ok_or_else(|| missing("submitter"))?,
    ))
}

fn follow(
    config: &Config,
    provider: &L2Provider,
    submitter: SubmitterClient,
    index: Index,
    heads: watch::Receiver<Arc<ChainView>>,
    mut stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let options = FollowerOptions {
        chain_id: config.chain.id,
        from_block: config.chain.start_block,
        max_range: LOG_RANGE,
    };
    let follower = Follower::new(provider.clone(), SubmitterLogs(submitter), index, heads, options);
    tokio::spawn(follower.run(async move {
        // The sender goes away only together with the program.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }))
}

async fn send(
    config: &Config,
    provider: L2Provider,
    heads: watch::Receiver<Arc<ChainView>>,
    data_dir: Option<PathBuf>,
) -> Result<(TxMgr, tokio::sync::mpsc::Receiver<set_txmgr::TxEvent>)> {
    let name = &config.sidecar.signer;
    let signer = config
        .signers
        .get(name)
        .ok_or_else(|| eyre!("`sidecar.signer`: no signer `{name}`"))?;
    let signer = signer.load(name).await?;
    info!(signer = %name, account = %signer.address(), "commitments are sent from this account");
    let (chain_id, address) = (config.chain.id, signer.address());
    let journal = match data_dir {
        None => Journal::in_memory(),
        Some(dir) => tokio::task::spawn_blocking(move || Journal::open(&dir, chain_id, address)).await??,
    };
    Ok(set_txmgr::start(
        config.txmgr.clone(),
        signer,
        provider,
        chain_id,
        heads,
        journal,
    )?)
}

/// Says once if blocks are not as configured.
async fn compare_blocks(mut heads: watch::Receiver<Arc<ChainView>>, configured: u64) {
    let known = heads.wait_for(|view| view.latest.is_some()).await;
    let found = known.ok().and_then(|view| view.latest).map(|head| head.gas_limit);
    if let Some(found) = found.filter(|found| *found != configured) {
        warn!(
            found,
            configured, "the chain's blocks have another gas limit than `block.gas_limit` says"
        );
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
