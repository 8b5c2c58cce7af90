//! A client of the anchoring API without any cleverness: it shows what is on the wire.

use alloy_primitives::B256;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use set_testkit::Sequencer;
use set_types::Commitment;
use url::Url;

pub(crate) struct Wire {
    client: Client,
    url: Url,
    key: String,
}

impl Wire {
    pub(crate) fn of(sequencer: &Sequencer) -> Self {
        set_testkit::init();
        Self {
            client: Client::new(),
            url: sequencer.url(),
            key: sequencer.admin_key().into(),
        }
    }

    /// A request without credentials.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url.join(path).unwrap())
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.bare(Method::GET, path).header("X-Api-Key", &self.key)
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).send().await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        response.json().await.unwrap()
    }

    pub(crate) async fn pending(&self) -> Value {
        self.json("v1/commitments/pending?limit=5000").await
    }

    pub(crate) async fn pending_ids(&self) -> Vec<String> {
        let listed = self.pending().await;
        let entries = listed["commitments"].as_array().unwrap();
        entries.iter().map(|entry| text(&entry["batch_id"])).collect()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.bare(Method::POST, path).header("X-Api-Key", &self.key).json(body)
    }

    pub(crate) fn reporting(&self, commitment: &Commitment, hash: B256) -> RequestBuilder {
        self.post(
            &format!("v1/commitments/{}/anchored", commitment.batch_id),
            &json!({ "chain_tx_hash": hash, "chain_id": 84_532_001, "block_number": 7, "gas_used": 46_000 }),
        )
    }

    pub(crate) async fn report(&self, commitment: &Commitment, hash: B256) -> Response {
        self.reporting(commitment, hash).send().await.unwrap()
    }

    pub(crate) fn proof_path(commitment: &Commitment, sequence: u64) -> String {
        format!(
            "api/v1/ves/proofs/{sequence}?tenant_id={}&store_id={}&batch_id={}",
            commitment.tenant_id, commitment.store_id, commitment.batch_id
        )
    }
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

pub(crate) fn word(value: &Value) -> B256 {
    text(value).parse().unwrap()
}
