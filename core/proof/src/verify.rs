//! Going down the links of a proof.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::TrieAccount;
use set_types::BatchId;
use set_ves::{SignedEvent, verify_inclusion};

use crate::{
    AccountProof, BrokenLink, DataContract, GameClaim, Inclusion, Link, OutputRoot, Record, SettlementProof,
    encoding::decode_canonical, record::Words, slots, trie::value_at,
};

/// What a verifier asks about: known to it beforehand, never taken from a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// Chain id of the L2.
    pub chain_id: u64,
    /// SetRegistry's proxy on it.
    pub registry: Address,
}

/// What a proof proves of the L2 block whose output root is [`Verified::output_root`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The batch.
    pub batch_id: BatchId,
    /// What the registry holds of it.
    pub record: Record,
    /// The event that is in it, where the proof is about one.
    pub event: Option<ProvenEvent>,
    /// The block whose state holds the record.
    pub block: ProvenBlock,
    /// The block's output root.
    pub output_root: B256,
    /// The game that is said to claim this output root for this block. L1 has to be asked about it.
    pub claim: Option<GameClaim>,
}

/// An event that is proven to be in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenEvent {
    /// Its sequence number in its stream.
    pub sequence: u64,
    /// Hash of the signed event at its place.
    pub leaf: B256,
    /// Whether the signed event was at hand and has this leaf.
    pub is_signed_event: bool,
}

/// A block of the L2, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenBlock {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Timestamp, in seconds.
    pub timestamp: u64,
}

impl SettlementProof {
    /// Checks every link from the output root down to the record, the leaf if the proof has one, and `event` if it is
    /// given. What is proven holds for the registry at the block with [`Verified::output_root`], and for nothing else:
    /// whether L1 has that output root is a question for L1.
    ///
    /// The event's signature is not checked: its key is not part of a proof
    /// ([`SignedEvent::verify_signature`]).
    ///
    /// # Errors
    /// [`BrokenLink`]: the first link that does not hold, from the top.
    pub fn verify(&self, chain: Chain, event: Option<&SignedEvent>) -> Result<Verified, BrokenLink> {
        Link::Chain.check(self.chain_id == chain.chain_id, || {
            format!(
                "the proof is of chain {}, and asked for is {}",
                self.chain_id, chain.chain_id
            )
        })?;
        let output_root = self.output_root.hash();
        if let Some(claim) = &self.claim {
            Link::OutputRoot.check(output_root == claim.root_claim, || {
                format!(
                    "its parts hash to {output_root}, and the game claims {}",
                    claim.root_claim
                )
            })?;
        }
        let (header, block) = self.output_root.open(&self.header)?;
        if let Some(claim) = &self.claim {
            Link::Claim.check(block.number == claim.l2_block, || {
                format!(
                    "the game claims block {}, and the header is of block {}",
                    claim.l2_block, block.number
                )
            })?;
        }
        let registry = open_account(
            Link::Account,
            header.state_root,
            chain.registry,
            &self.registry.account_proof,
        )?;
        let words = self.registry.open_storage(registry.storage_root, self.batch_id)?;
        let record = open_record(&words, header.state_root, self.data_contract.as_ref())?;
        Link::Record.check(record == self.record, || {
            format!("the proof says {:?}, and the chain {record:?}", self.record)
        })?;
        let event = match &self.inclusion {
            Some(inclusion) => Some(inclusion.open(&record, event)?),
            None if event.is_some() => {
                return Err(Link::Leaf.broken("the proof is about the batch only, and shows no event in it"));
            }
            None => None,
        };
        Ok(Verified {
            batch_id: self.batch_id,
            record,
            event,
            block,
            output_root,
            claim: self.claim,
        })
    }
}

impl OutputRoot {
    /// The header that this output root is of.
    fn open(&self, header: &[u8]) -> Result<(Header, ProvenBlock), BrokenLink> {
        Link::OutputRoot.check(self.version.is_zero(), || {
            format!("its version is {}, and zero is the only one", self.version)
        })?;
        let hash = keccak256(header);
        Link::Header.check(hash == self.latest_blockhash, || {
            format!(
                "it hashes to {hash}, and the output root is of block {}",
                self.latest_blockhash
            )
        })?;
        let header: Header =
            decode_canonical(header).map_err(|error| Link::Header.broken(format_args!("it {error}")))?;
        let expected = Self::of(&header).ok_or_else(|| {
            Link::Header.broken("it has no withdrawals root, so it does not show its message passer's storage root")
        })?;
        Link::OutputRoot.check(*self == expected, || {
            format!("it is made of {self:?}, and the header says {expected:?}")
        })?;
        let block = ProvenBlock {
            number: header.number,
            hash,
            timestamp: header.timestamp,
        };
        Ok((header, block))
    }
}

