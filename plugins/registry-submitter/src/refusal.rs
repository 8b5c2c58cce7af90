//! What the registry's errors mean for a commitment.

use std::fmt;

use alloy_primitives::{Address, FixedBytes, hex};
use alloy_sol_types::SolError;
use set_chain::bindings::SetRegistry::{
    BatchAlreadyCommitted, DataContractNotCreated, EmptyBatchId, EmptyEventsRoot, EmptyStoreId, EmptyTenantId,
    EnforcedPause, GenesisRequired, InvalidEventCount, InvalidSequenceRange, NotAuthorizedSequencer, SequenceGap,
    StateRootMismatch, StreamBoundToSequencer,
};
use set_plugin_sdk::prelude::SettleOutcome;

/// An error of the registry, by its selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal(FixedBytes<4>);

/// What follows from a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// That outcome.
    Outcome(SettleOutcome),
    /// The id is taken: compare what is stored.
    Compare,
    /// The stream is bound to another account: ask to which.
    Bound,
    /// The call had too little gas.
    MoreGas,
}

/// Names and texts of the errors that need no more than telling.
const OF_THE_COMMITMENT: [([u8; 4], &str); 7] = [
    (EmptyBatchId::SELECTOR, "EmptyBatchId: the batch id is zero"),
    (EmptyTenantId::SELECTOR, "EmptyTenantId: the tenant id is zero"),
    (EmptyStoreId::SELECTOR, "EmptyStoreId: the store id is zero"),
    (
        InvalidSequenceRange::SELECTOR,
        "InvalidSequenceRange: the range is empty or too long",
    ),
    (
        InvalidEventCount::SELECTOR,
        "InvalidEventCount: the event count is not the range's length",
    ),
    (EmptyEventsRoot::SELECTOR, "EmptyEventsRoot: the events root is zero"),
    (
        GenesisRequired::SELECTOR,
        "GenesisRequired: the registry wants a stream's first batch to start at sequence 1 with a zero state root",
    ),
];

impl Refusal {
    /// The error with this selector.
    pub(crate) const fn new(selector: FixedBytes<4>) -> Self {
        Self(selector)
    }

    /// The error that a node quotes when a call is reverted: the last text of `0x` and as many hex digits
    /// as a selector with whole words has. Nodes word the rest differently, and addresses or hashes have
    /// other lengths.
    pub(crate) fn quoted_in(message: &str) -> Option<Self> {
        let candidates = message.split("0x").skip(1).filter_map(|tail| {
            let digits = tail
                .find(|c: char| !c.is_ascii_hexdigit())
                .map_or(tail, |end| &tail[..end]);
            let selector = digits.get(..8).filter(|_| (digits.len() - 8).is_multiple_of(64))?;
            hex::decode_to_array::<_, 4>(selector).ok()
        });
        candidates.last().map(|selector| Self(selector.into()))
    }

    /// What follows, where `from` was the sender.
    pub(crate) fn consequence(self, from: Address) -> Consequence {
        let reason = self.to_string();
        Consequence::Outcome(match self.0.0 {
            BatchAlreadyCommitted::SELECTOR => return Consequence::Compare,
            DataContractNotCreated::SELECTOR => return Consequence::MoreGas,
            StreamBoundToSequencer::SELECTOR => return Consequence::Bound,
            SequenceGap::SELECTOR | StateRootMismatch::SELECTOR => SettleOutcome::OutOfOrder { reason },
            EnforcedPause::SELECTOR => SettleOutcome::Unavailable { reason },
            NotAuthorizedSequencer::SELECTOR => SettleOutcome::NotAuthorised {
                reason: format!("{reason} for {from}"),
            },
            _ => SettleOutcome::Refused { reason },
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0.0 {
            BatchAlreadyCommitted::SELECTOR => "BatchAlreadyCommitted: the batch id is taken",
            DataContractNotCreated::SELECTOR => "DataContractNotCreated: the call had too little gas",
            SequenceGap::SELECTOR => "SequenceGap: it does not start right after the stream's last event",
            StateRootMismatch::SELECTOR => "StateRootMismatch: its previous state root is not the stream's",
            StreamBoundToSequencer::SELECTOR => {
                "StreamBoundToSequencer: the registry's owner bound the stream to another account with setStreamSequencer"
            }
            EnforcedPause::SELECTOR => "EnforcedPause: the registry is paused, and its owner can unpause it",
            NotAuthorizedSequencer::SELECTOR => {
                "NotAuthorizedSequencer: the registry's owner has to call setSequencerAuthorization"
            }
            selector => match OF_THE_COMMITMENT.iter().find(|(known, _)| *known == selector) {
                Some((_, text)) => text,
                None => return write!(f, "the registry refuses with the unknown error {}", self.0),
            },
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quoted_error_is_found_in_any_nodes_words() {
        let gap = Refusal::new(SequenceGap::SELECTOR.into());
        let selector = hex::encode(SequenceGap::SELECTOR);
        let words = "00".repeat(64);
        for message in [
            format!("the node answers 3: execution reverted (0x{selector}{words})"),
            format!(
                "error code 3: execution reverted: custom error 0x{selector}: {words}, data: \"0x{selector}{words}\""
            ),
            format!(
                "call of 0x{} at 0x{} reverted: 0x{selector}",
                "11".repeat(20),
                "22".repeat(32)
            ),
        ] {
            assert_eq!(Refusal::quoted_in(&message), Some(gap), "{message}");
        }
        for message in ["execution reverted", "0x", "out of gas: 0x1234567", "called 0xzz"] {
            assert_eq!(Refusal::quoted_in(message), None, "{message}");
        }
    }

    #[test]
    fn an_unknown_error_is_refused_with_its_selector() {
        let outcome = Refusal::new([0xde, 0xad, 0xbe, 0xef].into()).consequence(Address::ZERO);
        let Consequence::Outcome(SettleOutcome::Refused { reason }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(reason.contains("0xdeadbeef"), "{reason}");
    }
}
