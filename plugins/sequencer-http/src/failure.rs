//! Why a request brought nothing.

use std::time::Duration;

use reqwest::StatusCode;
use set_plugin_sdk::PluginError;

use crate::route::Route;

/// A request that brought nothing. Its text holds neither the key nor a URL.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{route}: {cause}")]
pub(crate) struct Failure {
    pub(crate) route: Route,
    pub(crate) cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cause {
    #[error("the sequencer limits the rate of requests (429); none is sent for another {}", rounded(*.0))]
    RateLimited(Duration),
    #[error("not sent, because the call's `timeout` had passed before its turn came")]
    OutOfTime,
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("the answer is longer than `max_response_bytes`, {0}")]
    TooLong(usize),
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    #[error(
        "{0}: redirects are not followed, since the key is for one host only: set `base_url` to the sequencer itself"
    )]
    Redirect(StatusCode),
    #[error(
        "{status}{}: only a bootstrap admin's key is let in, sent as `Authorization: ApiKey …`: check `api_key`", after_colon(.said)
    )]
    NotLetIn { status: StatusCode, said: String },
    #[error("{0}, but not in the sequencer's words: `base_url` leads to something else, or lacks a part of the path")]
    Stranger(StatusCode),
    #[error("{status}{}", after_colon(.said))]
    Refused {
        status: StatusCode,
        /// What the sequencer said, fit to be shown; empty where it said nothing.
        said: String,
        retry_after: Option<Duration>,
    },
}

fn after_colon(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

/// Whole seconds from one second on, rounded up: a shorter wait than said would come too early.
fn rounded(wait: Duration) -> String {
    if wait < Duration::from_secs(1) {
        format!("{} ms", milliseconds(wait))
    } else {
        format!("{} s", wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }
}

/// Rounded up, for the same reason.
fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// What a 429 without a readable `retry-after` means: what the sequencer says otherwise.
const USUAL_WAIT: Duration = Duration::from_secs(60);

impl Cause {
    /// What an answer other than 2xx means; `said` is its explanation, fit to be shown.
    pub(crate) fn of_refusal(route: Route, status: StatusCode, said: String, retry_after: Option<Duration>) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited(retry_after.unwrap_or(USUAL_WAIT)),
            StatusCode::UNAUTHORIZED => Self::NotLetIn { status, said },
            // Of a proof, 403 says that the ids are another stream's.
            StatusCode::FORBIDDEN if route != Route::Proof => Self::NotLetIn { status, said },
            _ if status.is_redirection() => Self::Redirect(status),
            // The sequencer explains what it refuses. Its unknown routes, and what stands before it, do not.
            _ if said.is_empty() && !is_for_now(status) => Self::Stranger(status),
            _ => Self::Refused {
                status,
                said,
                retry_after,
            },
        }
    }

    fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited(_) | Self::OutOfTime | Self::NoAnswer(_) | Self::Unreadable(_) => true,
            Self::Refused { status, .. } => is_for_now(*status),
            Self::TooLong(_) | Self::Redirect(_) | Self::NotLetIn { .. } | Self::Stranger(_) => false,
        }
    }

    /// Whether the sequencer is well and only this one request was refused.
    pub(crate) fn is_about_the_request(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if !is_for_now(*status))
    }
}

/// Statuses that say nothing about the request itself.
fn is_for_now(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY)
}

impl Failure {
    /// Whether the same request may succeed later without anybody changing anything.
    pub(crate) fn is_retryable(&self) -> bool {
        self.cause.is_retryable()
    }

    /// Whether the route was reached, or is not there, and will not say more.
    pub(crate) fn is_final_refusal(&self) -> bool {
        matches!(self.cause, Cause::Stranger(_)) || self.cause.is_about_the_request()
    }

    /// How many milliseconds to wait before a retry, where the sequencer says.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        match &self.cause {
            Cause::RateLimited(wait) => Some(milliseconds(*wait)),
            Cause::Refused { retry_after, .. } => retry_after.map(milliseconds),
            _ => None,
        }
    }
}

impl From<Failure> for PluginError {
    fn from(failure: Failure) -> Self {
        Self {
            message: failure.to_string(),
            retryable: failure.is_retryable(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_never_rounded_down() {
        assert_eq!(rounded(Duration::from_micros(1)), "1 ms");
        assert_eq!(rounded(Duration::from_millis(1001)), "2 s");
        assert_eq!(rounded(Duration::from_secs(60)), "60 s");
        assert_eq!(milliseconds(Duration::from_micros(1500)), 2);
    }
}
