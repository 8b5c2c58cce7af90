//! Which calls a submitter may propose (plugins propose, the core disposes).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use set_types::{
    CandidateCall,
    alloy_primitives::{Address, U256, keccak256},
};

/// Calls of one contract that a plugin may propose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowedCall {
    /// The contract.
    pub to: Address,
    /// Its functions.
    pub selectors: Vec<Selector>,
    /// The most wei that one call may carry; a decimal or hex string.
    #[serde(default)]
    pub max_value: U256,
}

/// A function's selector: written as `0x` and 8 hex digits, or as a signature such as
/// `commitBatch(bytes32,bytes32)`, of which it is the hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Selector {
    bytes: [u8; 4],
    text: String,
}

impl Selector {
    /// The four bytes that begin the calldata.
    pub const fn bytes(&self) -> [u8; 4] {
        self.bytes
    }
}

impl From<[u8; 4]> for Selector {
    fn from(bytes: [u8; 4]) -> Self {
        Self {
            bytes,
            text: format!("0x{}", hex::encode(bytes)),
        }
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is neither 0x and 8 hex digits nor a signature such as `pause()`");
        let mut bytes = [0; 4];
        if let Some(digits) = text.strip_prefix("0x") {
            hex::decode_to_slice(digits, &mut bytes).map_err(|_| refuse())?;
        } else {
            let (name, rest) = text.split_once('(').ok_or_else(refuse)?;
            let blank = text.chars().any(|c| c.is_whitespace() || !c.is_ascii());
            if name.is_empty() || !rest.ends_with(')') || blank {
                return Err(refuse());
            }
            bytes.copy_from_slice(&keccak256(text)[..4]);
        }
        Ok(Self {
            bytes,
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Selector> for String {
    fn from(selector: Selector) -> Self {
        selector.text
    }
}

/// A proposed call that the operator did not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin `{plugin}` may not call {to}: {reason}")]
pub struct NotAllowed {
    /// The plugin that proposed it.
    pub plugin: String,
    /// The contract.
    pub to: Address,
    /// What is not allowed about it.
    pub reason: NotAllowedReason,
}

/// What is not allowed about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAllowedReason {
    /// The contract is on no list.
    Contract,
    /// The contract is, the function is not.
    Function([u8; 4]),
    /// The calldata is too short to name a function.
    NoFunction,
    /// It carries more wei than allowed.
    Value {
        /// Wei that it carries.
        value: U256,
        /// Wei that it may carry.
        most: U256,
    },
}

impl fmt::Display for NotAllowedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contract => write!(f, "its `allow.calls` does not name this contract"),
            Self::Function(selector) => {
                write!(
                    f,
                    "its `allow.calls` does not name the selector 0x{}",
                    hex::encode(selector)
                )
            }
            Self::NoFunction => write!(f, "the calldata is shorter than a selector"),
            Self::Value { value, most } => {
                write!(
                    f,
                    "the call carries {value} wei, and `max_value` in its `allow.calls` is {most}"
                )
            }
        }
    }
}

/// Checks one call against a plugin's list.
pub(crate) fn check(plugin: &str, list: &[AllowedCall], call: &CandidateCall) -> Result<(), NotAllowed> {
    let refuse = |reason| {
        Err(NotAllowed {
            plugin: plugin.to_owned(),
            to: call.to,
            reason,
        })
    };
    let Some(selector) = call.data.first_chunk::<4>() else {
        return refuse(NotAllowedReason::NoFunction);
    };
    let mut reason = NotAllowedReason::Contract;
    // Several entries may name one contract, with a limit of value for each group of functions.
    for entry in list.iter().filter(|entry| entry.to == call.to) {
        if !entry.selectors.iter().any(|allowed| allowed.bytes == *selector) {
            if reason == NotAllowedReason::Contract {
                reason = NotAllowedReason::Function(*selector);
            }
        } else if call.value > entry.max_value {
            reason = NotAllowedReason::Value {
                value: call.value,
                most: entry.max_value,
            };
        } else {
            return Ok(());
        }
    }
    refuse(reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use set_types::alloy_primitives::Bytes;

    use super::*;

    fn call(to: u8, data: &[u8], value: u64) -> CandidateCall {
        CandidateCall {
            to: Address::repeat_byte(to),
            data: Bytes::copy_from_slice(data),
            value: U256::from(value),
            gas_limit: 1,
            batches: vec![],
        }
    }

    fn list() -> Vec<AllowedCall> {
        let entry = |to: u8, selectors: &[&str], value: u64| AllowedCall {
            to: Address::repeat_byte(to),
            selectors: selectors.iter().map(|text| text.parse().unwrap()).collect(),
            max_value: U256::from(value),
        };
        vec![entry(1, &["pause()"], 0), entry(1, &["0x01020304"], 10)]
    }

    #[test]
    fn a_signature_stands_for_its_selector() {
        // keccak256("transfer(address,uint256)") begins with these, as every ERC-20 shows.
        assert_eq!(
            "transfer(address,uint256)".parse::<Selector>().unwrap().bytes(),
            [0xa9, 0x05, 0x9c, 0xbb]
        );
        for text in [
            "",
            "0x1234",
            "transfer",
            "transfer(address, uint256)",
            "(address)",
            "f(",
            "0x1234567g",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_add() {
        let refused = |call| check("registry", &list(), &call).unwrap_err().to_string();
        assert!(check("registry", &list(), &call(1, &[1, 2, 3, 4, 5], 10)).is_ok());
        assert!(refused(call(2, &[1, 2, 3, 4], 0)).contains("does not name this contract"));
        assert!(refused(call(1, &[9, 9, 9, 9], 0)).contains("0x09090909"));
        assert!(refused(call(1, &[1, 2, 3], 0)).contains("shorter than a selector"));
        assert!(refused(call(1, &[1, 2, 3, 4], 11)).contains("11 wei"));
    }

    proptest! {
        #[test]
        fn nothing_passes_but_what_is_listed(to in 0u8..3, data in prop::collection::vec(0u8..6, 0..6), value in 0u64..20) {
            let pause = "pause()".parse::<Selector>().unwrap().bytes();
            let expected = to == 1
                && (data.starts_with(&[1, 2, 3, 4]) && value <= 10 || data.starts_with(&pause) && value == 0);
            prop_assert_eq!(check("registry", &list(), &call(to, &data, value)).is_ok(), expected);
        }
    }
}
