//! A JSON-RPC proxy in front of a node that can break what passes through it.
//!
//! HTTP only, single calls and batches. What happens to a call is decided by [`Rule`]s that a test
//! adds and removes while it runs; a call that no rule fits passes unchanged.

mod behind;
mod gate;
mod rule;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

pub use self::{
    gate::Gate,
    rule::{Action, Rule},
};
use crate::{
    ReservedPort,
    serve::{HangUp, Server, http_url},
};

/// A running proxy. Ends when dropped.
#[derive(Debug)]
pub struct RpcProxy {
    address: SocketAddr,
    /// Held while it is down too, so that it can come back.
    port: ReservedPort,
    server: Option<Server>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node: Url,
    client: reqwest::Client,
    rules: Mutex<Rules>,
    /// Announces that calls came.
    called: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Rules {
    active: Vec<Rule>,
    calls: BTreeMap<String, u64>,
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RpcProxy {
    /// Starts a proxy in front of `node` on any free port.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start(node: Url) -> io::Result<Self> {
        crate::init();
        let shared = Arc::new(Shared {
            node,
            client: reqwest::Client::new(),
            rules: Mutex::default(),
            called: watch::Sender::new(()),
        });
        let port = ReservedPort::any()?;
        let server = Server::start(port.number(), router(&shared)).await?;
        Ok(Self {
            address: server.address(),
            port,
            server: Some(server),
            shared,
        })
    }

    /// Where to call it.
    pub fn url(&self) -> Url {
        http_url(self.address)
    }

    /// Adds a rule. The first rule that fits a call decides about it.
    pub fn inject(&self, rule: Rule) {
        self.shared.rules().active.push(rule);
    }

    /// Removes all rules.
    pub fn heal(&self) {
        self.replace([]);
    }

    /// Puts these rules in place of all others, at once.
    pub fn replace(&self, rules: impl IntoIterator<Item = Rule>) {
        self.shared.rules().active = rules.into_iter().collect();
    }

    /// How often a method was called, whatever became of the calls.
    pub fn calls(&self, method: &str) -> u64 {
        self.shared.rules().calls.get(method).copied().unwrap_or_default()
    }

    /// Waits until a method was called so often, in all.
    ///
    /// # Panics
    /// If that takes longer than `deadline`.
    pub async fn called(&self, method: &str, times: u64, deadline: Duration) {
        let mut called = self.shared.called.subscribe();
        let enough = called.wait_for(|()| self.calls(method) >= times);
        let in_time = tokio::time::timeout(deadline, enough).await.is_ok();
        assert!(in_time, "{method} was called {} of {times} times", self.calls(method));
    }

    /// Closes the port and all connections, as a node that died.
    pub async fn go_down(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Listens again, on the same port.
    ///
    /// # Errors
    /// Whatever keeps the port from being listened on.
    pub async fn come_back(&mut self) -> io::Result<()> {
        if self.server.is_none() {
            self.server = Some(Server::start(self.port.number(), router(&self.shared)).await?);
        }
        Ok(())
    }
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new().route("/", post(relay)).with_state(Arc::clone(shared))
}

/// One HTTP request: a call or a batch of calls.
async fn relay(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(Value::Array(calls)) => relay_calls(&shared, calls, true).await,
        Ok(call) => relay_calls(&shared, vec![call], false).await,
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn relay_calls(shared: &Shared, mut calls: Vec<Value>, batch: bool) -> Response {
    let actions: Vec<Option<Action>> = {
        let mut rules = shared.rules();
        calls.iter().map(|call| rules.decide(call)).collect()
    };
    shared.called.send_replace(());
    let any = |wanted: fn(&Action) -> bool| actions.iter().flatten().find(|action| wanted(action));
    // A batch shares one connection and one status: what breaks those breaks the whole batch.
    if any(|action| matches!(action, Action::Drop)).is_some() {
        return HangUp::response();
    }
    if let Some(Action::Status(status)) = any(|action| matches!(action, Action::Status(_))) {
        return StatusCode::from_u16(*status)
            .unwrap_or(StatusCode::BAD_GATEWAY)
            .into_response();
    }
    for (call, action) in calls.iter_mut().zip(&actions) {
        match action {
            Some(Action::Ask(change)) => call.get_mut("params").into_iter().for_each(|params| change(params)),
            Some(Action::Behind(block)) => {
                let method = method(call).to_owned();
                behind::ask(&method, &mut call["params"], *block);
            }
            Some(Action::Hold(gate)) => gate.pass().await,
            _ => {}
        }
    }
    let passed: Vec<&Value> = calls
        .iter()
        .zip(&actions)
        .filter(|(_, action)| !action.as_ref().is_some_and(Action::answers_itself))
        .map(|(call, _)| call)
        .collect();
    let mut answers = match forward(shared, &passed).await {
        Ok(answers) => answers,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    if any(|action| matches!(action, Action::Lose)).is_some() {
        return HangUp::response();
    }
    for action in actions.iter().flatten() {
        if let Action::Delay(pause) = action {
            tokio::time::sleep(*pause).await;
        }
    }
    let answers: Vec<Value> = calls
        .iter()
        .zip(&actions)
        .filter_map(|(call, action)| answer(call, action.as_ref(), &mut answers))
        .collect();
    let answer = if batch {
        Value::Array(answers)
    } else {
        answers.into_iter().next().unwrap_or_default()
    };
    ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

/// The node's answers by call id. One request, whatever the number of calls.
async fn forward(shared: &Shared, calls: &[&Value]) -> Result<BTreeMap<String, Value>, reqwest::Error> {
    let request = match calls {
        [] => return Ok(BTreeMap::new()),
        [call] => json!(call),
        calls => json!(calls),
    };
    let answer: Value = shared
        .client
        .post(shared.node.clone())
        .json(&request)
        .send()
        .await?
        .json()
        .await?;
    let answers = match answer {
        Value::Array(answers) => answers,
        answer => vec![answer],
    };
    Ok(answers
        .into_iter()
        .map(|answer| (answer["id"].to_string(), answer))
        .collect())
}

/// What the caller gets for one call; nothing for a notification.
fn answer(call: &Value, action: Option<&Action>, answers: &mut BTreeMap<String, Value>) -> Option<Value> {
    let id = call.get("id")?;
    match action {
        Some(Action::Error { code, message }) => Some(json!({
            "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message },
        })),
        Some(Action::Answer(result)) => Some(json!({ "jsonrpc": "2.0", "id": id, "result": result })),
        Some(Action::Reply(reply)) => Some(json!({ "jsonrpc": "2.0", "id": id, "result": reply(&call["params"]) })),
        Some(Action::Behind(block)) => {
            let mut answer = answers.remove(&id.to_string())?;
            behind::answer(method(call), &mut answer, *block);
            Some(answer)
        }
        _ => answers.remove(&id.to_string()),
    }
}

fn method(call: &Value) -> &str {
    call["method"].as_str().unwrap_or_default()
}

impl Rules {
    /// Counts the call and uses up the first rule that fits it.
    fn decide(&mut self, call: &Value) -> Option<Action> {
        let method = method(call);
        *self.calls.entry(method.to_owned()).or_default() += 1;
        let position = self.active.iter().position(|rule| rule.fits(method, &call["params"]))?;
        let (action, used_up) = self.active[position].apply();
        if used_up {
            self.active.remove(position);
        }
        Some(action)
    }
}
