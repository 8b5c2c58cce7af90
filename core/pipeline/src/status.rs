//! What the pipeline shows of itself.

use std::collections::BTreeMap;

use serde::Serialize;
use set_types::{BatchId, Stage, StreamId, Timestamp};

/// The pipeline at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineStatus {
    /// Commitments in memory, by stage.
    pub stages: BTreeMap<Stage, usize>,
    /// Streams that have a commitment in memory.
    pub streams: usize,
    /// Calls that were planned and are not yet settled.
    pub calls: usize,
    /// What keeps everything back now; empty when nothing does.
    pub holds: Vec<Hold>,
    /// What needs a person's look.
    pub alarms: Vec<Alarm>,
    /// What fills the source's window; `None` while it is not full.
    pub window: Option<Window>,
    /// The source.
    pub source: SourceStatus,
    /// Entries of the source's list that cannot be read, the first 100.
    pub malformed: Vec<MalformedEntry>,
    /// Whether this process may send; while it may not, it only checks and reports.
    pub leading: bool,
    /// Whether the pipeline is stopping.
    pub draining: bool,
}

/// How the source does.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Whether the last poll was answered.
    pub healthy: bool,
    /// Why not, in words for the operator.
    pub error: Option<String>,
    /// When the source answered last.
    pub last_poll: Option<Timestamp>,
    /// Commitments that the last answer listed.
    pub listed: usize,
    /// Whether its window was full, so that younger commitments may be hidden.
    pub window_full: bool,
}

/// A full window of the source, by what the pipeline knows of the commitments in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Since when it is full.
    pub since: Timestamp,
    /// How many are in which stage.
    pub stages: BTreeMap<Stage, usize>,
    /// Entries that cannot be read.
    pub unreadable: usize,
    /// The streams with the most commitments that do not move, at most five.
    pub worst: Vec<StuckStream>,
}

/// A stream that takes up a part of the source's window and does not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StuckStream {
    /// The stream.
    pub stream: StreamId,
    /// How many of its commitments are in the window and held, blocked or quarantined.
    pub commitments: usize,
    /// Why the first of them does not move.
    pub reason: String,
}

/// Something that keeps every commitment back. It ends by itself once its cause is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// What kind.
    pub kind: HoldKind,
    /// Why, in terms of what the operator can change.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// Kinds of holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// The chain cannot be reached, or is not the one configured.
    Chain,
    /// Transactions of the run before are not resolved yet.
    Recovery,
    /// The contract takes nothing from anybody at present (paused).
    Contract,
    /// The contract takes nothing from one sending account (not authorised); others go on.
    Account,
    /// The submitter fails to plan, or proposed what it must not.
    Submitter,
    /// Streams' heads cannot be read.
    Heads,
    /// A transaction's outcome cannot be read.
    Settlement,
    /// The source takes no reports at present.
    Reports,
}

/// Something that went wrong in a way that no retry mends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// What kind.
    pub kind: AlarmKind,
    /// What is wrong and what to do about it.
    pub message: String,
    /// The commitments concerned, the first 100.
    pub batches: Vec<BatchId>,
    /// How many are concerned.
    pub count: usize,
    /// Since when.
    pub since: Timestamp,
}

/// Kinds of alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// The chain holds these ids with other content than the source lists.
    ChainConflict,
    /// The source holds another transaction for these than the chain.
    ReportConflict,
    /// The source refused the reports of these for good.
    ReportRefused,
    /// A reorg undid these after they were reported.
    ReorgAfterReport,
    /// The submitter proposed a call that it is not allowed.
    SubmitterViolation,
    /// The submitter cannot plan these, each alone: they do not fit the limits of a transaction, say.
    Unplannable,
    /// The contract takes the streams of these from accounts that send nothing here.
    BoundElsewhere,
    /// The chain holds these, and nobody knows in which transactions: nodes have dropped their blocks.
    Unlocated,
    /// The source's window is full and stays so; what nobody has seen stays hidden behind it.
    WindowFull,
    /// The durable store cannot be written.
    Store,
}

impl AlarmKind {
    /// The kind as metrics and JSON name it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ChainConflict => "chain_conflict",
            Self::ReportConflict => "report_conflict",
            Self::ReportRefused => "report_refused",
            Self::ReorgAfterReport => "reorg_after_report",
            Self::SubmitterViolation => "submitter_violation",
            Self::Unplannable => "unplannable",
            Self::BoundElsewhere => "bound_elsewhere",
            Self::Unlocated => "unlocated",
            Self::WindowFull => "window_full",
            Self::Store => "store",
        }
    }
}

/// An entry of the source's list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MalformedEntry {
    /// Its batch id as the source wrote it, where it has one.
    pub batch_id: Option<String>,
    /// The stream, where it can be read.
    pub stream: Option<StreamId>,
    /// What is wrong, naming the field.
    pub reason: String,
}

/// Which commitments to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PendingFilter {
    /// Only this stream's.
    pub stream: Option<StreamId>,
    /// Only those in this stage.
    pub stage: Option<Stage>,
}
