//! Where a proof breaks.

use std::fmt;

/// One link of the chain from an event to Ethereum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Link {
    /// The proof is of another chain than the verifier asks about.
    Chain,
    /// The game on L1, and the L2 block that it claims an output root for.
    Claim,
    /// From the claimed output root to the block's hash, state root and message passer.
    OutputRoot,
    /// From the block's hash to its header.
    Header,
    /// From the header's state root to the registry's account.
    Account,
    /// From the account's storage root to the registry's words.
    Storage,
    /// From the words to the code of the contract that holds the record.
    Code,
    /// From words and code to what the record says.
    Record,
    /// From the record's events root to the leaf.
    Inclusion,
    /// From the leaf to the signed event.
    Leaf,
    /// The signed event in itself: its payload and its signature.
    Event,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chain => "chain",
            Self::Claim => "claim",
            Self::OutputRoot => "output root",
            Self::Header => "header",
            Self::Account => "account",
            Self::Storage => "storage",
            Self::Code => "code",
            Self::Record => "record",
            Self::Inclusion => "inclusion",
            Self::Leaf => "leaf",
            Self::Event => "event",
        })
    }
}

/// A link that does not hold. Whatever stands below it in the chain is unproven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the link `{link}` is broken: {cause}")]
pub struct BrokenLink {
    /// Which one.
    pub link: Link,
    /// Why, for people.
    pub cause: String,
}

impl Link {
    /// This link, broken for `cause`.
    pub fn broken(self, cause: impl fmt::Display) -> BrokenLink {
        BrokenLink {
            link: self,
            cause: cause.to_string(),
        }
    }

    /// Holds where `holds`, and is broken for `cause` otherwise.
    pub(crate) fn check<C: fmt::Display>(self, holds: bool, cause: impl FnOnce() -> C) -> Result<(), BrokenLink> {
        if holds { Ok(()) } else { Err(self.broken(cause())) }
    }
}
