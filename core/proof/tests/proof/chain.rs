//! Proofs of records that a real chain holds, in each of the ways in which the registry stores them.

use alloy::sol_types::SolCall;
use alloy::{
    eips::BlockNumberOrTag,
    network::{ReceiptResponse, TransactionBuilder},
    providers::Provider,
    rpc::types::{EIP1186AccountProofResponse, Header, TransactionRequest},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::json;
use set_chain::bindings::SetRegistry::{Batch, Run, commitBatchCall, commitBatchesCall};
use set_proof::{Chain, DataContractEvidence, Evidence, GameClaim, Link, OutputRoot, Previous, SettlementProof, slots};
use set_testkit::{Anvil, deploy};
use set_types::{BatchId, Commitment};

use crate::recorded;

/// Other commitments in the registry, so that its tries have some depth.
const OTHERS: u8 = 40;

struct Rig {
    anvil: Anvil,
    chain: Chain,
}

impl Rig {
    async fn start() -> Self {
        let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
        let contracts = deploy(&anvil, Anvil::account(1).address()).await.unwrap();
        let chain = Chain {
            chain_id: anvil.chain_id(),
            registry: contracts.registry,
        };
        Self { anvil, chain }
    }

    async fn send(&self, call: impl SolCall) {
        let request = TransactionRequest::default()
            .with_from(Anvil::account(1).address())
            .with_to(self.chain.registry)
            .with_gas_limit(20_000_000)
            .with_input(call.abi_encode());
        let provider = self.anvil.provider();
        let hash = *provider.send_transaction(request.into()).await.unwrap().tx_hash();
        self.anvil.mine(1).await.unwrap();
        let receipt = provider.get_transaction_receipt(hash).await.unwrap().unwrap();
        assert!(receipt.status(), "the registry refuses");
    }

    async fn account(&self, address: Address, keys: &[B256]) -> EIP1186AccountProofResponse {
        self.anvil
            .call("eth_getProof", (address, keys, "latest"))
            .await
            .unwrap()
    }

    /// What this node proves of a batch at the newest block.
    async fn evidence(&self, batch_id: BatchId) -> Evidence {
        let header = (BlockNumberOrTag::Latest, false);
        let header: Header = self.anvil.call("eth_getBlockByNumber", header).await.unwrap();
        let asked = slots::asked(batch_id);
        let registry = self.account(self.chain.registry, &asked).await;
        let words = registry.storage_proof;
        let (root, content) = (words[1].value, words[3].value);
        let storage = slots::proven(batch_id, root, content).into_iter().map(|slot| {
            let position = asked.iter().position(|asked| *asked == slot).unwrap();
            (slot, words[position].proof.clone())
        });
        let data_contract = match slots::data_contract(root, content) {
            None => None,
            Some(address) => Some(DataContractEvidence {
                account: self.account(address, &[]).await.account_proof,
                code: self.anvil.call("eth_getCode", (address, "latest")).await.unwrap(),
            }),
        };
        Evidence {
            batch_id,
            header: alloy_rlp::encode(&header.inner).into(),
            registry: registry.account_proof,
            storage: storage.collect(),
            data_contract,
        }
    }

    /// A claim of the newest block, by a game that L1 would have to know.
    async fn claim(&self, evidence: &Evidence) -> GameClaim {
        let header = alloy_rlp::decode_exact(&evidence.header).unwrap();
        GameClaim {
            game: Address::repeat_byte(0x6a),
            index: 41,
            game_type: 255,
            root_claim: OutputRoot::of(&header).unwrap().hash(),
            l2_block: self.anvil.block_number().await.unwrap(),
        }
    }
}

fn others() -> commitBatchesCall {
    let runs = (1..=OTHERS).map(|byte| Run {
        tenantId: B256::repeat_byte(byte),
        storeId: B256::repeat_byte(byte),
        prevStateRoot: B256::ZERO,
        sequenceStart: 1,
        batches: vec![Batch {
            batchId: B256::repeat_byte(byte),
            eventsRoot: B256::repeat_byte(byte),
            newStateRoot: B256::repeat_byte(byte),
            eventCount: 1,
        }],
    });
    commitBatchesCall { runs: runs.collect() }
}

/// What the sequencer committed between two recorded batches: their roots and numbers are known, its events are not.
fn between(before: &Commitment, after: &Commitment) -> Commitment {
    let (start, end) = (before.sequence_end + 1, after.sequence_start - 1);
    let mut batch_id = B256::ZERO;
    batch_id[..16].copy_from_slice(&after.events_root[..16]);
    Commitment {
        batch_id: batch_id.into(),
        events_root: B256::repeat_byte(0xbe),
        prev_state_root: before.new_state_root,
        new_state_root: after.prev_state_root,
        sequence_start: start,
        sequence_end: end,
        event_count: u32::try_from(end + 1 - start).unwrap(),
        ..after.clone()
    }
}

#[tokio::test]
async fn records_are_proven_as_the_registry_stores_them() {
    let rig = Rig::start().await;
    let [first, second, third] = recorded::batches().try_into().ok().unwrap();
    rig.send(others()).await;
    rig.send(commitBatchCall::from(&first.commitment)).await;
    let filler = between(&first.commitment, &second.commitment);
    rig.send(commitBatchCall::from(&filler)).await;
    rig.send(commitBatchCall::from(&second.commitment)).await;
    rig.send(commitBatchCall::from(&between(&second.commitment, &third.commitment)))
        .await;
    let run = Run {
        tenantId: third.commitment.tenant_id.to_b256(),
        storeId: third.commitment.store_id.to_b256(),
        prevStateRoot: third.commitment.prev_state_root,
        sequenceStart: third.commitment.sequence_start,
        batches: vec![Batch {
            batchId: third.commitment.batch_id.to_b256(),
            eventsRoot: third.commitment.events_root,
            newStateRoot: third.commitment.new_state_root,
            eventCount: third.commitment.event_count,
        }],
    };
    rig.send(commitBatchesCall { runs: vec![run] }).await;

    let mut proofs = vec![];
    let before = [
        Previous::StateRoot(B256::ZERO),
        Previous::Batch(filler.batch_id),
        Previous::StateRoot(third.commitment.prev_state_root),
    ];
    for (batch, previous) in [first, second, third].into_iter().zip(before) {
        let evidence = rig.evidence(batch.commitment.batch_id).await;
        let claim = rig.claim(&evidence).await;
        for (event, inclusion) in batch.events {
            let proof = SettlementProof::assemble(rig.chain, evidence.clone(), Some(inclusion), Some(claim)).unwrap();
            let verified = proof.verify(rig.chain, Some(&event)).unwrap();
            let record = verified.record;
            let commitment = &batch.commitment;
            assert_eq!(
                (record.events_root, record.event_count),
                (commitment.events_root, commitment.event_count)
            );
            let range = (commitment.sequence_start, commitment.sequence_end);
            assert_eq!((record.sequence_start, record.sequence_end()), range);
            assert_eq!(
                (record.previous, record.new_state_root),
                (previous, commitment.new_state_root)
            );
            assert!(verified.event.unwrap().is_signed_event);
            assert_eq!(
                (verified.output_root, verified.block.number),
                (claim.root_claim, claim.l2_block)
            );

            let text = serde_json::to_string(&proof).unwrap();
            assert_eq!(SettlementProof::from_json(&text).unwrap(), proof);
            proofs.push(proof);
        }
    }
    if std::env::var_os("SET_PROOF_VECTORS").is_some() {
        // One of each batch: the vectors that the tests without a chain use.
        let vectors = json!({ "registry": rig.chain.registry, "proofs": [&proofs[0], &proofs[2], &proofs[8]] });
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/proofs.json");
        std::fs::write(file, serde_json::to_string_pretty(&vectors).unwrap() + "\n").unwrap();
    }
}

#[tokio::test]
async fn what_a_node_cannot_prove_is_not_assembled() {
    let rig = Rig::start().await;
    rig.send(others()).await;
    let known = BatchId::from(B256::repeat_byte(1));
    let evidence = rig.evidence(known).await;
    let assemble = |evidence| SettlementProof::assemble(rig.chain, evidence, None, None);
    assemble(evidence.clone()).unwrap();

    let unknown = rig.evidence(B256::repeat_byte(0xee).into()).await;
    let refused = assemble(unknown).unwrap_err();
    assert_eq!(refused.link, Link::Record);
    assert!(refused.cause.contains("no record"), "{refused}");

    let stored = [(B256::repeat_byte(2).into(), Link::Storage), (known, Link::Code)];
    for (batch_id, link) in stored {
        let mut other = evidence.clone();
        other.batch_id = batch_id;
        if batch_id == known {
            other.data_contract.as_mut().unwrap().code = Bytes::from_static(&[0, 1]);
        }
        // Another batch's slots are as good as none: they hold no record of this one.
        let refused = assemble(other).unwrap_err().link;
        assert!(refused == link || refused == Link::Record, "{batch_id}: {refused}");
    }

    // An account that holds nothing at all: its storage trie is empty, and so is each of its proofs.
    let empty = Chain {
        registry: Anvil::account(0).address(),
        ..rig.chain
    };
    let account = rig.account(empty.registry, &slots::asked(known)).await;
    assert!(account.storage_proof.iter().all(|slot| slot.value == U256::ZERO));
    let elsewhere = Evidence {
        registry: account.account_proof,
        storage: vec![],
        data_contract: None,
        ..evidence
    };
    assert_eq!(
        SettlementProof::assemble(empty, elsewhere, None, None)
            .unwrap_err()
            .link,
        Link::Record
    );
}
