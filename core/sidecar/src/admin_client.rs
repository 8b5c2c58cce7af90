//! Asking a running sidecar's admin listener.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use eyre::{Result, WrapErr, bail, eyre};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use set_rpc::admin::AdminSecret;

/// More than the listener takes for its slowest method.
const TIMEOUT: Duration = Duration::from_secs(70);

/// A caller of `admin_` methods.
pub(crate) struct AdminClient {
    address: SocketAddr,
    secret: AdminSecret,
    http: reqwest::Client,
}

impl AdminClient {
    pub(crate) fn new(address: SocketAddr, secret: AdminSecret) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { address, secret, http })
    }

    /// Calls a method without parameters.
    ///
    /// # Errors
    /// Where no sidecar listens there, or what it answers.
    pub(crate) async fn call<T: DeserializeOwned>(&self, method: &'static str) -> Result<T> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        let token = self.secret.token(now).ok_or_else(|| eyre!("no token could be made"))?;
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": [] });
        let request = self
            .http
            .post(format!("http://{}", self.address))
            .bearer_auth(token)
            .json(&body);
        let response = request.send().await.wrap_err_with(|| {
            format!(
                "no sidecar answers on `rpc.admin_listen` ({}); start it first",
                self.address
            )
        })?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{method}: {status}: {text}");
        }
        let mut answer: Value = serde_json::from_str(&text).wrap_err_with(|| format!("{method} answers no JSON"))?;
        match answer.get_mut("result") {
            Some(result) => Ok(serde_json::from_value(result.take())?),
            None => Err(eyre!(
                "{}",
                answer["error"]["message"]
                    .as_str()
                    .unwrap_or("an answer without a result")
            )),
        }
    }
}
