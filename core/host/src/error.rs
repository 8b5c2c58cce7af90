//! What goes wrong: at start, and in a call.

use std::{path::PathBuf, time::Duration};

use set_types::{PluginKind, ProtocolRange};

use crate::allow::NotAllowed;

/// Why a plugin cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("plugin `{plugin}`: {problem}")]
pub struct HostError {
    /// The plugin's id, or the file where none is configured.
    pub plugin: String,
    /// What is wrong.
    pub problem: Problem,
}

impl HostError {
    pub(crate) fn new(plugin: &str, problem: Problem) -> Self {
        Self {
            plugin: plugin.to_owned(),
            problem,
        }
    }
}

/// What is wrong with a plugin.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Problem {
    /// A key of its `[[plugins]]` entry cannot be meant.
    #[error("`{key}` {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Keys of its own configuration are wrong, one line each.
    #[error("{}", list("its configuration is wrong:", .0))]
    Settings(Vec<String>),
    /// No such builtin.
    #[error("there is no builtin `{name}`; this program has {}", .known.join(", "))]
    UnknownBuiltin {
        /// The name.
        name: String,
        /// Names that there are.
        known: Vec<&'static str>,
    },
    /// Loading is off.
    #[error("`path` needs `sidecar.load_plugins = true`: a loaded plugin has the program's full trust")]
    LoadingDisabled,
    /// The file cannot be used.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// The file is not the pinned one.
    #[error("{}: its SHA-256 is {found}, but `sha256` says {expected}; restore the file or change the pin", .path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// The pin, in hex.
        expected: String,
        /// What the file has, in hex.
        found: String,
    },
    /// Its table cannot be used.
    #[error("it does not keep the plugin ABI: {0}")]
    Abi(String),
    /// It plays another part.
    #[error("`kind` is {expected}, but the plugin `{name}` is a {found}")]
    Kind {
        /// The plugin's own name.
        name: String,
        /// What the configuration says.
        expected: PluginKind,
        /// What the plugin says.
        found: PluginKind,
    },
    /// It speaks other messages.
    #[error(
        "it speaks message versions {theirs}, this program speaks {ours}; use a plugin or a program of another release"
    )]
    Protocol {
        /// What it speaks.
        theirs: ProtocolRange,
        /// What this program speaks.
        ours: u32,
    },
    /// It refused to start.
    #[error("it does not start: {0}")]
    Create(String),
    /// It panicked while it was looked at or started.
    #[error("it panicked in `{function}`: {message}")]
    Panicked {
        /// The function of its table.
        function: &'static str,
        /// What the panic said.
        message: String,
    },
    /// It did not answer.
    #[error("`{function}` did not return within {}s", .within.as_secs())]
    Stuck {
        /// What did not return.
        function: &'static str,
        /// How long the host waited.
        within: Duration,
    },
}

/// A heading and one line for each item, or all in one line where there is one item.
fn list(heading: &str, items: &[String]) -> String {
    match items {
        [one] => format!("{heading} {one}"),
        _ => items
            .iter()
            .fold(heading.to_owned(), |text, item| format!("{text}\n  {item}")),
    }
}

/// Why the host does not start: every problem of the configuration, and every required plugin that
/// failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", list("plugins:", &.0.iter().map(ToString::to_string).collect::<Vec<_>>()))]
pub struct StartError(pub Vec<HostError>);

/// Why a call of a plugin has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin `{plugin}`, `{method}`: {kind}")]
pub struct CallError {
    /// The plugin's id.
    pub plugin: String,
    /// The method.
    pub method: &'static str,
    /// What happened.
    pub kind: CallErrorKind,
}

/// What happened to a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallErrorKind {
    /// No answer within the deadline.
    #[error("no answer within {}ms (`deadline`)", .0.as_millis())]
    Timeout(Duration),
    /// As many calls as allowed are running.
    #[error("{0} calls are running, which is its `concurrency`")]
    Busy(usize),
    /// It panicked; the host replaces the instance.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// It refused.
    #[error("{message}")]
    Refused {
        /// What it says.
        message: String,
        /// Whether the same request may succeed later.
        retryable: bool,
    },
    /// It does not know the method.
    #[error("it does not know the method")]
    UnknownMethod,
    /// It answered what does not fit the question.
    #[error("it does not keep the protocol: {0}")]
    Protocol(String),
    /// It proposed what the operator did not allow.
    #[error(transparent)]
    NotAllowed(Box<NotAllowed>),
    /// There is no running instance.
    #[error("it is not running: {0}")]
    Down(String),
}

impl CallErrorKind {
    /// One word for metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Busy(_) => "busy",
            Self::Panicked(_) => "panicked",
            Self::Refused { .. } => "refused",
            Self::UnknownMethod => "unknown_method",
            Self::Protocol(_) => "protocol",
            Self::NotAllowed(_) => "not_allowed",
            Self::Down(_) => "down",
        }
    }
}

impl CallError {
    /// Whether the same call may succeed later, without anybody changing anything.
    pub const fn is_retryable(&self) -> bool {
        match &self.kind {
            CallErrorKind::Timeout(_)
            | CallErrorKind::Busy(_)
            | CallErrorKind::Panicked(_)
            | CallErrorKind::Down(_) => true,
            CallErrorKind::Refused { retryable, .. } => *retryable,
            CallErrorKind::UnknownMethod | CallErrorKind::Protocol(_) | CallErrorKind::NotAllowed(_) => false,
        }
    }
}
