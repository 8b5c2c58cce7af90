//! Logs: readable in a terminal, JSON in production.

use std::io::IsTerminal;

use eyre::{Result, WrapErr};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Libraries that log whole URLs when they are asked for details. An endpoint's URL may carry an access key, so
/// they are never asked.
const SHOW_URLS: [&str; 5] = [
    "alloy_rpc_client",
    "alloy_transport_http",
    "hyper_util",
    "reqwest",
    "h2",
];

/// Installs the program's subscriber; logs go to standard error, so that standard output stays for
/// what a command prints.
///
/// # Errors
/// Where the filter, or `RUST_LOG` over it, cannot be read.
pub(crate) fn install(filter: &str, format: LogFormat) -> Result<()> {
    let mut filter = match std::env::var("RUST_LOG") {
        Ok(from_environment) => EnvFilter::try_new(&from_environment).wrap_err("RUST_LOG is no log filter")?,
        Err(_) => EnvFilter::try_new(filter).wrap_err("`sidecar.log` is no log filter")?,
    };
    for target in SHOW_URLS {
        filter = filter.add_directive(format!("{target}=info").parse().wrap_err("a log directive of ours")?);
    }
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    if json {
        builder.json().flatten_event(true).init();
    } else {
        builder.with_ansi(terminal).with_target(false).init();
    }
    Ok(())
}
