//! What a node's answer to `eth_sendRawTransaction` means, whatever client it is.
//!
//! Codes differ between clients and say little, so `messages` decide.

mod messages;
#[cfg(test)]
mod op_geth;

use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use set_chain::transport_cause;

use messages::{Meaning, by_message};

/// What became of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The node has it, or says so: what geth's pool does not take for now, geth keeps, and offers to its pool
    /// again each minute, unless it runs with `--txpool.nolocals`. Whether a block takes it shows in blocks only.
    Accepted,
    /// The node surely does not have it.
    Rejected(Rejection, String),
    /// Nobody knows; it counts as sent.
    Ambiguous(String),
}

impl Outcome {
    /// The outcome as metrics name it.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected(rejection, _) => rejection.label(),
            Self::Ambiguous(_) => "ambiguous",
        }
    }
}

/// Why a node surely did not take a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The chain used the nonce already.
    NonceTooLow,
    /// The pool holds another transaction at this nonce, which this one does not outbid.
    ReplacementUnderpriced,
    /// The price is below what the node takes at all.
    Underpriced,
    /// The account cannot pay for it and what is queued before it.
    InsufficientFunds,
    /// The pool, or the sender's share of it, is full, or a predecessor is missing: later.
    PoolLimit,
    /// The fee exceeds a cap of the node's own (`--rpc.txfeecap`).
    NodeFeeCap,
    /// The node takes no such request from us for now: rate limit, method or access refused.
    Refused,
    /// No node will ever take these bytes.
    Invalid,
    /// It was not sent at all, because its bytes could not be kept first.
    NotJournaled,
    /// It was not sent at all, because this process may not send any more.
    NotLeading,
}

impl Rejection {
    /// Whether the same bytes may be taken later, and dearer ones would have been refused likewise.
    pub(crate) const fn is_for_now(self) -> bool {
        matches!(
            self,
            Self::NonceTooLow | Self::InsufficientFunds | Self::PoolLimit | Self::NodeFeeCap | Self::Refused
        )
    }

    /// The kind as metrics name it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NonceTooLow => "nonce_too_low",
            Self::ReplacementUnderpriced => "replacement_underpriced",
            Self::Underpriced => "underpriced",
            Self::InsufficientFunds => "insufficient_funds",
            Self::PoolLimit => "pool_limit",
            Self::NodeFeeCap => "node_fee_cap",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::NotJournaled => "not_journaled",
            Self::NotLeading => "not_leading",
        }
    }
}

/// Reads the error of a send.
pub(crate) fn classify(error: &TransportError) -> Outcome {
    let cause = transport_cause(error);
    match error {
        RpcError::ErrorResp(payload) => match by_message(&payload.message) {
            Some(Meaning::Known) => Outcome::Accepted,
            Some(Meaning::Refused(rejection)) => Outcome::Rejected(rejection, cause),
            None => by_code(payload.code, cause),
        },
        RpcError::Transport(TransportErrorKind::HttpError(http))
        | RpcError::Transport(TransportErrorKind::HttpErrorWithRetryAfter { error: http, .. }) => {
            match by_message(&http.body) {
                Some(Meaning::Known) => Outcome::Accepted,
                Some(Meaning::Refused(rejection)) => Outcome::Rejected(rejection, cause),
                None => by_status(http.status, cause),
            }
        }
        // Serialising the request failed, so nothing left this process.
        RpcError::SerError(_) => Outcome::Rejected(Rejection::Invalid, cause),
        _ => Outcome::Ambiguous(cause),
    }
}

/// JSON-RPC's own codes and proxyd's; a server's -32000 and -32603 may come after the bytes went on.
fn by_code(code: i64, cause: String) -> Outcome {
    match code {
        -32600 | -32602 | -32700 => Outcome::Rejected(Rejection::Invalid, cause),
        -32601 | -32005 | -32016 | -32017 => Outcome::Rejected(Rejection::Refused, cause),
        _ => Outcome::Ambiguous(cause),
    }
}

/// A request that the server refuses to read goes nowhere; what a gateway says may come too late.
fn by_status(status: u16, cause: String) -> Outcome {
    match status {
        413 => Outcome::Rejected(Rejection::Invalid, cause),
        400..=499 if status != 408 => Outcome::Rejected(Rejection::Refused, cause),
        _ => Outcome::Ambiguous(cause),
    }
}

#[cfg(test)]
mod tests {
    use alloy::rpc::json_rpc::ErrorPayload;
    use rstest::rstest;

    use super::*;

    fn answer(code: i64, message: &str) -> Outcome {
        classify(&RpcError::ErrorResp(ErrorPayload {
            code,
            message: message.to_owned().into(),
            data: None,
        }))
    }

    #[test]
    fn a_message_decides_whatever_the_code() {
        for code in [-32000, -32003, -32603] {
            match answer(code, "nonce too low: next nonce 1, tx nonce 0") {
                Outcome::Rejected(Rejection::NonceTooLow, cause) => assert!(cause.contains("next nonce 1"), "{cause}"),
                other => panic!("{code}: {other:?}"),
            }
            assert_eq!(answer(code, "already known"), Outcome::Accepted);
        }
    }

    #[rstest]
    #[case(-32603, "internal error")]
    #[case(-32000, "something new")]
    #[case(-32015, "gateway timeout")]
    #[case(-32011, "no backend is currently healthy to serve traffic")]
    fn what_is_not_known_counts_as_sent(#[case] code: i64, #[case] message: &str) {
        assert!(matches!(answer(code, message), Outcome::Ambiguous(_)));
    }

    #[rstest]
    #[case(429, Some(Rejection::Refused))]
    #[case(403, Some(Rejection::Refused))]
    #[case(413, Some(Rejection::Invalid))]
    #[case(408, None)]
    #[case(502, None)]
    #[case(504, None)]
    fn statuses(#[case] status: u16, #[case] expected: Option<Rejection>) {
        let outcome = classify(&TransportErrorKind::http_error(status, String::new()));
        match (outcome, expected) {
            (Outcome::Rejected(rejection, _), Some(expected)) => assert_eq!(rejection, expected),
            (Outcome::Ambiguous(_), None) => {}
            (outcome, _) => panic!("{status}: {outcome:?}"),
        }
    }

    #[test]
    fn a_lost_connection_counts_as_sent() {
        let error = TransportErrorKind::custom_str("operation timed out");
        assert!(matches!(classify(&error), Outcome::Ambiguous(_)));
    }
}
