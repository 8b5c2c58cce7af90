//! What the proxy does to which calls.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

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
    /// The node is asked something else: the parameters are changed on the way.
    Ask(Arc<dyn Fn(&mut Value) + Send + Sync>),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop => f.write_str("Drop"),
            Self::Lose => f.write_str("Lose"),
            Self::Delay(pause) => f.debug_tuple("Delay").field(pause).finish(),
            Self::Status(status) => f.debug_tuple("Status").field(status).finish(),
            Self::Error { code, message } => f
                .debug_struct("Error")
                .field("code", code)
                .field("message", message)
                .finish(),
            Self::Answer(result) => f.debug_tuple("Answer").field(result).finish(),
            Self::Ask(_) => f.write_str("Ask"),
        }
    }
}

/// Does something to the calls that it fits.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Empty: every method.
    methods: Vec<String>,
    first_param: Option<Value>,
    left: Option<u32>,
    action: Action,
}

impl Rule {
    /// For every call, until [`RpcProxy::heal`](crate::RpcProxy::heal).
    pub const fn every(action: Action) -> Self {
        Self {
            methods: vec![],
            first_param: None,
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

    /// Answers for a block tag (`safe`, `finalized`) with block `number`, so that a test decides how
    /// far L1 has settled the chain.
    pub fn pin(tag: &str, number: u64) -> Self {
        let block = Value::from(format!("{number:#x}"));
        let ask = Action::Ask(Arc::new(move |params| {
            if let Some(first) = params.get_mut(0) {
                *first = block.clone();
            }
        }));
        Self {
            first_param: Some(tag.into()),
            ..Self::on(["eth_getBlockByNumber"], ask)
        }
    }

    /// Only for the next `count` calls that it fits.
    #[must_use]
    pub const fn times(mut self, count: u32) -> Self {
        self.left = Some(count);
        self
    }

    pub(super) fn fits(&self, method: &str, params: &Value) -> bool {
        let method_fits = self.methods.is_empty() || self.methods.iter().any(|name| name == method);
        method_fits
            && self.left != Some(0)
            && self
                .first_param
                .as_ref()
                .is_none_or(|wanted| params.get(0) == Some(wanted))
    }

    /// The action, and whether the rule has done its work.
    pub(super) fn apply(&mut self) -> (Action, bool) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        (self.action.clone(), self.left == Some(0))
    }
}
