//! What only the registry can answer, asked of a real one.

use std::sync::Arc;

use alloy::{
    network::{ReceiptResponse, TransactionBuilder},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use alloy_primitives::B256;
use alloy_sol_types::SolCall;
use serde_json::{Value, json};
use set_chain::{RegistryReader, bindings::SetRegistry};
use set_testkit::{Anvil, deploy};
use set_types::Commitment;

use crate::fixture::{Fixture, call, commitment, stream};

pub(crate) async fn commit(anvil: &Anvil, registry: alloy_primitives::Address, commitment: &Commitment) {
    let data = SetRegistry::commitBatchCall::from(commitment);
    let request = TransactionRequest::default()
        .with_from(Anvil::account(1).address())
        .with_to(registry)
        .with_gas_limit(500_000)
        .with_input(data.abi_encode());
    let hash = *anvil
        .provider()
        .send_transaction(request.into())
        .await
        .unwrap()
        .tx_hash();
    anvil.mine(1).await.unwrap();
    assert!(
        anvil
            .provider()
            .get_transaction_receipt(hash)
            .await
            .unwrap()
            .unwrap()
            .status()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_proofs_are_asked_of_the_contract() {
    let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
    let contracts = deploy(&anvil, Anvil::account(1).address()).await.unwrap();
    let mut fixture = Fixture::new().await;
    fixture.registry = Arc::new(RegistryReader::new(anvil.provider().clone(), contracts.registry));
    let one = commitment(stream(1), 0);
    let two = commitment(stream(1), 1);
    for commitment in [&one, &two] {
        commit(&anvil, contracts.registry, commitment).await;
    }
    // The index is a block behind.
    fixture.anchor(std::slice::from_ref(&one)).await;
    let server = fixture.serve().await;

    let ids = json!({ "tenantId": one.tenant_id, "storeId": one.store_id });
    for stream in [ids, json!(one.stream().key())] {
        let head = call(&server, "set_getStreamHead", json!([stream])).await.unwrap();
        assert_eq!((&head["batchId"], &head["sequence"]), (&json!(two.batch_id), &json!(6)));
        assert_eq!(head["stateRoot"], two.new_state_root.to_string());
        assert_eq!(head["indexed"]["batchId"], json!(one.batch_id));
        assert_eq!(head["indexed"]["commitments"], 1);
    }
    let unopened = json!({ "tenantId": stream(9).tenant_id, "storeId": stream(9).store_id });
    let head = call(&server, "set_getStreamHead", json!([unopened])).await.unwrap();
    assert_eq!(
        (&head["batchId"], &head["sequence"], &head["indexed"]),
        (&Value::Null, &json!(0), &Value::Null)
    );
    let error = call(&server, "set_getStreamHead", json!([B256::repeat_byte(7)]))
        .await
        .unwrap_err();
    assert!(
        error["message"].as_str().unwrap().contains("give tenantId and storeId"),
        "{error}"
    );

    for sequence in 1..=3 {
        let proof = call(&server, "set_getInclusionProof", json!([one.batch_id, sequence]))
            .await
            .unwrap();
        let verify = |leaf: Value, index: Value, path: Value| {
            let server = &server;
            let id = one.batch_id;
            async move {
                call(server, "set_verifyInclusion", json!([id, leaf, index, path]))
                    .await
                    .unwrap()
            }
        };
        let (leaf, index, path) = (&proof["leaf"], &proof["leafIndex"], &proof["path"]);
        let answer = verify(leaf.clone(), index.clone(), path.clone()).await;
        assert_eq!(answer["valid"], true, "{answer}");
        assert_eq!(
            (&answer["recomputed"]["valid"], &answer["onChain"]["valid"]),
            (&json!(true), &json!(true))
        );
        let wrong = [
            verify(json!(B256::repeat_byte(1)), index.clone(), path.clone()).await,
            verify(leaf.clone(), json!(3), path.clone()).await,
            verify(leaf.clone(), index.clone(), json!([path[0]])).await,
            verify(leaf.clone(), json!("0xffffffffffffffff"), path.clone()).await,
        ];
        for answer in wrong {
            let both = (&answer["recomputed"]["valid"], &answer["onChain"]["valid"]);
            assert_eq!(
                (&answer["valid"], both),
                (&json!(false), (&json!(false), &json!(false))),
                "{answer}"
            );
            assert!(answer["recomputed"]["reason"].is_string());
        }
    }
    let unknown = json!([B256::repeat_byte(3), B256::ZERO, 0, []]);
    let error = call(&server, "set_verifyInclusion", unknown).await.unwrap_err();
    assert_eq!(error["code"], -39001);
    let deep = json!([one.batch_id, B256::ZERO, 0, vec![B256::ZERO; 33]]);
    let error = call(&server, "set_verifyInclusion", deep).await.unwrap_err();
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("parameter `path`: has 33 hashes"),
        "{error}"
    );
    server.stop().await;
}
