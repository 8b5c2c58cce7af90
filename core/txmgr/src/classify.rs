//! What a node's answer to `eth_sendRawTransaction` means, whatever client it is.
//!
//! Codes differ between clients and say little, so messages decide, by ordered substrings: geth and
//! op-geth (`core/txpool/errors.go`), reth and op-reth (`EthApiError`, `PoolError`), anvil.

use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use set_chain::transport_cause;

/// What became of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The node has it.
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

/// Messages of nodes, most telling first: the first substring that occurs decides. `None` stands for
/// "the node has it already".
const MESSAGES: &[(&str, Option<Rejection>)] = &[
    ("already known", None),
    ("already imported", None),
    ("alreadyknown", None),
    ("nonce too low", Some(Rejection::NonceTooLow)),
    ("nonce is too low", Some(Rejection::NonceTooLow)),
    ("oldnonce", Some(Rejection::NonceTooLow)),
    (
        "replacement transaction underpriced",
        Some(Rejection::ReplacementUnderpriced),
    ),
    (
        "to replace existing transaction",
        Some(Rejection::ReplacementUnderpriced),
    ),
    ("replacement not allowed", Some(Rejection::ReplacementUnderpriced)),
    ("insufficient funds", Some(Rejection::InsufficientFunds)),
    ("insufficient balance", Some(Rejection::InsufficientFunds)),
    ("exceeds the configured cap", Some(Rejection::NodeFeeCap)),
    ("pool is full", Some(Rejection::PoolLimit)),
    ("txpool is full", Some(Rejection::PoolLimit)),
    ("transaction pool is full", Some(Rejection::PoolLimit)),
    ("account limit exceeded", Some(Rejection::PoolLimit)),
    ("in-flight transaction limit", Some(Rejection::PoolLimit)),
    ("delegated account", Some(Rejection::PoolLimit)),
    ("already reserved", Some(Rejection::PoolLimit)),
    ("future transaction tries to replace", Some(Rejection::PoolLimit)),
    ("identified as a spammer", Some(Rejection::PoolLimit)),
    ("nonce too high", Some(Rejection::PoolLimit)),
    ("nonce gap", Some(Rejection::PoolLimit)),
    ("rate limit", Some(Rejection::Refused)),
    ("too many requests", Some(Rejection::Refused)),
    ("not whitelisted", Some(Rejection::Refused)),
    ("method not found", Some(Rejection::Refused)),
    ("does not exist/is not available", Some(Rejection::Refused)),
    ("priority fee per gas higher than", Some(Rejection::Invalid)),
    ("intrinsic gas", Some(Rejection::Invalid)),
    ("floor data gas", Some(Rejection::Invalid)),
    ("gas floor", Some(Rejection::Invalid)),
    ("gas limit too high", Some(Rejection::Invalid)),
    ("gas limit is greater than the cap", Some(Rejection::Invalid)),
    ("exceeds block gas limit", Some(Rejection::Invalid)),
    ("exceeds the block gas limit", Some(Rejection::Invalid)),
    ("exceeds max transaction gas limit", Some(Rejection::Invalid)),
    ("oversized data", Some(Rejection::Invalid)),
    ("invalid sender", Some(Rejection::Invalid)),
    ("chain id", Some(Rejection::Invalid)),
    ("transaction type not supported", Some(Rejection::Invalid)),
    ("execution reverted", Some(Rejection::Invalid)),
    ("sender not an eoa", Some(Rejection::Invalid)),
    ("failed to decode", Some(Rejection::Invalid)),
    ("underpriced", Some(Rejection::Underpriced)),
    ("below minimum", Some(Rejection::Underpriced)),
    ("below the minimum", Some(Rejection::Underpriced)),
    ("less than block base fee", Some(Rejection::Underpriced)),
    ("lower than the block base fee", Some(Rejection::Underpriced)),
    ("gas price too low", Some(Rejection::Underpriced)),
];

/// Reads the error of a send.
pub(crate) fn classify(error: &TransportError) -> Outcome {
    let cause = transport_cause(error);
    match error {
        RpcError::ErrorResp(payload) => match by_message(&payload.message) {
            Some(None) => Outcome::Accepted,
            Some(Some(rejection)) => Outcome::Rejected(rejection, cause),
            None => by_code(payload.code, cause),
        },
        RpcError::Transport(TransportErrorKind::HttpError(http))
        | RpcError::Transport(TransportErrorKind::HttpErrorWithRetryAfter { error: http, .. }) => {
            match by_message(&http.body) {
                Some(None) => Outcome::Accepted,
                Some(Some(rejection)) => Outcome::Rejected(rejection, cause),
                None => by_status(http.status, cause),
            }
        }
        // Serialising the request failed, so nothing left this process.
        RpcError::SerError(_) => Outcome::Rejected(Rejection::Invalid, cause),
        _ => Outcome::Ambiguous(cause),
    }
}

