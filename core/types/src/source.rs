//! What a source is asked and answers.

use serde::{Deserialize, Serialize};

use crate::{Commitment, StreamId};

/// `poll`: list commitments that nobody has reported yet, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRequest {
    /// At most so many.
    pub limit: u32,
}

/// `poll_stream`: list one stream's unreported commitments, in order, past what `poll` can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollStreamRequest {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamId,
    /// Only commitments that start after this sequence number.
    pub after: u64,
    /// At most so many.
    pub limit: u32,
}

/// The answer to `poll` and `poll_stream`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollResponse {
    /// What could be read.
    pub commitments: Vec<Commitment>,
    /// Entries that could not be read; they do not hide their neighbours.
    #[serde(default)]
    pub malformed: Vec<Malformed>,
    /// Whether the source's window was full, so that there may be more than it can show.
    #[serde(default)]
    pub more: bool,
}

/// A list entry that is no commitment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Malformed {
    /// The entry's batch id as the source wrote it, where it has one.
    pub batch_id: Option<String>,
    /// The stream, where it can be read; that stream waits.
    pub stream: Option<StreamId>,
    /// What is wrong, naming the field.
    pub reason: String,
}
