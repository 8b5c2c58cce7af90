//! `set-sidecar check`: everything that can be wrong before anybody is asked.

use std::{io::Write, sync::Arc, time::Duration};

use async_trait::async_trait;
use eyre::Result;
use serde_json::value::RawValue;
use set_host::{Host, HostConfig, HostError, HostServices, PluginConfig, ServiceError};

use crate::{
    assembly,
    cli::ConfigArgs,
    config::{Config, Problems},
    signers,
};

/// How long plugins may take to end again.
const END: Duration = Duration::from_secs(5);

/// Reads everything, opens the signer's key, starts the plugins once without node or source, and says all
/// that is wrong.
///
/// # Errors
/// [`Problems`], each with its file and key.
pub(crate) async fn check(args: &ConfigArgs, out: &mut impl Write) -> Result<()> {
    let layers = args.layers();
    let mut survey = Config::survey(&layers);
    if let Some(config) = &survey.config {
        for (key, message) in beyond_the_files(config).await {
            survey.complain(&key, message);
        }
    }
    let config = match survey.config {
        Some(config) if survey.problems.is_empty() => config,
        _ => return Err(Problems(survey.problems).into()),
    };
    writeln!(out, "{}: no problems", layers.base.display())?;
    let chain = &config.chain;
    writeln!(
        out,
        "  chain      {} ({}), registry {}",
        chain.id, chain.name, chain.registry
    )?;
    writeln!(out, "  signers    {}", config.sidecar.signers.join(", "))?;
    writeln!(out, "  report at  {}", config.commitment.report_at)?;
    for plugin in &config.plugins {
        writeln!(
            out,
            "  {:<10} {} ({})",
            plugin.kind.to_string(),
            plugin.id,
            plugin.origin
        )?;
    }
    Ok(())
}

/// What no file says by itself, with the key that it hangs on: whether the key is where it should be, and
/// what plugins think of their settings.
async fn beyond_the_files(config: &Config) -> Vec<(String, String)> {
    let mut problems = vec![];
    if let Err(complaints) = signers::open(config).await {
        problems.extend(
            complaints
                .into_iter()
                .map(|complaint| (complaint.key, complaint.message)),
        );
    }
    for error in plugin_problems(config).await {
        let position = config.plugins.iter().position(|plugin| plugin.id == error.plugin);
        let key = position.map_or_else(|| "plugins".to_owned(), |position| format!("plugins.{position}"));
        problems.push((key, format!("({}): {}", error.plugin, error.problem)));
    }
    problems
}

/// What the host sees without running a plugin, and only if that is nothing, what plugins say at their start.
async fn plugin_problems(config: &Config) -> Vec<HostError> {
    let required = |plugin: &PluginConfig| PluginConfig {
        required: true,
        ..plugin.clone()
    };
    let host = HostConfig {
        plugins: config.plugins.iter().map(required).collect(),
        // Copies of plugin files are temporary then: checking leaves nothing behind.
        data_dir: None,
        ..assembly::host_config(config)
    };
    let problems = Host::check(&host, &assembly::builtins()).await;
    if !problems.is_empty() {
        return problems;
    }
    match Host::start(host, &assembly::builtins(), Arc::new(Nobody)).await {
        Ok(host) => {
            host.shutdown(END).await;
            vec![]
        }
        Err(error) => error.0,
    }
}

/// Answers no plugin's question: a check asks neither the node nor the store.
struct Nobody;

impl Nobody {
    fn refuse<T>() -> Result<T, ServiceError> {
        Err(ServiceError::retryable("nothing is asked during a check"))
    }
}

#[async_trait]
impl HostServices for Nobody {
    async fn chain_call(&self, _: &str, _: &str, _: Box<RawValue>) -> Result<Box<RawValue>, ServiceError> {
        Self::refuse()
    }

    async fn kv_get(&self, _: &str, _: &str) -> Result<Option<Vec<u8>>, ServiceError> {
        Self::refuse()
    }

    async fn kv_put(&self, _: &str, _: &str, _: Vec<u8>) -> Result<(), ServiceError> {
        Self::refuse()
    }
}
