//! What the proxy does to which calls.

use std::{fmt, sync::Arc, time::Duration};

use alloy_primitives::{Bytes, keccak256};
use serde_json::Value;

use super::gate::Gate;

/// What happens to a call.
#[derive(Clone)]
#[non_exhaustive]
pub enum Action {
    /// The connection closes; the node never sees the call.
    Drop,
    /// The node gets the call and acts on it; then the connection closes without an answer. For a
    /// transaction that is sent, the *ambiguous* case.
    Lose,
    /// The answer comes so much later. Longer than the caller waits, it is the ambiguous case too.
    Delay(Duration),
    /// The node gets the call once the gate is open, and never if the caller goes away before.
    Hold(Gate),
    /// An HTTP status with an empty body; the node never sees the call.
    Status(u16),
    /// A JSON-RPC error; the node never sees the call.
    Error {
        /// Such as -32000.
        code: i64,
        /// What a node would write.
        message: String,
    },
    /// A lie: this result; the node never sees the call.
    Answer(Value),
    /// A lie that depends on the parameters; the node never sees the call.
    Reply(Arc<dyn Fn(&Value) -> Value + Send + Sync>),
    /// The node is asked something else: the parameters are changed on the way.
    Ask(Arc<dyn Fn(&mut Value) + Send + Sync>),
    /// The node seems to have got only as far as this block.
    Behind(u64),
}

impl Action {
    /// The error of most nodes: code -32000 and a message.
    pub fn error(message: impl Into<String>) -> Self {
        Self::Error {
            code: -32000,
            message: message.into(),
        }
    }

    /// Whether the node never sees the call though the connection stays.
    pub(super) const fn answers_itself(&self) -> bool {
        matches!(self, Self::Error { .. } | Self::Answer(_) | Self::Reply(_))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop => f.write_str("Drop"),
            Self::Lose => f.write_str("Lose"),
            Self::Delay(pause) => f.debug_tuple("Delay").field(pause).finish(),
            Self::Hold(gate) => f.debug_tuple("Hold").field(gate).finish(),
            Self::Status(status) => f.debug_tuple("Status").field(status).finish(),
            Self::Error { code, message } => f
                .debug_struct("Error")
                .field("code", code)
                .field("message", message)
                .finish(),
            Self::Answer(result) => f.debug_tuple("Answer").field(result).finish(),
            Self::Reply(_) => f.write_str("Reply"),
            Self::Ask(_) => f.write_str("Ask"),
            Self::Behind(block) => f.debug_tuple("Behind").field(block).finish(),
        }
    }
}

/// Which parameters a rule is for.
#[derive(Clone)]
struct Condition(Arc<dyn Fn(&Value) -> bool + Send + Sync>);

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condition")
    }
}

/// Does something to the calls that it fits.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Empty: every method.
    methods: Vec<String>,
    conditions: Vec<Condition>,
    left: Option<u32>,
    action: Action,
}

impl Rule {
    /// For every call, until [`RpcProxy::heal`](crate::RpcProxy::heal).
    pub const fn every(action: Action) -> Self {
        Self {
            methods: vec![],
            conditions: vec![],
            left: None,
            action,
        }
    }

    /// For the calls of some methods.
    pub fn on<M: Into<String>>(methods: impl IntoIterator<Item = M>, action: Action) -> Self {
        Self {
            methods: methods.into_iter().map(Into::into).collect(),
            ..Self::every(action)
        }
    }

    /// For transactions on their way to the pool.
    pub fn on_send(action: Action) -> Self {
        Self::on(["eth_sendRawTransaction"], action)
    }

    /// For questions for the block with a tag (`latest`, `safe`, `finalized`).
    pub fn on_tag(tag: &str, action: Action) -> Self {
        let tag = tag.to_owned();
        Self::on(["eth_getBlockByNumber"], action).when(move |params| params[0] == *tag)
    }

    /// Answers for a block tag (`safe`, `finalized`) with block `number`, so that a test decides how
    /// far L1 has settled the chain.
    pub fn pin(tag: &str, number: u64) -> Self {
        let block = quantity(number);
        Self::on_tag(
            tag,
            Action::Ask(Arc::new(move |params| {
                if let Some(first) = params.get_mut(0) {
                    *first = block.clone();
                }
            })),
        )
    }

    /// A node that is stuck at a block: later ones, what they hold, and the state after them are unknown
    /// to it. Transactions still pass, as a node passes them on to its peers.
    pub const fn behind(block: u64) -> Self {
        Self::every(Action::Behind(block))
    }

    /// Refuses logs of more than so many blocks at once, as many providers do.
    pub fn log_range(most: u64) -> Self {
        let refusal = Action::Error {
            code: -32005,
            message: format!("block range is too large, at most {most} blocks are allowed"),
        };
        Self::on(["eth_getLogs"], refusal).when(move |params| {
            let bounds = [&params[0]["fromBlock"], &params[0]["toBlock"]].map(number);
            matches!(bounds, [Some(from), Some(to)] if to.saturating_sub(from) >= most)
        })
    }

    /// Refuses logs that begin before a block, as a node does that has pruned its history.
    pub fn pruned_logs(before: u64) -> Self {
        let refusal = Action::Error {
            code: 4444,
            message: "pruned history unavailable".into(),
        };
        Self::on(["eth_getLogs"], refusal)
            .when(move |params| number(&params[0]["fromBlock"]).is_some_and(|from| from < before))
    }

    /// For read-only calls of contracts' functions with one of these selectors.
    pub fn on_functions(selectors: impl IntoIterator<Item = [u8; 4]>, action: Action) -> Self {
        let selectors: Vec<_> = selectors.into_iter().collect();
        Self::on(["eth_call"], action).when(move |params| {
            let input = params[0].get("input").or_else(|| params[0].get("data"));
            let input = input.and_then(bytes).unwrap_or_default();
            selectors.iter().any(|selector| input.starts_with(selector))
        })
    }

    /// Keeps signed transactions of more than so many bytes from the pool while it says that it took
    /// them: a block builder that passes over what is large.
    pub fn swallow(larger_than: usize) -> Self {
        let hash = |params: &Value| {
            let raw = bytes(&params[0]).unwrap_or_default();
            keccak256(&raw).to_string().into()
        };
        Self::on_send(Action::Reply(Arc::new(hash)))
            .when(move |params| bytes(&params[0]).is_some_and(|raw| raw.len() > larger_than))
    }

    /// Only for calls with such parameters.
    #[must_use]
    pub fn when(mut self, fits: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Condition(Arc::new(fits)));
        self
    }

    /// Only for the next `count` calls that it fits.
    #[must_use]
    pub const fn times(mut self, count: u32) -> Self {
        self.left = Some(count);
        self
    }

    pub(super) fn fits(&self, method: &str, params: &Value) -> bool {
        let method_fits = self.methods.is_empty() || self.methods.iter().any(|name| name == method);
        method_fits && self.left != Some(0) && self.conditions.iter().all(|condition| (condition.0)(params))
    }

    /// The action, and whether the rule has done its work.
    pub(super) fn apply(&mut self) -> (Action, bool) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        (self.action.clone(), self.left == Some(0))
    }
}

/// A number as JSON-RPC writes it.
pub(super) fn quantity(number: u64) -> Value {
    format!("{number:#x}").into()
}

/// A number that JSON-RPC wrote.
pub(super) fn number(quantity: &Value) -> Option<u64> {
    u64::from_str_radix(quantity.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn bytes(hex: &Value) -> Option<Bytes> {
    hex.as_str()?.parse().ok()
}
