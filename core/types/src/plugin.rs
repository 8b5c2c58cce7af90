//! What plugins and their host tell each other beside the work itself.

use std::fmt;

use alloy_primitives::Bytes;
use schemars::Schema;
use serde::{Deserialize, Serialize};

/// The part that a plugin plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginKind {
    /// Lists commitments and takes reports.
    Source,
    /// Judges commitments and sponsorships.
    Policy,
    /// Turns commitments into calls of a contract.
    Submitter,
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Policy => "policy",
            Self::Submitter => "submitter",
        })
    }
}

/// `describe`: what a plugin is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Its name, such as `sequencer-http`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// What it does, in one line.
    #[serde(default)]
    pub description: String,
    /// The part that it plays.
    pub kind: PluginKind,
    /// The versions of these messages that it speaks.
    pub protocol: ProtocolRange,
    /// JSON Schema of its configuration.
    pub config_schema: Schema,
}

/// An inclusive range of message versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolRange {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl ProtocolRange {
    /// Whether `version` is within the range.
    pub const fn contains(self, version: u32) -> bool {
        self.min <= version && version <= self.max
    }
}

impl fmt::Display for ProtocolRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// Why a plugin, or the host when a plugin asks, does not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong and what to do about it. Never holds a secret.
    pub message: String,
    /// Whether the same request may succeed later.
    #[serde(default)]
    pub retryable: bool,
}

/// `chain_call`: ask the execution node, read-only. The answer is the node's `result` as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainCall<P> {
    /// An `eth_` method.
    pub method: String,
    /// Its parameters: a JSON array.
    pub params: P,
}

/// `kv_get`: read one of the plugin's own durable values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvGet {
    /// The key, at most 256 bytes.
    pub key: String,
}

/// The answer to `kv_get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvValue {
    /// The value, or `None` where there is none.
    pub value: Option<Bytes>,
}

/// `kv_put`: keep a value durably. It is kept once this is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvPut {
    /// The key, at most 256 bytes.
    pub key: String,
    /// The value, at most 64 KiB.
    pub value: Bytes,
}
