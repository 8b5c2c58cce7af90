//! Putting a proof together from what a node gave.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use set_types::BatchId;

use crate::{
    AccountProof, BrokenLink, Chain, DataContract, FormatVersion, GameClaim, Inclusion, Link, OutputRoot,
    SettlementProof, StorageSlot,
    encoding::decode_canonical,
    record::Words,
    verify::{open_account, open_record, open_word},
};

/// What a node proves of one batch, in the bytes that it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The batch.
    pub batch_id: BatchId,
    /// The block's header in RLP.
    pub header: Bytes,
    /// Trie nodes from the state root to the registry's account.
    pub registry: Vec<Bytes>,
    /// The slots of [`slots::proven`](crate::slots::proven), in that order, each with the trie nodes from the storage root to its word.
    pub storage: Vec<(B256, Vec<Bytes>)>,
    /// The contract that holds the record; `None` where the slots do ([`slots::data_contract`](crate::slots::data_contract)).
    pub data_contract: Option<DataContractEvidence>,
}

/// A contract whose code holds records, as a node proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataContractEvidence {
    /// Trie nodes from the state root to its account.
    pub account: Vec<Bytes>,
    /// Its code.
    pub code: Bytes,
}

impl SettlementProof {
    /// Makes a proof of what a node gave, of the event that `inclusion` leads to where there is one, and of the game
    /// that claims the block where there is one. All of it is verified: what comes out is a proof.
    ///
    /// # Errors
    /// [`BrokenLink`], as [`SettlementProof::verify`]: the node is wrong, or the parts do not belong together.
    pub fn assemble(
        chain: Chain,
        evidence: Evidence,
        inclusion: Option<Inclusion>,
        claim: Option<GameClaim>,
    ) -> Result<Self, BrokenLink> {
        let header: Header =
            decode_canonical(&evidence.header).map_err(|error| Link::Header.broken(format_args!("it {error}")))?;
        let output_root = OutputRoot::of(&header).ok_or_else(|| {
            Link::Header.broken("it has no withdrawals root: the chain's Isthmus is not active at this block")
        })?;
        let account = open_account(Link::Account, header.state_root, chain.registry, &evidence.registry)?;
        let storage_proof = evidence.storage.into_iter().map(|(key, proof)| {
            let value = open_word(account.storage_root, key, &proof)?;
            Ok(StorageSlot { key, value, proof })
        });
        let storage_proof = storage_proof.collect::<Result<Vec<_>, BrokenLink>>()?;
        let data_contract = evidence.data_contract.map(|contract| DataContract {
            account_proof: contract.account,
            code: contract.code,
        });
        let words = Words::among(&storage_proof, evidence.batch_id);
        let proof = Self {
            version: FormatVersion,
            chain_id: chain.chain_id,
            batch_id: evidence.batch_id,
            inclusion,
            record: open_record(&words, header.state_root, data_contract.as_ref())?,
            data_contract,
            registry: AccountProof {
                account_proof: evidence.registry,
                storage_proof,
            },
            header: evidence.header,
            output_root,
            claim,
        };
        proof.verify(chain, None)?;
        Ok(proof)
    }
}
