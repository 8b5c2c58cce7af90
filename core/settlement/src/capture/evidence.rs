//! What proves one commitment at one block, put together from parts.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Keccak256, U256};
use alloy_rlp::Decodable;
use alloy_trie::{KECCAK_EMPTY, TrieAccount};
use set_types::BatchId;

use super::trie::{PartMap, Parts, WalkError, part, walk};

/// The registry at one block: what every commitment's evidence at that block shares.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The block's header, in RLP.
    pub(crate) header: Bytes,
    /// The proof of the registry's account.
    pub(crate) account: Vec<Bytes>,
    state_root: B256,
    /// Root of the registry's storage; `None` where the proof says that there is no such account.
    storage_root: Option<B256>,
}

/// What proves one commitment, beside the [`State`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The registry's slots, each with its proof.
    pub(crate) slots: Vec<(B256, Vec<Bytes>)>,
    /// What holds the record's content, where that is not the slots themselves.
    pub(crate) data: Option<DataContract>,
}

/// A contract whose code holds records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataContract {
    /// Its address.
    pub(crate) address: Address,
    /// The proof of its account.
    pub(crate) account: Vec<Bytes>,
    /// Its code.
    pub(crate) code: Bytes,
}

impl State {
    /// Reads the header with hash `block` and finds the registry in it.
    pub(crate) fn open(parts: &impl Parts, block: B256, registry: Address) -> Result<Self, WalkError> {
        let bytes = part(parts, block)?;
        let header = Header::decode(&mut &bytes[..]).map_err(|error| WalkError::Malformed {
            hash: block,
            what: format!("no header: {error}"),
        })?;
        let (account, found) = account(parts, header.state_root, registry)?;
        Ok(Self {
            header: bytes,
            account,
            state_root: header.state_root,
            storage_root: found.map(|account| account.storage_root),
        })
    }

    /// Puts what is in it to `parts`.
    pub(crate) fn add_to(&self, parts: &mut PartMap) {
        parts.add(self.header.clone());
        for node in &self.account {
            parts.add(node.clone());
        }
    }

    /// What stands in a slot, and the proof of that.
    fn slot(&self, parts: &impl Parts, slot: B256) -> Result<(U256, Vec<Bytes>), WalkError> {
        let Some(root) = self.storage_root else {
            return Ok((U256::ZERO, vec![]));
        };
        let way = walk(parts, root, slot.as_slice())?;
        let value = match &way.value {
            None => U256::ZERO,
            Some(value) => U256::decode(&mut &value[..]).map_err(|error| WalkError::Malformed {
                hash: root,
                what: format!("no storage: slot {slot} holds what is no number ({error})"),
            })?,
        };
        Ok((value, way.nodes))
    }

    /// The contract that holds a commitment's record, where its slots name one.
    pub(crate) fn data_contract(&self, parts: &impl Parts, batch_id: BatchId) -> Result<Option<Address>, WalkError> {
        let [root, _, content] = slots::record(batch_id);
        let (root, content) = (self.slot(parts, root)?.0, self.slot(parts, content)?.0);
        Ok(slots::data_contract(root, content))
    }
}

impl Evidence {
    /// The evidence of a commitment; `None` where it is proven that the registry does not hold it.
    pub(crate) fn find(parts: &impl Parts, state: &State, batch_id: BatchId) -> Result<Option<Self>, WalkError> {
        let [root, _, content] = slots::record(batch_id);
        let (root, content) = (state.slot(parts, root)?.0, state.slot(parts, content)?.0);
        if content.is_zero() {
            return Ok(None);
        }
        let data = match slots::data_contract(root, content) {
            None => None,
            Some(address) => Some(DataContract::find(parts, state, address)?),
        };
        let proven = slots::proven(batch_id, data.is_some()).into_iter();
        let proven = proven.map(|slot| Ok((slot, state.slot(parts, slot)?.1)));
        Ok(Some(Self {
            slots: proven.collect::<Result<_, WalkError>>()?,
            data,
        }))
    }

    /// Puts what is in it to `parts`.
    pub(crate) fn add_to(&self, parts: &mut PartMap) {
        let data = self
            .data
            .iter()
            .flat_map(|data| data.account.iter().chain([&data.code]));
        for part in self.slots.iter().flat_map(|(_, nodes)| nodes).chain(data) {
            parts.add(part.clone());
        }
    }
}

impl DataContract {
    fn find(parts: &impl Parts, state: &State, address: Address) -> Result<Self, WalkError> {
        let (nodes, found) = account(parts, state.state_root, address)?;
        let code = found.map_or(KECCAK_EMPTY, |account| account.code_hash);
        Ok(Self {
            address,
            account: nodes,
            code: part(parts, code)?,
        })
    }
}

/// An account, and its proof.
fn account(
    parts: &impl Parts,
    state_root: B256,
    address: Address,
) -> Result<(Vec<Bytes>, Option<TrieAccount>), WalkError> {
    let way = walk(parts, state_root, address.as_slice())?;
    let decode = |bytes: Bytes| {
        TrieAccount::decode(&mut &bytes[..]).map_err(|error| WalkError::Malformed {
            hash: state_root,
            what: format!("no state: the account {address} is malformed ({error})"),
        })
    };
    Ok((way.nodes, way.value.map(decode).transpose()?))
}

/// The output root that stands for a block, from Isthmus on, where the header has the message passer's storage root.
pub(crate) fn output_root(header: &Header) -> Option<B256> {
    let mut hasher = Keccak256::new();
    for word in [
        B256::ZERO,
        header.state_root,
        header.withdrawals_root?,
        header.hash_slow(),
    ] {
        hasher.update(word);
    }
    Some(hasher.finalize())
}

/// SLOTS PLACEHOLDER
pub(crate) mod slots {
    use alloy_primitives::keccak256;

    use super::*;

    fn map(batch_id: BatchId, slot: u64) -> B256 {
        keccak256([batch_id.to_b256(), B256::from(U256::from(slot))].concat())
    }

    pub(crate) fn record(batch_id: BatchId) -> [B256; 3] {
        let first = U256::from_be_bytes(map(batch_id, 1).0);
        [0u64, 1, 2].map(|offset| B256::from(first.wrapping_add(U256::from(offset))))
    }

    pub(crate) fn asked(batch_id: BatchId) -> [B256; 5] {
        let [root, state, content] = record(batch_id);
        [B256::ZERO, root, state, content, map(batch_id, 2)]
    }

    pub(crate) fn proven(batch_id: BatchId, in_code: bool) -> Vec<B256> {
        let [root, state, content] = record(batch_id);
        if in_code {
            vec![B256::ZERO, root, content]
        } else {
            vec![B256::ZERO, root, state, content]
        }
    }

    pub(crate) fn data_contract(root: U256, content: U256) -> Option<Address> {
        (root.is_zero() && !content.is_zero())
            .then(|| Address::from_word(B256::from(content & ((U256::ONE << 160) - U256::ONE))))
    }
}
