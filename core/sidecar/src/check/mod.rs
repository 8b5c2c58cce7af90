//! `set-sidecar check`: everything that can be wrong before anybody is asked; and with `--online`, everything
//! that can be wrong with those who are asked.

mod accounts;
mod contracts;
mod neighbours;
mod nodes;
mod online;
mod proofs;
mod report;
mod rollup;
mod settlement;

use std::{io::Write, sync::Arc, time::Duration};

use async_trait::async_trait;
use eyre::{Result, ensure};
use serde_json::value::RawValue;
use set_host::{Host, HostConfig, HostError, HostServices, PluginConfig, ServiceError};

use self::report::{Finding, Report};
use crate::{
    assembly,
    cli::CheckArgs,
    config::{Config, Problems},
    signers::{self, NamedSigner},
};

/// How long plugins may take to end again.
const END: Duration = Duration::from_secs(5);

/// Reads everything, opens the signers' keys, starts the plugins once without node or source, and says all
/// that is wrong. Where nothing is and `--online` is asked for, tries every connection.
///
/// # Errors
/// [`Problems`], each with its file and key; or, in one line, that there are problems in what was printed.
pub(crate) async fn check(args: &CheckArgs, out: &mut impl Write) -> Result<()> {
    let layers = args.config.layers();
    let mut survey = Config::survey(&layers);
    let mut signers = vec![];
    if let Some(config) = &survey.config {
        let (opened, problems) = beyond_the_files(config).await;
        let different = rollup::complaints(config, args.online);
        signers = opened;
        for (key, message) in problems {
            survey.complain(&key, message);
        }
        for different in different {
            survey.complain(&different.key, different.message);
        }
    }
    match survey.config {
        Some(config) if survey.problems.is_empty() => {
            if args.online {
                let report = online::check(&config, &signers).await?;
                return tell(&report, args.json, out);
            }
            summarise(&layers.base.display().to_string(), &config, out)
        }
        _ if args.json => {
            let finding = |problem: &crate::config::Problem| {
                let message = format!("`{}` {}", problem.complaint.key, problem.complaint.message);
                Finding::problem("configuration", &problem.origin, message, "correct it there")
            };
            let report = Report::new(survey.problems.iter().map(finding).collect());
            tell(&report, args.json, out)
        }
        _ => Err(Problems(survey.problems).into()),
    }
}

fn tell(report: &Report, json: bool, out: &mut impl Write) -> Result<()> {
    if json {
        report.print_json(out)?;
    } else {
        report.print(out)?;
    }
    out.flush()?;
    let (problems, all) = (report.problems(), report.len());
    ensure!(problems == 0, "{problems} of {all} checks found a problem");
    Ok(())
}

fn summarise(base: &str, config: &Config, out: &mut impl Write) -> Result<()> {
    writeln!(out, "{base}: no problems")?;
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
async fn beyond_the_files(config: &Config) -> (Vec<NamedSigner>, Vec<(String, String)>) {
    let (signers, complaints) = match signers::open(config).await {
        Ok(signers) => (signers, vec![]),
        Err(complaints) => (vec![], complaints),
    };
    let complaints = complaints.into_iter();
    let mut problems: Vec<_> = complaints.map(|complaint| (complaint.key, complaint.message)).collect();
    for error in plugin_problems(config).await {
        let position = config.plugins.iter().position(|plugin| plugin.id == error.plugin);
        let key = position.map_or_else(|| "plugins".to_owned(), |position| format!("plugins.{position}"));
        problems.push((key, format!("({}): {}", error.plugin, error.problem)));
    }
    (signers, problems)
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
