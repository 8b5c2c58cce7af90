//! What nodes write where they do not take a transaction, client by client.
//!
//! Sources: geth and op-geth, `core/txpool/errors.go`, `core/error.go`; reth and op-reth, `PoolErrorKind`,
//! `InvalidPoolTransactionError`, `RpcPoolError`, `RpcInvalidTransactionError`; anvil, `PoolError`,
//! `InvalidTransactionError`; gateways, proxyd above all. The first part that occurs decides, in the order
//! of the tables; clients borrow each other's words, so a table holds what is its client's own.

use super::Rejection::{
    self, InsufficientFunds, Invalid, NodeFeeCap, NonceTooLow, PoolLimit, Refused, ReplacementUnderpriced, Underpriced,
};

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The node has the transaction already.
    Known,
    /// It does not take it.
    Refused(Rejection),
}

/// A part of a message, in lower case, and what it says; `None`: the node has the transaction already.
type Table = &'static [(&'static str, Option<Rejection>)];

const GETH: Table = &[
    ("already known", None),
    ("nonce too low", Some(NonceTooLow)),
    ("replacement transaction underpriced", Some(ReplacementUnderpriced)),
    ("insufficient funds", Some(InsufficientFunds)),
    ("insufficient balance", Some(InsufficientFunds)),
    ("exceeds the configured cap", Some(NodeFeeCap)),
    ("txpool is full", Some(PoolLimit)),
    ("account limit exceeded", Some(PoolLimit)),
    ("in-flight transaction limit", Some(PoolLimit)),
    ("delegated account", Some(PoolLimit)),
    ("already reserved", Some(PoolLimit)),
    ("future transaction tries to replace", Some(PoolLimit)),
    ("nonce too high", Some(PoolLimit)),
    ("method not found", Some(Refused)),
    ("does not exist/is not available", Some(Refused)),
    ("transaction filtered out", Some(Refused)),
    ("priority fee per gas higher than", Some(Invalid)),
    ("intrinsic gas", Some(Invalid)),
    ("floor data gas", Some(Invalid)),
    ("gas limit too high", Some(Invalid)),
    ("exceeds block gas limit", Some(Invalid)),
    ("exceeds maximum per-transaction gas limit", Some(Invalid)),
    ("oversized data", Some(Invalid)),
    ("negative value", Some(Invalid)),
    ("gas uint64 overflow", Some(Invalid)),
    ("nonce has max value", Some(Invalid)),
    ("max initcode size exceeded", Some(Invalid)),
    ("invalid sender", Some(Invalid)),
    ("chain id", Some(Invalid)),
    ("transaction type not supported", Some(Invalid)),
    ("execution reverted", Some(Invalid)),
    ("sender not an eoa", Some(Invalid)),
    ("gas price below minimum", Some(Underpriced)),
    ("less than block base fee", Some(Underpriced)),
];

const RETH: Table = &[
    ("alreadyknown", None),
    ("oldnonce", Some(NonceTooLow)),
    ("nonce is not consistent", Some(NonceTooLow)),
    ("insufficient gas price to replace", Some(ReplacementUnderpriced)),
    ("replacement not allowed", Some(ReplacementUnderpriced)),
    ("pool is full", Some(PoolLimit)),
    ("identified as a spammer", Some(PoolLimit)),
    ("due to pool size constraints", Some(PoolLimit)),
    ("conflicts with existing transaction", Some(PoolLimit)),
    ("nonce gap", Some(PoolLimit)),
    ("gas limit is greater than the cap", Some(Invalid)),
    ("exceeds max transaction gas limit", Some(Invalid)),
    ("exceeds the block gas limit", Some(Invalid)),
    ("gas floor", Some(Invalid)),
    ("exceeds max_tx_input_bytes", Some(Invalid)),
    ("failed to decode", Some(Invalid)),
    ("below chain minimum", Some(Underpriced)),
    ("below the minimum", Some(Underpriced)),
    ("lower than the block base fee", Some(Underpriced)),
];

const ANVIL: Table = &[
    ("already imported", None),
    ("nonce is too low", Some(NonceTooLow)),
    ("transaction is outdated", Some(NonceTooLow)),
    ("to replace existing transaction", Some(ReplacementUnderpriced)),
    ("exceeds tx gas limit cap", Some(Invalid)),
];

const GATEWAYS: Table = &[
    ("rate limit", Some(Refused)),
    ("too many requests", Some(Refused)),
    ("not whitelisted", Some(Refused)),
];

/// What several of them write, and what is too general to come earlier.
const GENERAL: Table = &[
    ("underpriced", Some(Underpriced)),
    ("below minimum", Some(Underpriced)),
    ("gas price too low", Some(Underpriced)),
];

