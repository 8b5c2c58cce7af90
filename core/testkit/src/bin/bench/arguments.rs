//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

const EXAMPLES: &str = "\
Also: --debug builds without optimising, which is quicker to make and enough for --quick.

Examples:
  ./scripts/bench                          everything on anvil, some 40 minutes
  ./scripts/bench --quick                  what the machine's speed does not change
  ./scripts/bench --op-stack               a backlog on op-geth, and the same on anvil
  ./scripts/bench streams latency          two scenarios
  ./scripts/bench --commitments 20000 stream";

/// Measures the sidecar on this machine: how full it makes blocks, how fast a commitment is included,
/// what it costs in processor time and memory, and how that grows. Prints a table and writes it as JSON.
///
/// Everything runs here: anvil with 2 s blocks of 30 million gas (with --op-stack op-geth and op-node too), the
/// development sequencer, the real sidecar. A row that misses its target is marked, and the program ends with 1 then.
#[derive(Debug, Parser)]
#[command(
    name = "bench",
    bin_name = "./scripts/bench",
    version,
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub(crate) struct Arguments {
    /// What to measure. By default everything on anvil; with --quick: streams, stream, footprint, share.
    #[arg(value_enum)]
    pub(crate) scenarios: Vec<Scenario>,

    /// Smaller sizes, and only those targets judged that count gas, blocks and commitments, never seconds:
    /// for a machine that is busy or slow.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Measures on a real op-geth too, with op-node beside it (needs Go): alone with the scenario streams, or beside
    /// the scenarios named.
    #[arg(long)]
    op_stack: bool,

    /// Commitments that are pending in the throughput scenarios [default: 5000; with --quick 3000].
    #[arg(long, value_name = "N")]
    commitments: Option<usize>,

    /// Where the figures go, as JSON.
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    pub(crate) json: PathBuf,

    /// Where the sidecar keeps its data meanwhile, and where its logs stay. Emptied at the start.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) dir: PathBuf,
}

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// A backlog in 500 streams, with `max_block_share` lifted; and beside it a plain loop.
    Streams,
    /// The same backlog in one stream.
    Stream,
    /// The same on a chain where data limits a block before gas does.
    Footprint,
    /// A backlog at a share that is the chain's gas target: the base fee, and how long somebody else waits.
    Share,
    /// A backlog with reports at `safe`, which follows the head by 5 and by 15 minutes.
    Settlement,
    /// One commitment now and then: from listed to included.
    Latency,
    /// Start, processor time and memory, with 10 k, 100 k and 1 M commitments in the index.
    Index,
    /// A commitment each in 1 k, 10 k and 100 k streams.
    Growth,
    /// The backlog of `streams` on op-geth and op-node.
    #[value(skip)]
    OpStack,
}

impl Arguments {
    pub(crate) fn commitments(&self) -> usize {
        self.commitments.unwrap_or(if self.quick { 3_000 } else { 5_000 })
    }

    /// What to measure, each once, in their order.
    pub(crate) fn selected(&self) -> Vec<Scenario> {
        let mut selected = match (self.scenarios.as_slice(), self.quick) {
            ([], _) if self.op_stack => vec![Scenario::Streams],
            ([], false) => Scenario::value_variants().to_vec(),
            ([], true) => vec![
                Scenario::Streams,
                Scenario::Stream,
                Scenario::Footprint,
                Scenario::Share,
            ],
            (named, _) => named.to_vec(),
        };
        selected.extend(self.op_stack.then_some(Scenario::OpStack));
        selected.sort();
        selected.dedup();
        selected
    }
}

impl Scenario {
    /// The scenario as the table names it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(|| "op-stack".to_owned(), |value| value.get_name().to_owned())
    }
}
