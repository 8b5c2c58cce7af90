//! What an answer says about the node that gave it.

use std::time::Duration;

use alloy::{
    rpc::json_rpc::{ErrorPayload, ResponsePacket},
    transports::{
        RpcError, TransportErrorKind, TransportResult,
        http::reqwest::{self, StatusCode},
    },
};

use crate::endpoint::transport_cause;

/// What came back for one HTTP request.
pub(super) struct Reply {
    pub(super) result: TransportResult<ResponsePacket>,
    pub(super) status: Option<StatusCode>,
    /// How long the server asks to be left alone (RFC 9110, "Retry-After").
    pub(super) retry_after: Option<Duration>,
}

/// Whether another node may do better.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the answer, or the request itself is at fault.
    Answer,
    /// The node is at fault.
    Fault {
        cause: String,
        /// Whether the node may have acted on the request all the same.
        ambiguous: bool,
    },
    /// The node limits the rate of calls; it did nothing. It may say for how long.
    Busy(Option<Duration>),
}

impl Reply {
    /// Reads the reply to a request that `sends` a transaction, or asks for something.
    pub(super) fn verdict(&self, sends: bool) -> Verdict {
        if self.status == Some(StatusCode::TOO_MANY_REQUESTS) {
            return Verdict::Busy(self.retry_after);
        }
        match &self.result {
            Ok(response) => self.of_response(response, sends),
            Err(error) => match error {
                RpcError::Transport(TransportErrorKind::HttpError(http)) => self.of_status(http.status),
                RpcError::Transport(TransportErrorKind::HttpErrorWithRetryAfter { error, .. }) => {
                    self.of_status(error.status)
                }
                RpcError::SerError(_) => Verdict::Answer,
                RpcError::Transport(TransportErrorKind::Custom(cause)) => Verdict::Fault {
                    cause: transport_cause(error),
                    ambiguous: !never_left(cause.as_ref()),
                },
                _ => Verdict::Fault {
                    cause: transport_cause(error),
                    ambiguous: true,
                },
            },
        }
    }

    /// The error that says that the node limits the rate of calls.
    pub(super) fn limit(&self) -> Option<&ErrorPayload> {
        self.result
            .as_ref()
            .ok()?
            .iter_errors()
            .find(|error| is_rate_limit(error))
    }

    fn of_response(&self, response: &ResponsePacket, sends: bool) -> Verdict {
        if let Some(limit) = self.limit() {
            return Verdict::Busy(self.retry_after.or_else(|| hinted(limit)));
        }
        let gateway = response.iter_errors().find(|error| is_gateway_fault(error.code));
        match (gateway, self.status) {
            (Some(error), _) => Verdict::Fault {
                cause: format!("the gateway answers {}: {}", error.code, error.message),
                ambiguous: true,
            },
            // What a node says about a transaction counts, whatever status it says it with.
            (None, Some(status)) if status.is_server_error() && !sends => Verdict::Fault {
                cause: format!("HTTP status {}", status.as_u16()),
                ambiguous: true,
            },
            _ => Verdict::Answer,
        }
    }

    /// A request that is too large or cannot be read is so for every node; access refused is not.
    fn of_status(&self, status: u16) -> Verdict {
        match status {
            400 | 413..=415 | 422 => Verdict::Answer,
            _ => Verdict::Fault {
                cause: format!("HTTP status {status}"),
                ambiguous: status == 408 || status >= 500,
            },
        }
    }
}

/// Whether the connection was never made, so that the node cannot have the request.
fn never_left(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause
        .downcast_ref::<reqwest::Error>()
        .is_some_and(reqwest::Error::is_connect)
}

/// Limits on the rate of calls, in the words of gateways. -32005 is EIP-1474's "limit exceeded", which
/// some use for the size of a result too; asking again later does not help there.
fn is_rate_limit(error: &ErrorPayload) -> bool {
    const WORDS: [&str; 6] = [
        "rate limit",
        "too many requests",
        "request rate",
        "requests per second",
        "compute units per second",
        "request limit reached",
    ];
    const SIZES: [&str; 4] = ["result", "range", "logs", "response size"];
    let message = error.message.to_lowercase();
    match error.code {
        429 | -32016 | -32017 => true,
        -32005 => !SIZES.iter().any(|word| message.contains(word)),
        _ => WORDS.iter().any(|word| message.contains(word)),
    }
}

/// proxyd's codes for a gateway that has no node to ask: offline, none healthy, over capacity, timed out.
const fn is_gateway_fault(code: i64) -> bool {
    matches!(code, -32012..=-32010 | -32015)
}

/// How long the error's data asks to wait (`rate.backoff_seconds`).
fn hinted(error: &ErrorPayload) -> Option<Duration> {
    let data: serde_json::Value = serde_json::from_str(error.data.as_ref()?.get()).ok()?;
    let seconds = data["rate"]["backoff_seconds"].as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use alloy::rpc::json_rpc::{Id, Response, ResponsePayload};

    use super::*;

    fn error(code: i64, message: &'static str, data: Option<&str>) -> Reply {
        let payload = ErrorPayload {
            code,
            message: message.into(),
            data: data.map(|data| serde_json::value::RawValue::from_string(data.to_owned()).unwrap()),
        };
        let response = Response {
            id: Id::Number(1),
            payload: ResponsePayload::Failure(payload),
        };
        Reply {
            result: Ok(ResponsePacket::Single(response)),
            status: Some(StatusCode::OK),
            retry_after: None,
        }
    }

    fn status(status: u16) -> Verdict {
        Reply {
            result: Err(TransportErrorKind::http_error(status, String::new())),
            status: StatusCode::from_u16(status).ok(),
            retry_after: Some(Duration::from_secs(7)),
        }
        .verdict(false)
    }

    #[test]
    fn limits_on_the_rate_are_told_from_limits_on_the_answer() {
        for (code, message) in [
            (-32005, "daily request count exceeded, request rate limited"),
            (-32005, "limit exceeded"),
            (-32016, "over rate limit"),
            (-32017, "sender is over rate limit"),
            (429, "Your app has exceeded its compute units per second capacity"),
            (-32007, "50/second request limit reached"),
        ] {
            assert_eq!(
                error(code, message, None).verdict(false),
                Verdict::Busy(None),
                "{message}"
            );
        }
        for (code, message) in [
            (-32005, "query returned more than 10000 results"),
            (-32005, "block range is too wide"),
            (-32000, "already known"),
            (3, "execution reverted"),
        ] {
            assert_eq!(error(code, message, None).verdict(false), Verdict::Answer, "{message}");
        }
        let hint = error(-32005, "limited", Some(r#"{"rate":{"backoff_seconds":1.5}}"#));
        assert_eq!(hint.verdict(false), Verdict::Busy(Some(Duration::from_millis(1500))));
    }

    #[test]
    fn statuses_tell_whose_fault_it_is_and_whether_the_node_may_have_acted() {
        assert_eq!(status(429), Verdict::Busy(Some(Duration::from_secs(7))));
        for code in [400, 413] {
            assert_eq!(status(code), Verdict::Answer);
        }
        for (code, expected) in [
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (502, true),
            (503, true),
        ] {
            let Verdict::Fault { ambiguous, .. } = status(code) else {
                panic!("{code} is the node's fault")
            };
            assert_eq!(ambiguous, expected, "{code}");
        }
    }

    #[test]
    fn a_gateway_without_a_node_is_at_fault() {
        let verdict = error(-32011, "no backends available for method", None).verdict(false);
        assert!(matches!(verdict, Verdict::Fault { ambiguous: true, .. }), "{verdict:?}");
    }
}