/// What a message says; `None` where it is not known.
pub(super) fn by_message(message: &str) -> Option<Meaning> {
    let message = message.to_lowercase();
    let tables = [GETH, RETH, ANVIL, GATEWAYS, GENERAL];
    let mut parts = tables.into_iter().flatten();
    let (_, meaning) = parts.find(|(part, _)| message.contains(part))?;
    Some(meaning.map_or(Meaning::Known, Meaning::Refused))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("replacement transaction underpriced", ReplacementUnderpriced)]
    #[case("nonce too low: next nonce 1, tx nonce 0", NonceTooLow)]
    #[case(
        "insufficient funds for gas * price + value: balance 0, tx cost 21000, overshot 21000",
        InsufficientFunds
    )]
    #[case(
        "insufficient funds for gas * price + value: balance 5, queued cost 4, tx cost 3, overshot 2",
        InsufficientFunds
    )]
    #[case("transaction gas price below minimum: gas tip cap 0, minimum needed 1", Underpriced)]
    #[case("transaction underpriced: tip needed 1, tip permitted 0", Underpriced)]
    #[case("transaction underpriced: gas tip cap 1, minimum needed 1000000", Underpriced)]
    #[case("transaction gas limit too high (cap: 16777216, tx: 17000000)", Invalid)]
    #[case("intrinsic gas too low: gas 20000, minimum needed 21000", Invalid)]
    #[case("insufficient gas for floor data gas cost: gas 1, minimum needed 2", Invalid)]
    #[case("exceeds block gas limit", Invalid)]
    #[case(
        "exceeds maximum per-transaction gas limit: transaction gas 90000, limit 60000",
        Invalid
    )]
    #[case("oversized data: transaction size 140000, limit 131072", Invalid)]
    #[case("invalid sender", Invalid)]
    #[case("invalid chain id for signer: have 1 want 84532001", Invalid)]
    #[case(
        "max priority fee per gas higher than max fee per gas: address 0x00, maxPriorityFeePerGas: 2, maxFeePerGas: 1",
        Invalid
    )]
    #[case("txpool is full", PoolLimit)]
    #[case("account limit exceeded: pooled 64 txs", PoolLimit)]
    #[case("in-flight transaction limit reached for delegated accounts", PoolLimit)]
    #[case("gapped-nonce tx from delegated accounts", PoolLimit)]
    #[case("address already reserved", PoolLimit)]
    #[case("authority already reserved", PoolLimit)]
    #[case("future transaction tries to replace pending", PoolLimit)]
    #[case("tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", NodeFeeCap)]
    #[case("the method eth_sendRawTransaction does not exist/is not available", Refused)]
    #[case("transaction filtered out", Refused)]
    fn geth(#[case] message: &str, #[case] expected: Rejection) {
        assert_eq!(by_message(message), Some(Meaning::Refused(expected)));
    }

    #[rstest]
    #[case(
        "[0xab]: insufficient gas price to replace existing transaction",
        ReplacementUnderpriced
    )]
    #[case("replacement transaction underpriced", ReplacementUnderpriced)]
    #[case("nonce too low: next nonce 5, tx nonce 3", NonceTooLow)]
    #[case("insufficient funds for gas * price + value: have 1 want 2", InsufficientFunds)]
    #[case("max fee per gas less than block base fee", Underpriced)]
    #[case("[0xab]: Transaction feeCap 7 below chain minimum", Underpriced)]
    #[case("transaction gas limit is greater than the cap", Invalid)]
    #[case("unknown transaction type: transaction type not supported", Invalid)]
    #[case("rejected due to 0xab being identified as a spammer", PoolLimit)]
    #[case("txpool is full", PoolLimit)]
    #[case("[0xab]: transaction discarded outright due to pool size constraints", PoolLimit)]
    #[case("in-flight transaction limit reached for delegated accounts", PoolLimit)]
    fn reth(#[case] message: &str, #[case] expected: Rejection) {
        assert_eq!(by_message(message), Some(Meaning::Refused(expected)));
    }

    #[rstest]
    #[case("Insufficient funds for gas * price + value", InsufficientFunds)]
    #[case("nonce too low", NonceTooLow)]
    #[case("transaction is outdated", NonceTooLow)]
    #[case(
        "Tx: [0xab] insufficient gas price to replace existing transaction",
        ReplacementUnderpriced
    )]
    #[case("intrinsic gas too low", Invalid)]
    #[case("max fee per gas less than block base fee", Underpriced)]
    fn anvil(#[case] message: &str, #[case] expected: Rejection) {
        assert_eq!(by_message(message), Some(Meaning::Refused(expected)));
    }

    #[rstest]
    #[case("rpc method is not whitelisted", Refused)]
    #[case("sender is over rate limit", Refused)]
    #[case("Too Many Requests", Refused)]
    fn gateways(#[case] message: &str, #[case] expected: Rejection) {
        assert_eq!(by_message(message), Some(Meaning::Refused(expected)));
    }

    #[rstest]
    #[case("already known")]
    #[case("transaction already imported")]
    #[case("[0xab] already imported")]
    #[case("AlreadyKnown")]
    fn what_the_node_has_already(#[case] message: &str) {
        assert_eq!(by_message(message), Some(Meaning::Known));
    }

    #[test]
    fn what_nobody_wrote_before_says_nothing() {
        assert_eq!(by_message("something new"), None);
    }
}
