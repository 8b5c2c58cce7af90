//! `set-sidecar ready`: whether the sidecar of a configuration is ready, for units, containers and scripts.

use std::{io::Write, time::Duration};

use eyre::{Result, WrapErr, eyre};
use reqwest::{Client, StatusCode};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    cli::ReadyArgs,
    config::{Config, Problems},
};

/// One answer; the sidecar answers from memory.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Another program's readiness changes without telling anybody: asking is the only event there is.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Asks `/readyz` on `rpc.health_listen` until it answers 200, for as long as `--wait` says.
///
/// # Errors
/// [`Problems`] of the configuration; or why it is not ready: what it said last, or that nobody answers.
pub(crate) async fn ready(args: &ReadyArgs, out: &mut impl Write) -> Result<()> {
    let survey = Config::survey(&args.config.layers());
    let config = match survey.config {
        Some(config) if survey.problems.is_empty() => config,
        _ => return Err(Problems(survey.problems).into()),
    };
    let url = format!("http://{}/readyz", config.rpc.health_listen);
    let client = Client::builder().timeout(TIMEOUT).build().wrap_err("no HTTP client")?;
    let until = Instant::now() + args.wait;
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match ask(&client, &url).await {
            Ok(said) => {
                writeln!(out, "{said}")?;
                return Ok(());
            }
            Err(error) if Instant::now() + ASK_EVERY > until => return Err(error),
            Err(_) => {}
        }
    }
}

/// What it says when it is ready; else why it is not.
async fn ask(client: &Client, url: &str) -> Result<String> {
    let asked = client.get(url).send().await;
    let answer = asked.wrap_err("no sidecar answers on `rpc.health_listen`")?;
    let status = answer.status();
    let said = answer.text().await.wrap_err("its answer broke off")?;
    let said = said.trim().to_owned();
    if status == StatusCode::OK {
        Ok(said)
    } else {
        Err(eyre!("{url} answers {status}: {said}"))
    }
}
