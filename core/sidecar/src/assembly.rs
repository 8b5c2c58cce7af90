//! Everything that runs: started with as much at the same time as can be, stopped in the opposite order.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use eyre::{Result, WrapErr, eyre};
use futures::future::try_join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use set_chain::{ChainView, EndpointConfig, L2Provider, RegistryReader};
use set_host::{Builtin, Host, HostConfig, LoadingConfig, SourceClient, SubmitterClient};
use set_index::{Durable, Follower, FollowerOptions, Index};
use set_lease::{Leadership, LeaseTask};
use set_pipeline::{Account, Pipeline, PipelineHandle};
use set_rpc::{
    HealthParts, HealthServer, RpcServer, SettlementProofs,
    admin::{AccountRole, AdminSecret, AdminServer},
};
use set_settlement::{Settlement, capture::Prover};
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tracing::{error, info, warn};

use crate::{
    accounts::{Accounts, Ground},
    config::{Config, Layers, Problems},
    kept_proofs::KeptProofs,
    live::Live,
    ports::{PipelinePending, SubmitterLogs},
    services::CoreServices,
    settling,
    signers::{self, NamedSigner},
    status::Status,
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

/// Opens the way to the chain's nodes.
pub(crate) fn connect(config: &Config) -> Result<L2Provider> {
    let urls = config.chain.rpc_urls.iter().map(|url| url.parse());
    let endpoint = EndpointConfig {
        rpc_urls: urls
            .collect::<Result<_, _>>()
            .wrap_err("`chain.rpc_urls` holds what is no URL")?,
        chain_id: Some(config.chain.id),
        timeout: config.chain.rpc_timeout,
        poll_interval: config.block.time / 2,
    };
    set_chain::connect(&endpoint).wrap_err("`chain.rpc_urls`")
}

/// Opens the way to the nodes that settlement proofs are made with: the one named for it first.
pub(crate) fn prover(config: &Config) -> Result<Prover> {
    let urls = config.chain.proof_url.iter().chain(&config.chain.rpc_urls);
    let urls = urls.map(|url| url.parse()).collect::<Result<Vec<_>, _>>();
    let urls = urls.wrap_err("`chain.proof_url` or `chain.rpc_urls` holds what is no URL")?;
    Prover::connect(&urls, config.chain.rpc_timeout, config.chain.registry).wrap_err("`chain.proof_url`")
}

/// What the lease is called: sidecars of one registry share it.
pub(crate) fn lease_name(config: &Config) -> String {
    format!("{}:{}", config.chain.id, config.chain.registry)
}

/// Everything that runs.
pub(crate) struct Sidecar {
    host: Arc<Host>,
    pipeline: PipelineHandle,
    lease: Option<LeaseTask>,
    live: Arc<Live>,
    rpc: RpcServer,
    admin: Option<AdminServer>,
    health: HealthServer,
    /// Ends the followers.
    stop: watch::Sender<bool>,
    /// Of the index, of settlement, and of what proves it.
    followers: Vec<JoinHandle<()>>,
}

impl Sidecar {
    /// Starts everything. `given` is what `layers` held when `config` was read from them.
    pub(crate) async fn start(
        config: Config,
        layers: Layers,
        given: BTreeMap<String, Value>,
        metrics: PrometheusHandle,
    ) -> Result<Self> {
        if let Some(dir) = &config.sidecar.data_dir {
            tokio::fs::create_dir_all(dir)
                .await
                .wrap_err_with(|| format!("`sidecar.data_dir`: cannot create {}", dir.display()))?;
        }
        let provider = connect(&config)?;
        // The first look at the head goes out while everything else starts.
        let op_node = settling::op_node(&config)?;
        let (heads, tracking) =
            set_chain::track_beside(provider.clone(), op_node, config.chain.id, config.block.time / 2);
        tokio::spawn(tracking);
        tokio::spawn(compare_blocks(heads.clone(), config.block.gas_limit));

        let ((durable, host), index, (settlement, settling), signers, (leadership, lease), secret) = tokio::try_join!(
            start_plugins(&config, &provider),
            open_index(&config),
            settling::open(&config, provider.clone(), heads.clone()),
            open_signers(&config, &layers),
            start_lease(&config),
            read_secret(&config),
        )?;
        let (source, submitter) = roles(&host)?;

        let ground = Ground {
            provider: provider.clone(),
            chain_id: config.chain.id,
            heads: heads.clone(),
            leadership: leadership.clone(),
            data_dir: config.sidecar.data_dir.clone(),
        };
        let accounts = Arc::new(Accounts::new(ground));
        let committing = start_accounts(&accounts, signers, &config).await?;

        let (stop, stopped) = watch::channel(false);
        let follower = follow(
            &config,
            &provider,
            submitter.clone(),
            index.clone(),
            heads.clone(),
            stopped.clone(),
        );
        let ended = until(stopped.clone());
        let settling = tokio::spawn(async move {
            tokio::select! {
                () = settling => {}
                () = ended => {}
            }
        });
        let (proofs, keeping) = match config.l1.rpc_url {
            Some(_) => {
                let (kept, keeping) = keep_proofs(&config, &settlement, &index, &heads, stopped).await?;
                (Some(kept), Some(keeping))
            }
            None => (None, None),
        };
        let parts = set_pipeline::Parts {
            source,
            policies: host.policies(),
            submitter,
            accounts: committing,
            leadership: leadership.clone(),
            heads: heads.clone(),
            chain_id: config.chain.id,
            index: index.clone(),
            durable,
        };
        let pipeline = Pipeline::start(config.commitment.clone(), parts).await?;

        let status = Arc::new(Status {
            pipeline: pipeline.view(),
            accounts: accounts.clone(),
            leadership,
            settlement: settlement.clone(),
            proofs: proofs.clone(),
            facts: Status::facts(&config),
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
            settlement: Some(settlement),
            proofs: proofs.map(|proofs| Arc::new(proofs) as Arc<dyn SettlementProofs>),
        };
        let rpc = RpcServer::start(&config.rpc, parts).await?;
        let admin_listen = config.rpc.admin_listen;
        let health_parts = HealthParts {
            heads,
            index,
            plugins: host.clone(),
            status,
            metrics,
        };
        let health = HealthServer::start(config.rpc.health_listen, health_parts).await?;
        let live = Arc::new(Live::new(layers, given, config, accounts, pipeline.control()));
        let admin = match secret {
            Some(secret) => Some(AdminServer::start(admin_listen, secret, live.clone()).await?),
            None => {
                info!(
                    "admin_ methods are not served: there is no `rpc.admin_jwt`, and no `sidecar.data_dir` to keep one in"
                );
                None
            }
        };
        Ok(Self {
            host,
            pipeline,
            lease,
            live,
            rpc,
            admin,
            health,
            stop,
            followers: [Some(follower), Some(settling), keeping]
                .into_iter()
                .flatten()
                .collect(),
        })
    }

    /// What changes it while it runs.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.clone()
    }

    /// Ends when the pipeline does, which it does not do by itself.
    pub(crate) async fn stopped(&mut self) {
        self.pipeline.stopped().await;
    }

    /// Stops taking commitments, lets what was sent be included and reported, then ends the rest. What
    /// does not finish in time goes on in the next run.
    pub(crate) async fn stop(self, within: Duration) {
        let begun = Instant::now();
        // A tenth is kept for what comes last.
        let left = || (within * 9 / 10).saturating_sub(begun.elapsed());
        let servers = async {
            if let Some(admin) = self.admin {
                admin.stop().await;
            }
            self.rpc.stop().await;
        };
        if timeout(left() / 4, servers).await.is_err() {
            warn!("calls were still being answered and are cut off");
        }
        // Until then it needs the transaction managers, the index and the plugins.
        if !self.pipeline.drain(left() * 3 / 4).await {
            warn!("not everything was included and reported in time; the next run takes it up");
        }
        // Nothing is sent from here on, so another may.
        if let Some(lease) = self.lease
            && timeout(left() / 2, lease.release()).await.is_err()
        {
            warn!("the lease could not be given up in time; another takes over once it has run out");
        }
        self.stop.send_replace(true);
        for follower in self.followers {
            if let Err(panic) = follower.await {
                error!(%panic, "a follower ended badly");
            }
        }
        self.host.shutdown(left()).await;
        self.health.stop().await;
    }
}

/// The plugins, and the store that they keep values in.
async fn start_plugins(config: &Config, provider: &L2Provider) -> Result<(Durable, Arc<Host>)> {
    let durable = Durable::open(config.data_file("durable.redb").as_deref())
        .await
        .wrap_err("the durable store in `sidecar.data_dir`")?;
    let services = CoreServices {
        provider: provider.clone(),
        durable: durable.clone(),
    };
    let host = Host::start(host_config(config), &builtins(), Arc::new(services)).await?;
    Ok((durable, Arc::new(host)))
}

async fn open_index(config: &Config) -> Result<Index> {
    let index = Index::open(config.data_file("index.redb").as_deref()).await;
    index.wrap_err("the index in `sidecar.data_dir`")
}

async fn open_signers(config: &Config, layers: &Layers) -> Result<Vec<NamedSigner>> {
    let opened = signers::open(config).await;
    opened.map_err(|complaints| Problems::of(layers, complaints).into())
}

async fn start_lease(config: &Config) -> Result<(Leadership, Option<LeaseTask>)> {
    let kind = config.sidecar.lease;
    if kind == set_lease::LeaseKind::None {
        return Ok((Leadership::always(), None));
    }
    let (leadership, task) = set_lease::start(
        kind,
        config.lease.clone(),
        lease_name(config),
        set_lease::process_name(),
    )
    .await?;
    Ok((leadership, Some(task)))
}

/// The secret of the `admin_` methods, made where it is missing. Where the operator names no file and the data directory takes none,
/// they are not served: nothing else hangs on them.
async fn read_secret(config: &Config) -> Result<Option<AdminSecret>> {
    let Some(path) = config.admin_jwt() else {
        return Ok(None);
    };
    match tokio::task::spawn_blocking(move || AdminSecret::read_or_create(&path)).await? {
        Ok(secret) => Ok(Some(secret)),
        Err(error) if config.rpc.admin_jwt.is_none() => {
            warn!(%error, "no secret for the admin_ methods can be kept in the data directory");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Starts every account; gives those that send commitments.
async fn start_accounts(accounts: &Arc<Accounts>, signers: Vec<NamedSigner>, config: &Config) -> Result<Vec<Account>> {
    let starting = signers.into_iter().map(|signer| async {
        let role = signer.role;
        let account = accounts.open(signer, config.txmgr.clone()).await?;
        Ok::<_, eyre::Report>((role, account))
    });
    let mut committing = vec![];
    for (role, account) in try_join_all(starting).await? {
        match role {
            AccountRole::Commitments => committing.push(account),
            // Nothing is sent from it yet: it watches its balance. What an earlier run left is followed.
            AccountRole::Sponsorship => {
                let mut events = account.events;
                tokio::spawn(async move { while events.recv().await.is_some() {} });
            }
        }
    }
    Ok(committing)
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
    stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let options = FollowerOptions {
        chain_id: config.chain.id,
        from_block: config.chain.start_block,
        max_range: LOG_RANGE,
    };
    let follower = Follower::new(provider.clone(), SubmitterLogs(submitter), index, heads, options);
    tokio::spawn(follower.run(until(stopped)))
}

/// Ends once the sidecar stops.
async fn until(mut stopped: watch::Receiver<bool>) {
    // The sender goes away only together with the program.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Keeps what proves commitments to the games on L1.
async fn keep_proofs(
    config: &Config,
    settlement: &Settlement,
    index: &Index,
    heads: &watch::Receiver<Arc<ChainView>>,
    stopped: watch::Receiver<bool>,
) -> Result<(KeptProofs, JoinHandle<()>)> {
    let (claims, passing_on) = settlement.claims_to_capture();
    let kept = KeptProofs::open(config, claims).await?;
    let keeping = kept.captures().run(index.clone(), heads.clone(), until(stopped));
    let task = tokio::spawn(async move {
        tokio::select! {
            () = keeping => {}
            () = passing_on => {}
        }
    });
    Ok((kept, task))
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
