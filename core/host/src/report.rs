//! What the host tells of a plugin.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use set_types::PluginKind;

/// Where a plugin stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    /// Configured; nothing of it was loaded yet.
    Declared,
    /// Its code is loaded and fits; no instance runs.
    Loaded,
    /// An instance runs.
    Started,
    /// An instance runs and says that it cannot do its work, or one is being replaced after a panic.
    Degraded,
    /// An instance did not come back from a call; it was given up and is being replaced.
    Wedged,
    /// No more calls are taken; those that run may end.
    Draining,
    /// Ended in good order.
    Stopped,
    /// Could not be started, or failed too often; it stays so until the program restarts.
    Failed,
}

impl fmt::Display for PluginState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declared => "declared",
            Self::Loaded => "loaded",
            Self::Started => "started",
            Self::Degraded => "degraded",
            Self::Wedged => "wedged",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        })
    }
}

/// One plugin, as the host sees it. Holds no secret, but a path and errors, which are not for everybody.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginReport {
    /// The operator's name for it.
    pub id: String,
    /// The part that it plays.
    pub kind: PluginKind,
    /// Its own name; `None` where it could not be loaded.
    pub name: Option<String>,
    /// Its own version.
    pub version: Option<String>,
    /// What it says it does.
    pub description: Option<String>,
    /// `builtin name`, or the path as configured.
    pub origin: String,
    /// SHA-256 of its file, in hex.
    pub sha256: Option<String>,
    /// Where it stands.
    pub state: PluginState,
    /// Counts its instances; 0 where there was none.
    pub generation: u64,
    /// Whether the program needed it to start.
    pub required: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Calls so far.
    pub calls: u64,
    /// Those without an answer.
    pub failures: u64,
    /// Calls that are not completed.
    pub in_flight: usize,
    /// Completions of the present instance that came too late, or twice.
    pub stray_completions: u64,
    /// JSON Schema of its configuration.
    pub config_schema: Option<Value>,
}
