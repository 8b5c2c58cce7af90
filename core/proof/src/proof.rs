//! What a settlement proof consists of.

use std::fmt;

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use set_types::BatchId;

use crate::{OutputRoot, Record, json::quantity};

/// All that links a commitment, and an event in it, to the output root that a dispute game on L1 claims.
///
/// In JSON, keys are camelCase; hashes, addresses and bytes are `0x` and lower-case hex; numbers are hex quantities
/// without leading zeros; the batch id is UUID text where it is a UUID. What is absent is left out, never null. It is
/// read by [`SettlementProof::from_json`] only, which accepts no other form.
///
/// The registry's address is not in it: a verifier knows whose records it wants proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettlementProof {
    /// Version of this format.
    pub version: FormatVersion,
    /// Chain id of the L2.
    #[serde(with = "quantity")]
    pub chain_id: u64,
    /// The batch whose record is proven.
    pub batch_id: BatchId,
    /// The event that is proven to be in the batch; `None` where the proof is about the batch only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inclusion: Option<Inclusion>,
    /// What the registry holds of the batch.
    pub record: Record,
    /// The contract whose code holds the record; `None` where the registry's slots do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_contract: Option<DataContract>,
    /// The registry's account, and the words in it that the record is read from.
    pub registry: AccountProof,
    /// The L2 block's header in RLP.
    pub header: Bytes,
    /// What the claimed output root is the hash of.
    pub output_root: OutputRoot,
    /// The game on L1 that claims the output root; `None` where none did when the proof was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<GameClaim>,
}

/// The way from an event's leaf to the batch's events root (VES v1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inclusion {
    /// The event's sequence number in its stream.
    #[serde(with = "quantity")]
    pub sequence: u64,
    /// Hash of the signed event at its place in the stream.
    pub leaf: B256,
    /// Siblings, bottom-up; `ceil(log2(event count))` of them.
    pub path: Vec<B256>,
}

/// An account and some of its storage, as `eth_getProof` gives them (EIP-1186).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountProof {
    /// Trie nodes in RLP, from the state root to the account.
    pub account_proof: Vec<Bytes>,
    /// The slots of [`slots::proven`](crate::slots::proven), in that order.
    pub storage_proof: Vec<StorageSlot>,
}

/// One word of an account's storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSlot {
    /// The slot.
    pub key: B256,
    /// The word in it; zero where the nodes prove that there is none.
    pub value: U256,
    /// Trie nodes in RLP, from the storage root to the word.
    pub proof: Vec<Bytes>,
}

/// A contract whose code holds records. Its address follows from the registry's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataContract {
    /// Trie nodes in RLP, from the state root to its account.
    pub account_proof: Vec<Bytes>,
    /// Its code.
    pub code: Bytes,
}

/// A dispute game that claims an output root. Only L1 can say whether there is such a game and what its claim is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GameClaim {
    /// The game's proxy.
    pub game: Address,
    /// Its index in DisputeGameFactory.
    #[serde(with = "quantity")]
    pub index: u64,
    /// Its type.
    #[serde(with = "quantity")]
    pub game_type: u32,
    /// The output root that it claims.
    pub root_claim: B256,
    /// The L2 block that it claims it for.
    #[serde(with = "quantity")]
    pub l2_block: u64,
}

/// The version of the format, of which there is one: `0x1`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FormatVersion;

impl FormatVersion {
    const TEXT: &str = "0x1";
}

impl fmt::Debug for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::TEXT)
    }
}

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text != Self::TEXT {
            let message = format!(
                "`version` is `{text}`; settlement proofs of version {} are known",
                Self::TEXT
            );
            return Err(D::Error::custom(message));
        }
        Ok(Self)
    }
}