fn by_message(message: &str) -> Option<Option<Rejection>> {
    let message = message.to_lowercase();
    MESSAGES
        .iter()
        .find(|(part, _)| message.contains(part))
        .map(|(_, meaning)| *meaning)
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

    #[rstest]
    // op-geth, as recorded from a running node.
    #[case("replacement transaction underpriced", Rejection::ReplacementUnderpriced)]
    #[case("nonce too low: next nonce 1, tx nonce 0", Rejection::NonceTooLow)]
    #[case(
        "insufficient funds for gas * price + value: balance 0, tx cost 21000, overshot 21000",
        Rejection::InsufficientFunds
    )]
    #[case(
        "insufficient funds for gas * price + value: balance 5, queued cost 4, tx cost 3, overshot 2",
        Rejection::InsufficientFunds
    )]
    #[case(
        "transaction gas price below minimum: gas tip cap 0, minimum needed 1",
        Rejection::Underpriced
    )]
    #[case("transaction underpriced: tip needed 1, tip permitted 0", Rejection::Underpriced)]
    #[case("transaction gas limit too high (cap: 16777216, tx: 17000000)", Rejection::Invalid)]
    #[case("intrinsic gas too low: gas 20000, minimum needed 21000", Rejection::Invalid)]
    #[case(
        "insufficient gas for floor data gas cost: gas 1, minimum needed 2",
        Rejection::Invalid
    )]
    #[case("exceeds block gas limit", Rejection::Invalid)]
    #[case("oversized data: transaction size 140000, limit 131072", Rejection::Invalid)]
    #[case("invalid sender", Rejection::Invalid)]
    #[case("invalid chain id for signer: have 1 want 84532001", Rejection::Invalid)]
    #[case(
        "max priority fee per gas higher than max fee per gas: address 0x00, maxPriorityFeePerGas: 2, maxFeePerGas: 1",
        Rejection::Invalid
    )]
    #[case("txpool is full", Rejection::PoolLimit)]
    #[case("account limit exceeded: pooled 64 txs", Rejection::PoolLimit)]
    #[case("in-flight transaction limit reached for delegated accounts", Rejection::PoolLimit)]
    #[case("gapped-nonce tx from delegated accounts", Rejection::PoolLimit)]
    #[case("address already reserved", Rejection::PoolLimit)]
    #[case("tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", Rejection::NodeFeeCap)]
    #[case(
        "the method eth_sendRawTransaction does not exist/is not available",
        Rejection::Refused
    )]
    // reth.
    #[case(
        "[0xab]: insufficient gas price to replace existing transaction",
        Rejection::ReplacementUnderpriced
    )]
    #[case(
        "insufficient funds for gas * price + value: have 1 want 2",
        Rejection::InsufficientFunds
    )]
    #[case("max fee per gas less than block base fee", Rejection::Underpriced)]
    #[case("transaction gas limit is greater than the cap", Rejection::Invalid)]
    #[case("unknown transaction type: transaction type not supported", Rejection::Invalid)]
    #[case("rejected due to 0xab being identified as a spammer", Rejection::PoolLimit)]
    // anvil.
    #[case("Insufficient funds for gas * price + value", Rejection::InsufficientFunds)]
    #[case("nonce too low", Rejection::NonceTooLow)]
    // Gateways.
    #[case("rpc method is not whitelisted", Rejection::Refused)]
    #[case("sender is over rate limit", Rejection::Refused)]
    fn refusals(#[case] message: &str, #[case] expected: Rejection) {
        for code in [-32000, -32003] {
            match answer(code, message) {
                Outcome::Rejected(rejection, cause) => {
                    assert_eq!(rejection, expected);
                    assert!(cause.contains(message), "{cause}");
                }
                other => panic!("{message}: {other:?}"),
            }
        }
    }

    #[rstest]
    #[case("already known")]
    #[case("transaction already imported")]
    #[case("AlreadyKnown")]
    fn what_the_node_has_already_is_accepted(#[case] message: &str) {
        assert_eq!(answer(-32000, message), Outcome::Accepted);
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
