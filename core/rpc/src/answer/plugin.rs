//! `set_listPlugins`.

use serde::{Deserialize, Serialize};

/// A plugin, as anybody may see it: no configuration, no path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginAnswer {
    /// Its id in the configuration.
    pub id: String,
    /// `source`, `policy` or `submitter`.
    pub kind: String,
    /// What it calls itself; null before it is loaded.
    pub name: Option<String>,
    /// Its version; null before it is loaded.
    pub version: Option<String>,
    /// What it says it does; null before it is loaded.
    pub description: Option<String>,
    /// Whether it is linked in; else it was loaded from a file.
    pub builtin: bool,
    /// SHA-256 of its file, in hex; null where it is linked in.
    pub sha256: Option<String>,
    /// Its state: `started`, `degraded`, `failed` and so on.
    pub state: String,
    /// Whether it answers calls.
    pub serving: bool,
    /// Counts its instances, replacements included; 0 where there was none.
    pub generation: u64,
    /// Whether the program refuses to run without it.
    pub required: bool,
    /// Calls since it started.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls under way.
    pub in_flight: u64,
}
