//! A node that has not got as far as the real one.

use serde_json::Value;

use super::rule::{number, quantity};

/// Tags of blocks that a node which is behind takes for an earlier block.
const TAGS: [&str; 2] = ["latest", "pending"];

/// Asks for the state and the blocks up to `block` only.
pub(super) fn ask(method: &str, params: &mut Value, block: u64) {
    let Some(params) = params.as_array_mut() else { return };
    for param in params {
        if param.as_str().is_some_and(|tag| TAGS.contains(&tag)) {
            *param = quantity(block);
        }
        if method == "eth_getLogs" && number(&param["toBlock"]).is_none_or(|to| to > block) {
            param["toBlock"] = quantity(block);
        }
    }
}

/// Hides what lies in later blocks.
pub(super) fn answer(method: &str, answer: &mut Value, block: u64) {
    let Some(result) = answer.get_mut("result") else {
        return;
    };
    if method == "eth_blockNumber" {
        *result = quantity(block);
    }
    let place = match method {
        "eth_getBlockByNumber" | "eth_getBlockByHash" => &result["number"],
        "eth_getTransactionReceipt" | "eth_getTransactionByHash" => &result["blockNumber"],
        _ => return,
    };
    if number(place).is_some_and(|place| place > block) {
        *result = Value::Null;
    }
}
