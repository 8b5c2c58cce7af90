//! `set_getSettlementProof`, with proofs from a real registry.

use std::{sync::Arc, time::Duration};

use alloy::providers::Provider;
use alloy_primitives::{Address, B256, keccak256};
use async_trait::async_trait;
use serde_json::{Value, json};
use set_index::Anchored;
use set_proof::{Chain, GameClaim, SettlementProof};
use set_rpc::{ClaimedEvidence, NoEvidence, SettlementProofs};
use set_settlement::capture::{CaptureSettings, Captures, Claims, Prover};
use set_testkit::{Action, Anvil, Contracts, RpcProxy, Rule, deploy};
use set_types::Stage;
use tokio::sync::watch;

use crate::{
    fixture::{Fixture, call, commitment, pending, stream},
    on_chain::commit,
};

const CHAIN_ID: u64 = 84_532_001;

struct Proofs {
    captures: Captures,
    chain: Chain,
}

#[async_trait]
impl SettlementProofs for Proofs {
    fn chain(&self) -> Chain {
        self.chain
    }

    async fn evidence(&self, anchored: Anchored) -> Result<ClaimedEvidence, NoEvidence> {
        use set_settlement::capture::NoProof::{NotClaimed, Unprovable};
        match self.captures.evidence(&anchored).await {
            Ok(claimed) => Ok(ClaimedEvidence {
                evidence: claimed.evidence,
                game: claimed.game,
            }),
            Err(error @ NotClaimed { .. }) => Err(NoEvidence::NotClaimed(error.to_string())),
            Err(error @ Unprovable { .. }) => Err(NoEvidence::Unprovable(error.to_string())),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A node, and the games that claim its blocks.
struct Settled {
    anvil: Anvil,
    contracts: Contracts,
    node: RpcProxy,
    claims: watch::Sender<Claims>,
    chain: Chain,
}

impl Settled {
    async fn start() -> Self {
        let anvil = Anvil::builder().no_mining().spawn().await.unwrap();
        let contracts = deploy(&anvil, Anvil::account(1).address()).await.unwrap();
        Self {
            node: RpcProxy::start(anvil.url().clone()).await.unwrap(),
            claims: watch::Sender::new(Claims::default()),
            chain: Chain {
                chain_id: CHAIN_ID,
                registry: contracts.registry,
            },
            anvil,
            contracts,
        }
    }

    async fn proofs(&self) -> Arc<Proofs> {
        let registry = self.contracts.registry;
        let prover = Prover::connect(&[self.node.url()], Duration::from_secs(10), registry).unwrap();
        let settings = CaptureSettings {
            chain_id: CHAIN_ID,
            registry,
            max_bytes: 1 << 30,
        };
        let captures = Captures::open(None, settings, prover, self.claims.subscribe())
            .await
            .unwrap();
        Arc::new(Proofs {
            captures,
            chain: self.chain,
        })
    }

    /// A game claims the newest block.
    async fn claim(&self) -> GameClaim {
        let newest = self
            .anvil
            .provider()
            .get_block_by_number(Default::default())
            .await
            .unwrap();
        let header = newest.unwrap().header;
        let preimage = [
            B256::ZERO,
            header.state_root,
            header.withdrawals_root.unwrap(),
            header.hash,
        ];
        let game = GameClaim {
            game: Address::repeat_byte(7),
            index: 3,
            game_type: 255,
            root_claim: keccak256(preimage.concat()),
            l2_block: header.number,
        };
        self.claims.send_replace(Claims::new([game]));
        game
    }
}

fn refusal(answer: Result<Value, Value>) -> (i64, String, bool) {
    let error = answer.unwrap_err();
    (
        error["code"].as_i64().unwrap(),
        error["message"].as_str().unwrap().to_owned(),
        error["data"]["retryable"].as_bool().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commitment_and_an_event_in_it_are_proven_once_a_game_claims_them() {
    let settled = Settled::start().await;
    let (one, waiting) = (commitment(stream(1), 0), commitment(stream(2), 0));
    commit(&settled.anvil, settled.contracts.registry, &one).await;
    // The fixture's index has it in block 5.
    settled.anvil.mine(8).await.unwrap();
    let mut fixture = Fixture::new().await;
    fixture.anchor(std::slice::from_ref(&one)).await;
    fixture.wait(pending(waiting.clone(), Stage::Held, Some("min_events")));
    let ask = "set_getSettlementProof";

    let server = fixture.serve().await;
    let (code, message, _) = refusal(call(&server, ask, json!([one.batch_id])).await);
    assert!(code == -39_012 && message.contains("`l1.rpc_url`"), "{message}");
    server.stop().await;

    fixture.proofs = Some(settled.proofs().await);
    let server = fixture.serve().await;
    let (code, message, retryable) = refusal(call(&server, ask, json!([waiting.batch_id])).await);
    assert!(code == -39_012 && retryable, "{code} {message}");
    assert!(message.contains("is held (min_events)"), "{message}");
    let (code, message, _) = refusal(call(&server, ask, json!([one.batch_id])).await);
    assert!(
        code == -39_012 && message.contains("claims block 5 or a later one"),
        "{message}"
    );
    let (code, _, _) = refusal(call(&server, ask, json!([B256::repeat_byte(3)])).await);
    assert_eq!(code, -39_001);

    let game = settled.claim().await;
    for (params, sequence) in [(json!([one.batch_id]), None), (json!([one.batch_id, 2]), Some(2))] {
        let answer = call(&server, ask, params).await.unwrap();
        let proof = SettlementProof::from_json(&answer.to_string()).unwrap();
        let verified = proof.verify(settled.chain, None).unwrap();
        assert_eq!((verified.batch_id, verified.claim), (one.batch_id, Some(game)));
        assert_eq!(verified.event.map(|event| event.sequence), sequence);
    }
    let (code, message, _) = refusal(call(&server, ask, json!([one.batch_id, 4])).await);
    assert!(
        code == -32_602 && message.contains("the batch holds 1 to 3"),
        "{message}"
    );

    let recording: Value = serde_json::from_str(include_str!("../../../ves/vectors/ves.json")).unwrap();
    let mut event = recording["batches"][1]["leaves"][1].clone();
    let params = |event: &Value| json!({ "batchId": one.batch_id, "sequence": 2, "event": event });
    let (code, message, _) = refusal(call(&server, ask, params(&event)).await);
    assert!(
        code == -32_602 && message.contains("`event`: is of another stream"),
        "{message}"
    );
    event["event"]["tenant_id"] = json!(one.tenant_id);
    event["event"]["store_id"] = json!(one.store_id);
    let (code, message, _) = refusal(call(&server, ask, params(&event)).await);
    assert!(
        code == -32_602 && message.contains("`event`: is not the one at sequence 2"),
        "{message}"
    );

    settled.node.inject(Rule::on(
        ["eth_getProof"],
        Action::error("missing trie node 59030c2a (path )"),
    ));
    let (code, message, retryable) = refusal(call(&server, ask, json!([one.batch_id])).await);
    assert!(code == -39_013 && retryable, "{code} {message}");
    assert!(message.ends_with("the block's state is no longer there"), "{message}");
    server.stop().await;
}
