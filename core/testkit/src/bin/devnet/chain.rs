//! The chain that a devnet runs on.

use std::sync::Arc;

use eyre::Result;
use serde_json::{Value, json};
use set_chain::L2Provider;
use set_testkit::{Anvil, OpStack, Rpc, op_stack::Part};
use url::Url;

/// A chain that runs; it ends when this is dropped.
pub(crate) enum Chain {
    Anvil(Anvil),
    OpStack(Arc<OpStack>),
}

impl Chain {
    pub(crate) fn provider(&self) -> &L2Provider {
        match self {
            Self::Anvil(anvil) => anvil.provider(),
            Self::OpStack(stack) => stack.provider(),
        }
    }

    pub(crate) fn url(&self) -> &Url {
        match self {
            Self::Anvil(anvil) => anvil.url(),
            Self::OpStack(stack) => stack.rpc_url(),
        }
    }

    /// What else of it there is to talk to.
    pub(crate) fn endpoints(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Anvil(_) => vec![],
            Self::OpStack(stack) => vec![
                ("op-node", stack.node_url().to_string()),
                ("L1 (eth_*)", stack.l1.url().to_string()),
                ("OptimismPortal", format!("{} on L1", stack.contracts.portal)),
                (
                    "DisputeGameFactory",
                    format!("{} on L1", stack.contracts.dispute_game_factory),
                ),
            ],
        }
    }

    /// How far the chain itself says that its blocks are settled; `None` where it settles nowhere.
    pub(crate) async fn settled(&self) -> Result<Option<SettledHeads>> {
        let Self::OpStack(stack) = self else {
            return Ok(None);
        };
        let node = Rpc::new(stack.node_url().clone());
        let status = node.call("optimism_syncStatus", json!([])).await?;
        let height = |block: &str| status[block]["number"].as_u64().unwrap_or_default();
        Ok(Some(SettledHeads {
            safe: height("safe_l2"),
            finalized: height("finalized_l2"),
        }))
    }

    /// Why the chain cannot go on, where one of its programs ended.
    pub(crate) fn ended(&self) -> Option<String> {
        let Self::OpStack(stack) = self else {
            return None;
        };
        stack.parts().find_map(|part| {
            let status = part.process().ended()?;
            Some(format!("{} ended ({status})", part.name()))
        })
    }

    /// What its programs logged, by their names.
    pub(crate) fn logs(&self) -> Vec<(&'static str, Vec<String>)> {
        match self {
            Self::Anvil(_) => vec![],
            Self::OpStack(stack) => {
                let log = |part: &Part| (part.name(), part.process().lines());
                stack.parts().map(log).collect()
            }
        }
    }
}

/// The newest settled blocks, as op-node names them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettledHeads {
    pub(crate) safe: u64,
    pub(crate) finalized: u64,
}

/// A number in an answer's hex.
pub(crate) fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}
