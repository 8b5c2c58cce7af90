//! What each scenario runs on: a chain as Set Chain has it, a sequencer with a backlog, the real sidecar.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use eyre::{Result, WrapErr, bail, ensure};
use set_testkit::{
    Anvil, OpStack, Rpc, Sequencer, Sidecar, SidecarBuilder, Stack,
    anvil::AnvilBuilder,
    sequencer::{Preload, SequencerBuilder},
};

use crate::{arguments::Arguments, usage::Usage};

/// Seconds between blocks, and a block's gas, as on Set Chain.
pub(crate) const BLOCK_TIME: f64 = 2.0;
pub(crate) const BLOCK_GAS: u64 = 30_000_000;
/// Time between two polls of the sequencer, in seconds: the sidecar's default.
pub(crate) const POLL_INTERVAL: f64 = 1.0;
/// Without so many more reports in this time, a run is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where scenarios take their parts from.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) quick: bool,
    pub(crate) commitments: usize,
    dir: PathBuf,
    binary: PathBuf,
}

impl Bench {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        let dir = std::path::absolute(&arguments.dir)?;
        if dir.exists() {
            fs::remove_dir_all(&dir).wrap_err_with(|| format!("cannot empty {}", dir.display()))?;
        }
        let binary = std::env::current_exe()?.with_file_name("set-sidecar");
        ensure!(
            binary.is_file(),
            "{} is not there; run ./scripts/bench, which builds it",
            binary.display()
        );
        Ok(Self {
            quick: arguments.quick,
            commitments: arguments.commitments(),
            dir,
            binary,
        })
    }

    /// The directory of a run.
    pub(crate) fn dir(&self, run: &str) -> PathBuf {
        self.dir.join(run)
    }

    /// A chain with the contracts, beside a sequencer.
    pub(crate) async fn stack(&self, run: &str, chain: AnvilBuilder, sequencer: SequencerBuilder) -> Result<Stack> {
        Ok(Stack::start(chain.gas_limit(BLOCK_GAS), sequencer.streams(0), &self.dir(run)).await?)
    }

    /// Contracts of their own on a chain of the OP Stack, beside a sequencer.
    pub(crate) async fn beside(
        &self,
        run: &str,
        chain: &Arc<OpStack>,
        sequencer: SequencerBuilder,
    ) -> Result<Stack<Arc<OpStack>>> {
        Ok(Stack::beside(chain, sequencer.streams(0), &self.dir(run)).await?)
    }

    /// A sidecar with the devnet's configuration, the poll interval and the disk of a real one.
    pub(crate) fn sidecar<C>(&self, run: &str, stack: &Stack<C>) -> SidecarBuilder {
        stack
            .sidecar(&self.binary)
            .set("sidecar.data_dir", self.dir(run).join("data").display())
            .set("commitment.poll_interval", format_args!("{POLL_INTERVAL}s"))
            .set("commitment.verify_events_root", "off")
    }
}

/// A chain with a block every 2 s.
pub(crate) fn chain() -> AnvilBuilder {
    Anvil::builder().block_time(BLOCK_TIME as u64)
}

/// A chain with a block every so many seconds, less than one included. Its clock moves on by at least a
/// second a block, so time on it runs faster.
pub(crate) fn fast_chain(block_time: f64) -> AnvilBuilder {
    Anvil::builder()
        .automine()
        .arg("--block-time")
        .arg(block_time.to_string())
}

/// A backlog of about `commitments`, spread evenly over `streams`.
pub(crate) fn backlog(streams: usize, commitments: usize) -> Preload {
    Preload {
        streams,
        batches: (commitments / streams).max(1),
        ..Preload::default()
    }
}

/// Waits until `count` commitments are reported; gives what the sidecar used meanwhile.
pub(crate) async fn until_reported(sequencer: &Sequencer, count: usize, sidecar: &Sidecar) -> Result<Usage> {
    let before = Usage::of(sidecar.process.id())?;
    let mut reported = recorded(sequencer);
    while !sequencer.reported(count, PATIENCE).await {
        let now = recorded(sequencer);
        if now == reported {
            let status = sidecar.call("set_status", serde_json::Value::Null).await;
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            bail!("{now} of {count} were reported, and no more within {PATIENCE:?}; the sidecar says: {status}");
        }
        reported = now;
    }
    let after = Usage::of(sidecar.process.id())?;
    Ok(Usage {
        cpu: after.cpu - before.cpu,
        peak: after.peak,
    })
}

/// The node of an anvil.
pub(crate) fn node(chain: &Anvil) -> Rpc {
    Rpc::new(chain.url().clone())
}

fn recorded(sequencer: &Sequencer) -> usize {
    sequencer.commitments().len() - sequencer.unreported().len()
}

/// Ends a sidecar and keeps its log.
pub(crate) async fn stop(sidecar: Sidecar, dir: &Path) -> Result<()> {
    let status = sidecar.stop().await?;
    fs::write(dir.join("sidecar.log"), sidecar.process.lines().join("\n"))?;
    ensure!(status.success(), "the sidecar ended with {status} when asked to stop");
    Ok(())
}
