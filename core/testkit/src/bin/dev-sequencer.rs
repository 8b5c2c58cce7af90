//! `dev-sequencer`: the development sequencer behind a command line.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    time::Duration,
};

use clap::Parser;
use eyre::{WrapErr, bail, eyre};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use set_testkit::sequencer::{Defect, Faults, Load, Preload, Sequencer};
use tracing_subscriber::EnvFilter;

/// A development sequencer: a test tool and a demonstration, never for production.
///
/// Speaks the stateset-sequencer's anchoring API over synthetic commerce events and keeps everything
/// in memory. Prints its base URL first, then a line for each batch that it commits and each report
/// that it gets.
#[derive(Debug, Parser)]
#[command(name = "dev-sequencer", version, after_long_help = AFTER_HELP)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The key that the API lets in.
    #[arg(
        long,
        env = "DEV_SEQUENCER_API_KEY",
        hide_env_values = true,
        default_value = "ss_dev_bootstrap_admin"
    )]
    api_key: String,
    /// Ids, keys and events follow from this number; by default each run has its own.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of streams (a tenant's store each).
    #[arg(long, default_value_t = 3)]
    streams: usize,
    /// Sequence number that each stream starts at.
    #[arg(long, default_value_t = 1)]
    first_sequence: u64,
    /// Milliseconds between two batches; 0 commits none but those asked for by POST /dev/commit.
    #[arg(long, default_value_t = 1000)]
    interval_ms: u64,
    /// Fewest events of a batch.
    #[arg(long, default_value_t = 1)]
    min_events: u32,
    /// Most events of a batch.
    #[arg(long, default_value_t = 12)]
    max_events: u32,
    /// Ends committing, not serving, after so many batches.
    #[arg(long)]
    batches: Option<u64>,
    /// Batches that wait from the start, as STREAMSxBATCHES in streams of their own, such as 500x10; or as
    /// STREAMSxBATCHES:DEFECT, such as 10x500:event_count, an hour older than the rest.
    #[arg(long, value_parser = preload)]
    preload: Option<Preload>,
    /// Sets a switch, as KEY=VALUE with a JSON value; may be given several times. The keys are below.
    #[arg(long = "fault", value_name = "KEY=VALUE", value_parser = fault)]
    faults: Vec<(String, Value)>,
}

const AFTER_HELP: &str = "\
Switches (--fault KEY=VALUE, or POST /dev/faults with a JSON object while it runs):
  delay_ms=N                every answer comes later
  silence_ms=N              dead database: silence, then an empty 504; /ready is 503
  hang_ups=N                N requests: the connection closes without an answer
  rate_limited=N            N requests: 429
  rate_limit={\"requests\":N,\"window_ms\":N}
                            429 to who asks more often
  retry_after_s=N           what a 429 says; 60 by default
  pool_exhausted=N          N requests: 503
  internal_errors=N         N requests: 500
  stale_ms=N                what was reported stays listed
  holes=true                every second commitment of a stream is not listed
  malformed=N               N entries that are no commitments among the good ones
  truncated=N               N lists: the JSON ends in the middle
  cut_off=N                 N lists: the connection breaks in the middle
  web_pages=N               N lists: a web page instead
  content_type=\"text/plain\" the lists' content type
  timeouts_after_write=N    N reports: recorded, and an empty 504
  timeouts_before_write=N   N reports: not recorded, and an empty 504
  accepted_conflicts=N      N reports with another hash: accepted
  false_proofs=true         proofs that don't verify
  next_batches=[\"events_root\",…]
                            the next batches are flawed: events_root, state_root, prev_state_root, gap,
                            event_count, zero_events_root, endless_range, duplicate_id, backdated

Routes that the real sequencer does not have, without credentials:
  GET, POST, DELETE /dev/faults; POST /dev/commit; POST /dev/streams;
  GET /dev/events/{batch_id}/{sequence}; GET /dev/state";

fn preload(text: &str) -> Result<Preload, String> {
    let (size, defect) = match text.split_once(':') {
        Some((size, defect)) => (
            size,
            Some(Defect::deserialize(json!(defect)).map_err(|error| error.to_string())?),
        ),
        None => (text, None),
    };
    let parts = size.split_once('x').and_then(|(streams, batches)| {
        let streams = streams.parse().ok().filter(|count| *count > 0)?;
        Some((streams, batches.parse().ok()?))
    });
    let (streams, batches) = parts.ok_or("write STREAMSxBATCHES, such as 500x10")?;
    Ok(Preload {
        streams,
        batches,
        defect,
        newest: defect.map(|_| Timestamp::now() - Duration::from_secs(3600)),
        ..Preload::default()
    })
}

fn fault(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, such as stale_ms=5000")?;
    // A text without quotes is a text.
    let value: Value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    let mut check = Faults::default();
    let change = Map::from_iter([(key.to_owned(), value.clone())]);
    check.merge(change).map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value))
}

#[tokio::main]
async fn main() -> eyre::Result<()> {
    let arguments = Arguments::parse();
    if arguments.min_events == 0 || arguments.min_events > arguments.max_events {
        bail!("--min-events must be at least 1 and at most --max-events");
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_target(false)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        .init();
    let mut faults = Faults::default();
    faults
        .merge(arguments.faults.into_iter().collect())
        .map_err(|error| eyre!("--fault: {error}"))?;
    let mut builder = Sequencer::builder()
        .port(arguments.port)
        .admin_key(arguments.api_key)
        .seed(arguments.seed.unwrap_or_else(rand::random))
        .streams(arguments.streams)
        .first_sequence(arguments.first_sequence)
        .faults(faults);
    if let Some(preload) = arguments.preload {
        builder = builder.preload(preload);
    }
    if arguments.interval_ms > 0 {
        builder = builder.load(Load {
            interval: Duration::from_millis(arguments.interval_ms),
            events: arguments.min_events..=arguments.max_events,
            batches: arguments.batches,
        });
    }
    let sequencer = builder
        .start()
        .await
        .wrap_err_with(|| format!("cannot listen on 127.0.0.1:{}; choose another --port", arguments.port))?;
    writeln!(stdout(), "{}", sequencer.url())?;
    interrupted().await?;
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> eyre::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
