//! Asking the sidecar.

use eyre::{Result, WrapErr, eyre};
use serde_json::{Value, json};
use set_types::BatchId;
use url::Url;

/// The sidecar's JSON-RPC.
pub(crate) struct Rpc {
    http: reqwest::Client,
    url: Url,
}

impl Rpc {
    pub(crate) fn new(url: Url) -> Self {
        Self {
            http: reqwest::Client::new(),
            url,
        }
    }

    /// One call.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut answer = self.post(&request).await.wrap_err_with(|| format!("{method} failed"))?;
        match answer.get("error") {
            Some(error) => Err(eyre!("{method}: {error}")),
            None => Ok(answer["result"].take()),
        }
    }

    /// `set_getCommitment` for several batches, in one round trip; null for those that it does not know.
    pub(crate) async fn commitments(&self, batches: &[BatchId]) -> Result<Vec<Value>> {
        let numbered = batches.iter().enumerate();
        let request: Vec<_> = numbered
            .map(|(id, batch)| json!({ "jsonrpc": "2.0", "id": id, "method": "set_getCommitment", "params": [batch] }))
            .collect();
        let answers: Vec<Value> = serde_json::from_value(self.post(&json!(request)).await?)?;
        let mut found = vec![Value::Null; batches.len()];
        for mut answer in answers {
            let place = answer["id"]
                .as_u64()
                .and_then(|id| found.get_mut(usize::try_from(id).ok()?));
            if let Some(place) = place {
                *place = answer["result"].take();
            }
        }
        Ok(found)
    }

    async fn post(&self, request: &Value) -> Result<Value> {
        Ok(self
            .http
            .post(self.url.clone())
            .json(request)
            .send()
            .await?
            .json()
            .await?)
    }
}
