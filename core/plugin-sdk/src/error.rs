//! How a plugin says no.

use set_types::Refusal;

/// Why a plugin does not do what was asked. The operator reads the message, so it names what can be
/// changed: a key of the configuration, a URL, a permission. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PluginError {
    /// What is wrong and what to do about it.
    pub message: String,
    /// Whether the same request may succeed later, without anybody changing anything.
    pub retryable: bool,
}

impl PluginError {
    /// A refusal that stays: repeating the request changes nothing.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: false,
        }
    }

    /// A refusal for now: the network, a server that is busy.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: true,
        }
    }
}

impl From<Refusal> for PluginError {
    fn from(refusal: Refusal) -> Self {
        Self {
            message: refusal.message,
            retryable: refusal.retryable,
        }
    }
}

impl From<PluginError> for Refusal {
    fn from(error: PluginError) -> Self {
        Self {
            message: error.message,
            retryable: error.retryable,
        }
    }
}
