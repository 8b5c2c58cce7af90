//! What a call is refused with.

use std::borrow::Cow;

use jsonrpsee::types::{ErrorCode, ErrorObjectOwned};
use serde::Serialize;

/// Why a call has no answer. The message is for people and says what to do; `data` is for programs.
///
/// Codes of ours start at -39001, outside what JSON-RPC, EIP-1474 and the engine API use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RpcError {
    #[error("parameter `{param}`: {message}")]
    InvalidParam { param: &'static str, message: String },
    #[error("{0}")]
    InvalidParams(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    PluginUnavailable(String),
    #[error("{0}")]
    PluginTimeout(String),
    #[error("{0}")]
    ChainUnavailable(String),
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    NotProven(String),
    #[error("{0}")]
    FaultyConfiguration(String),
    #[error("{0}")]
    NotClaimed(String),
    #[error("{0}")]
    Unprovable(String),
    #[error("no answer within {0} s; try again, or raise `rpc.call_timeout`")]
    Timeout(u64),
    #[error("internal error; the log has the cause under this request id")]
    Internal,
}

/// The `data` of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorData<'a> {
    /// A name for the kind of error that never changes.
    kind: &'static str,
    /// Whether the same call can succeed later.
    retryable: bool,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'static str>,
    /// What the log calls this request.
    request_id: Cow<'a, str>,
}

impl RpcError {
    const fn code(&self) -> i32 {
        match self {
            Self::InvalidParam { .. } | Self::InvalidParams(_) => ErrorCode::InvalidParams.code(),
            Self::Internal => ErrorCode::InternalError.code(),
            Self::NotFound(_) => -39_001,
            Self::PluginUnavailable(_) => -39_004,
            Self::PluginTimeout(_) => -39_005,
            Self::ChainUnavailable(_) => -39_006,
            Self::Busy(_) => -39_008,
            Self::NotProven(_) => -39_009,
            Self::Timeout(_) => -39_010,
            Self::FaultyConfiguration(_) => -39_011,
            Self::NotClaimed(_) => -39_012,
            Self::Unprovable(_) => -39_013,
        }
    }

    /// The name of the kind, as in `data.kind` and in metrics.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::InvalidParam { .. } | Self::InvalidParams(_) => "invalid_params",
            Self::Internal => "internal",
            Self::NotFound(_) => "not_found",
            Self::PluginUnavailable(_) => "plugin_unavailable",
            Self::PluginTimeout(_) => "plugin_timeout",
            Self::ChainUnavailable(_) => "chain_unavailable",
            Self::Busy(_) => "busy",
            Self::NotProven(_) => "not_proven",
            Self::Timeout(_) => "timeout",
            Self::FaultyConfiguration(_) => "faulty_configuration",
            Self::NotClaimed(_) => "not_claimed",
            Self::Unprovable(_) => "unprovable",
        }
    }

    const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::PluginUnavailable(_)
                | Self::PluginTimeout(_)
                | Self::ChainUnavailable(_)
                | Self::Busy(_)
                | Self::NotClaimed(_)
                | Self::Unprovable(_)
                | Self::Timeout(_)
        )
    }

    /// The error as it goes out.
    pub(crate) fn to_object(&self, request_id: &str) -> ErrorObjectOwned {
        let param = match self {
            Self::InvalidParam { param, .. } => Some(*param),
            _ => None,
        };
        let data = ErrorData {
            kind: self.kind(),
            retryable: self.is_retryable(),
            param,
            request_id: request_id.into(),
        };
        ErrorObjectOwned::owned(self.code(), self.to_string(), Some(data))
    }
}

/// What the stores say stays in the log.
impl From<set_index::StoreError> for RpcError {
    fn from(error: set_index::StoreError) -> Self {
        tracing::error!(%error, "the index cannot be read");
        Self::Internal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_programs_what_people_read() {
        let error = RpcError::InvalidParam {
            param: "limit",
            message: "is 0".to_owned(),
        };
        let object = error.to_object("r1");
        assert_eq!((object.code(), object.message()), (-32602, "parameter `limit`: is 0"));
        assert_eq!(
            object.data().unwrap().get(),
            r#"{"kind":"invalid_params","retryable":false,"param":"limit","requestId":"r1"}"#
        );
        assert_eq!(RpcError::Busy(String::new()).to_object("").code(), -39_008);
    }
}
