//! A plain JSON-RPC client, as a caller of the sidecar would write one.

use serde_json::{Value, json};
use url::Url;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcFailure {
    /// The server was not reached, or its answer is no JSON.
    #[error("{method}: {source}")]
    Http {
        /// The method.
        method: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// The server answers with an error.
    #[error("{method}: {error}")]
    Error {
        /// The method.
        method: String,
        /// The error object.
        error: Value,
    },
}

/// A JSON-RPC server, over HTTP.
#[derive(Debug, Clone)]
pub struct Rpc {
    http: reqwest::Client,
    url: Url,
}

impl Rpc {
    /// The server at `url`.
    pub fn new(url: Url) -> Self {
        crate::init();
        Self {
            http: reqwest::Client::new(),
            url,
        }
    }

    /// Where it is.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// One call.
    ///
    /// # Errors
    /// See [`RpcFailure`].
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, RpcFailure> {
        let mut answer = self.post(method, &request(0, method, params)).await?;
        match answer.get_mut("error") {
            Some(error) => Err(RpcFailure::Error {
                method: method.to_owned(),
                error: error.take(),
            }),
            None => Ok(answer["result"].take()),
        }
    }

    /// The same method for several parameters, in one batch; null where the server answers with an error.
    ///
    /// # Errors
    /// [`RpcFailure::Http`].
    pub async fn batch(&self, method: &str, params: Vec<Value>) -> Result<Vec<Value>, RpcFailure> {
        let mut results = vec![Value::Null; params.len()];
        if results.is_empty() {
            return Ok(results);
        }
        let numbered = params.into_iter().enumerate();
        let requests: Vec<_> = numbered.map(|(id, params)| request(id, method, params)).collect();
        let mut answers = self.post(method, &json!(requests)).await?;
        for answer in answers.as_array_mut().into_iter().flatten() {
            let id = answer["id"].as_u64().and_then(|id| usize::try_from(id).ok());
            if let Some(result) = id.and_then(|id| results.get_mut(id)) {
                *result = answer["result"].take();
            }
        }
        Ok(results)
    }

    async fn post(&self, method: &str, request: &Value) -> Result<Value, RpcFailure> {
        let failure = |source| RpcFailure::Http {
            method: method.to_owned(),
            source,
        };
        let response = self
            .http
            .post(self.url.clone())
            .json(request)
            .send()
            .await
            .map_err(failure)?;
        response.json().await.map_err(failure)
    }
}

fn request(id: usize, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}
