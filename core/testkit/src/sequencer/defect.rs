//! What can be wrong with a commitment.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A flaw that a batch is made with. The stream's next batch chains on whatever the flawed one claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Defect {
    /// Claims another events root than its events have; the state root fits the claim. Only the
    /// sequencer's own proofs give it away.
    EventsRoot,
    /// Claims another state root than VES gives. Only who recomputes it sees.
    StateRoot,
    /// Does not chain: its previous state root is not its predecessor's.
    PrevStateRoot,
    /// Does not chain: three sequence numbers before it belong to no batch.
    Gap,
    /// Counts one event more than its range holds.
    EventCount,
    /// Has the zero hash as events root.
    ZeroEventsRoot,
    /// Claims the range 0 to 2^64-1, whose length wraps to 0.
    EndlessRange,
    /// Bears the id of the first batch that was ever made (none, if it is itself the first).
    DuplicateId,
    /// Was committed an hour earlier than its predecessor, by its `committed_at`; so it is listed first.
    Backdated,
}

impl fmt::Display for Defect {
    /// Writes the name that JSON has, such as `events_root`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
