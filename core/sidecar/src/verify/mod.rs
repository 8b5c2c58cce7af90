//! `set-sidecar verify`: checks proofs from files.
//!
//! An inclusion proof leads from an event to a root that the verifier has to trust already, and needs no network. A
//! settlement proof leads on to an output root that a dispute game on Ethereum claims, and is checked against a node of
//! L1 and nothing else.

mod ethereum;
mod event;
mod files;
mod inclusion;
mod settlement;

use std::{io::Write, path::PathBuf, process::ExitCode};

use alloy_primitives::{Address, B256};
use clap::Args;
use eyre::{Result, bail};
use url::Url;

/// Chain id of Set Chain.
const SET_CHAIN: u64 = 84_532_001;

/// What to check, and against what.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The proof: the answer of set_getInclusionProof, or of the sequencer's own proof route; with --registry, the
    /// answer of set_getSettlementProof.
    #[arg(value_name = "PROOF.json")]
    proof: PathBuf,

    /// The signed event. Its leaf is computed and must be the one that is proven.
    #[arg(long, value_name = "EVENT.json")]
    event: Option<PathBuf>,

    /// The agent's Ed25519 public key; the event's signature is checked against it.
    #[arg(long, value_name = "0x…", requires = "event")]
    agent_key: Option<B256>,

    /// The commitment that you trust: the answer of set_getCommitment from a node of yours, or an entry
    /// of the sequencer's list. Its root and event count are what the proof is checked against.
    #[arg(long, value_name = "FILE", help_heading = "Inclusion proofs")]
    commitment: Option<PathBuf>,

    /// The events root that you trust, instead of --commitment.
    #[arg(
        long,
        value_name = "0x…",
        requires = "event_count",
        conflicts_with = "commitment",
        help_heading = "Inclusion proofs"
    )]
    events_root: Option<B256>,

    /// The event count that belongs to --events-root.
    #[arg(long, value_name = "N", requires = "events_root", help_heading = "Inclusion proofs")]
    event_count: Option<u32>,

    #[command(flatten)]
    settlement: SettlementArgs,
}

/// What a settlement proof is checked against: all of it is the verifier's to know, and none of it is read from the
/// proof.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settlement proofs")]
struct SettlementArgs {
    /// SetRegistry's proxy on the L2, whose records you want proven.
    #[arg(long, value_name = "0x…", conflicts_with_all = ["commitment", "events_root"])]
    registry: Option<Address>,

    /// Chain id of the L2.
    #[arg(long, value_name = "ID", default_value_t = SET_CHAIN, requires = "registry")]
    chain_id: u64,

    /// JSON-RPC of an Ethereum node that you trust: the one source that the last link is checked against.
    #[arg(long, value_name = "URL", requires_all = ["registry", "portal"])]
    l1: Option<Url>,

    /// OptimismPortal's proxy on L1: where withdrawals of the L2 are paid. Everything else on L1 is asked of it.
    #[arg(long, value_name = "0x…", requires = "l1")]
    portal: Option<Address>,
}

/// What became of a proof in which no link is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All that was asked for holds.
    Holds,
    /// Ethereum does not bear the claim out, or not yet.
    ClaimedOnly,
    /// Ethereum could not be asked.
    Undecided,
}

impl From<Verdict> for ExitCode {
    /// As the command's help says. 1 is a broken link's and every other error's, and 2 a wrong command line's.
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Holds => Self::SUCCESS,
            Verdict::ClaimedOnly => Self::from(3),
            Verdict::Undecided => Self::from(4),
        }
    }
}

/// Checks, and prints one line for each link, from the event on.
///
/// # Errors
/// Names the link that does not hold, or the file that cannot be read.
pub(crate) async fn verify(args: &VerifyArgs, out: &mut impl Write) -> Result<Verdict> {
    match args.settlement.registry {
        Some(registry) => settlement::verify(args, registry, out).await,
        None if settlement::is_one(&args.proof) => {
            let file = args.proof.display();
            bail!("{file} is a settlement proof: name the SetRegistry whose records you want proven with --registry")
        }
        None => inclusion::verify(args, out).map(|()| Verdict::Holds),
    }
}
