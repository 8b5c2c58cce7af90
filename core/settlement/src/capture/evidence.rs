//! What proves one commitment at one block, put together from parts.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::Decodable;
use alloy_trie::{KECCAK_EMPTY, TrieAccount};
use set_proof::{DataContractEvidence, Evidence, slots};
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

/// The evidence of a commitment; `None` where it is proven that the registry does not hold it.
pub(crate) fn find(parts: &impl Parts, state: &State, batch_id: BatchId) -> Result<Option<Evidence>, WalkError> {
    let [root, _, content] = slots::record(batch_id);
    let (root, content) = (state.slot(parts, root)?.0, state.slot(parts, content)?.0);
    if content.is_zero() {
        return Ok(None);
    }
    let proven = slots::proven(batch_id, root, content).into_iter();
    let proven = proven.map(|slot| Ok((slot, state.slot(parts, slot)?.1)));
    let data_contract = |address| {
        let (nodes, found) = account(parts, state.state_root, address)?;
        let code = found.map_or(KECCAK_EMPTY, |account| account.code_hash);
        Ok::<_, WalkError>(DataContractEvidence {
            account: nodes,
            code: part(parts, code)?,
        })
    };
    Ok(Some(Evidence {
        batch_id,
        header: state.header.clone(),
        registry: state.account.clone(),
        storage: proven.collect::<Result<_, WalkError>>()?,
        data_contract: slots::data_contract(root, content).map(data_contract).transpose()?,
    }))
}

/// Puts what evidence consists of, beside the [`State`], to `parts`.
pub(crate) fn add_to(parts: &mut PartMap, evidence: &Evidence) {
    let data = evidence
        .data_contract
        .iter()
        .flat_map(|data| data.account.iter().chain([&data.code]));
    for part in evidence.storage.iter().flat_map(|(_, nodes)| nodes).chain(data) {
        parts.add(part.clone());
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
