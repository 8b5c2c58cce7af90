//! The admin listener: who may ask, and what.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256};
use async_trait::async_trait;
use serde_json::{Value, json};
use set_rpc::{
    StartError,
    admin::{
        AccountAnswer, AccountRole, AccountState, AdminSecret, AdminServer, Administration, FaultyConfiguration,
        ReloadAnswer,
    },
};
use set_types::BatchId;
use tokio::sync::watch;

/// A program whose configuration is faulty or not.
struct Program {
    faulty: watch::Receiver<bool>,
}

#[async_trait]
impl Administration for Program {
    fn accounts(&self) -> Vec<AccountAnswer> {
        vec![AccountAnswer {
            address: Address::repeat_byte(7),
            signer: "commitments".to_owned(),
            role: AccountRole::Commitments,
            state: AccountState::Draining,
            queued: 0,
            in_flight: 2,
            awaiting_settlement: 5,
        }]
    }

    async fn reload(&self) -> Result<ReloadAnswer, FaultyConfiguration> {
        if *self.faulty.borrow() {
            return Err(FaultyConfiguration("my.toml: `txmgr.max_fee` is wrong".to_owned()));
        }
        Ok(ReloadAnswer {
            in_force: vec!["txmgr.max_fee".to_owned()],
            ..ReloadAnswer::default()
        })
    }

    async fn dismiss_conflict(&self, batch_id: BatchId) -> bool {
        batch_id.to_b256() == B256::repeat_byte(1)
    }
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct Listener {
    server: AdminServer,
    secret: AdminSecret,
    faulty: watch::Sender<bool>,
    dir: tempfile::TempDir,
}

impl Listener {
    async fn start() -> Self {
        set_chain::install_tls();
        let dir = tempfile::tempdir().unwrap();
        let secret = AdminSecret::read_or_create(&dir.path().join("jwt")).unwrap();
        let faulty = watch::Sender::new(false);
        let program = Arc::new(Program {
            faulty: faulty.subscribe(),
        });
        let server = AdminServer::start(LOOPBACK, secret.clone(), program).await.unwrap();
        Self {
            server,
            secret,
            faulty,
            dir,
        }
    }

    /// The status and the body of a call with this `Authorization` header.
    async fn post(&self, authorization: Option<String>, method: &str, params: Value) -> (u16, String) {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = reqwest::Client::new()
            .post(format!("http://{}", self.server.address()))
            .header("content-type", "application/json")
            .body(body.to_string());
        let request = authorization
            .into_iter()
            .fold(request, |request, value| request.header("authorization", value));
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The answer to a call with a good token.
    async fn call(&self, method: &str, params: Value) -> Value {
        let (status, body) = self.post(Some(bearer(&self.secret, now())), method, params).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn bearer(secret: &AdminSecret, issued: u64) -> String {
    format!("Bearer {}", secret.token(issued).unwrap())
}

#[tokio::test]
async fn nobody_asks_without_a_fresh_token_of_the_same_secret() {
    let listener = Listener::start().await;
    let other = AdminSecret::read_or_create(&listener.dir.path().join("other")).unwrap();
    for (authorization, reason) in [
        (None, "there is no token"),
        (Some("Bearer nonsense".to_owned()), "no HS256 JWT"),
        (Some(bearer(&other, now())), "another secret"),
        (Some(bearer(&listener.secret, now() - 120)), "60 s"),
        (Some(bearer(&listener.secret, now() + 120)), "60 s"),
    ] {
        let (status, body) = listener.post(authorization, "admin_accounts", json!([])).await;
        assert_eq!(status, 401, "{body}");
        assert!(body.contains(reason), "{body} does not say {reason}");
    }
    let answer = listener.call("admin_accounts", json!([])).await;
    assert_eq!(answer["result"][0]["state"], "draining", "{answer}");
    listener.server.stop().await;
}

#[tokio::test]
async fn the_methods_reach_the_program_and_say_what_is_wrong() {
    let listener = Listener::start().await;
    let reloaded = listener.call("admin_reload", json!([])).await;
    assert_eq!(reloaded["result"]["inForce"], json!(["txmgr.max_fee"]), "{reloaded}");
    listener.faulty.send_replace(true);
    let refused = listener.call("admin_reload", json!([])).await;
    assert_eq!(refused["error"]["code"], -39_011, "{refused}");
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("my.toml"),
        "{refused}"
    );

    for (batch, known) in [(1, true), (2, false)] {
        let answer = listener
            .call("admin_dismissConflict", json!([B256::repeat_byte(batch)]))
            .await;
        assert_eq!(answer["result"], known, "{answer}");
    }
    let unknown = listener.call("set_status", json!([])).await;
    assert_eq!(unknown["error"]["code"], -32_601, "{unknown}");
    assert!(
        unknown["error"]["message"].as_str().unwrap().contains("admin_reload"),
        "{unknown}"
    );
    listener.server.stop().await;
}

#[tokio::test]
async fn it_listens_for_this_machine_only() {
    let listener = Listener::start().await;
    let program = Arc::new(Program {
        faulty: listener.faulty.subscribe(),
    });
    let everywhere = ([0, 0, 0, 0], 0).into();
    let refused = AdminServer::start(everywhere, listener.secret.clone(), program).await;
    assert!(matches!(refused, Err(StartError::Public(address)) if address == everywhere));
    listener.server.stop().await;
}