/// The account at `address`, which has to exist.
pub(crate) fn open_account(
    link: Link,
    state_root: B256,
    address: Address,
    proof: &[Bytes],
) -> Result<TrieAccount, BrokenLink> {
    let account = value_at(state_root, address.as_slice(), proof)
        .map_err(|error| link.broken(format_args!("the proof of account {address}: {error}")))?
        .ok_or_else(|| link.broken(format_args!("there is no account {address}")))?;
    decode_canonical(&account).map_err(|error| link.broken(format_args!("the account {address} {error}")))
}

/// The word in one slot; zero where there is none.
pub(crate) fn open_word(storage_root: B256, key: B256, proof: &[Bytes]) -> Result<U256, BrokenLink> {
    let broken = |error: &dyn std::fmt::Display| Link::Storage.broken(format_args!("slot {key}: {error}"));
    let Some(value) = value_at(storage_root, key.as_slice(), proof).map_err(|error| broken(&error))? else {
        return Ok(U256::ZERO);
    };
    let word: U256 = decode_canonical(&value).map_err(|error| broken(&format_args!("its value {error}")))?;
    if word.is_zero() {
        return Err(broken(&"zero is written out, which no chain does"));
    }
    Ok(word)
}

impl AccountProof {
    /// The words that a proof of this batch consists of: exactly those.
    fn open_storage(&self, storage_root: B256, batch_id: BatchId) -> Result<Words, BrokenLink> {
        for slot in &self.storage_proof {
            let value = open_word(storage_root, slot.key, &slot.proof)?;
            Link::Storage.check(value == slot.value, || {
                format!(
                    "slot {} holds {value:#x}, and the proof says {:#x}",
                    slot.key, slot.value
                )
            })?;
        }
        let words = Words::among(&self.storage_proof, batch_id);
        let expected = slots::proven(batch_id, words.root, words.content);
        let given = self.storage_proof.iter().map(|slot| slot.key);
        Link::Storage.check(given.eq(expected.iter().copied()), || {
            format!("a proof of this batch consists of the slots {expected:?}, in this order")
        })?;
        Ok(words)
    }
}

/// The record that proven words hold, or the code that they name.
pub(crate) fn open_record(
    words: &Words,
    state_root: B256,
    data_contract: Option<&DataContract>,
) -> Result<Record, BrokenLink> {
    words.check().map_err(|error| Link::Record.broken(error))?;
    match (slots::data_contract(words.root, words.content), data_contract) {
        (None, None) => words.record().map_err(|error| Link::Record.broken(error)),
        (Some(address), Some(contract)) => {
            let account = open_account(Link::Code, state_root, address, &contract.account_proof)?;
            let hash = keccak256(&contract.code);
            Link::Code.check(hash == account.code_hash, || {
                format!(
                    "it hashes to {hash}, and the code of {address} to {}",
                    account.code_hash
                )
            })?;
            words
                .record_in(&contract.code)
                .map_err(|error| Link::Record.broken(error))
        }
        (Some(address), None) => Err(Link::Code.broken(format_args!("the record is in the code of {address}"))),
        (None, Some(_)) => Err(Link::Code.broken("the record is in slots, and a contract is given")),
    }
}

impl Inclusion {
    /// The event that is proven to be in the batch.
    fn open(&self, record: &Record, event: Option<&SignedEvent>) -> Result<ProvenEvent, BrokenLink> {
        let index = self.sequence.checked_sub(record.sequence_start).ok_or_else(|| {
            let (start, sequence) = (record.sequence_start, self.sequence);
            Link::Inclusion.broken(format_args!(
                "the batch starts at sequence number {start}, after {sequence}"
            ))
        })?;
        verify_inclusion(self.leaf, index, &self.path, record.event_count, record.events_root)
            .map_err(|error| Link::Inclusion.broken(error))?;
        if let Some(event) = event {
            let leaf = event.leaf(self.sequence);
            Link::Leaf.check(leaf == self.leaf, || {
                let sequence = self.sequence;
                format!(
                    "event {} at {sequence} has the leaf {leaf}, and proven is {}",
                    event.event_id, self.leaf
                )
            })?;
            event.check_payload().map_err(|error| Link::Event.broken(error))?;
        }
        Ok(ProvenEvent {
            sequence: self.sequence,
            leaf: self.leaf,
            is_signed_event: event.is_some(),
        })
    }
}
