//! Identifiers: UUIDs off-chain, bytes32 on-chain.

use std::{borrow::Cow, fmt, str::FromStr};

use alloy_primitives::{B256, hex};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A text that is neither a UUID nor 32 bytes of hex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a UUID nor 0x followed by 64 hex digits")]
pub struct IdError(String);

/// Parses UUID text (with or without hyphens) or `0x` and 64 hex digits.
fn parse(text: &str) -> Result<B256, IdError> {
    let refuse = || IdError(text.chars().take(80).collect());
    if let Some(digits) = text.strip_prefix("0x") {
        let mut word = B256::ZERO;
        hex::decode_to_slice(digits, word.as_mut_slice()).map_err(|_| refuse())?;
        return Ok(word);
    }
    Uuid::parse_str(text).map(widen).map_err(|_| refuse())
}

/// A UUID on chain: its 16 bytes first, then zeros (the public registry's convention).
fn widen(uuid: Uuid) -> B256 {
    let mut word = B256::ZERO;
    word[..16].copy_from_slice(uuid.as_bytes());
    word
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Held as the contract's bytes32; UUIDs are its first 16 bytes, zeros after. Reads either
        /// form from text and prints UUID text wherever the value is a UUID.
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(B256);

        impl $name {
            /// The id as the contract sees it.
            pub const fn to_b256(self) -> B256 {
                self.0
            }

            /// The UUID, or `None` where the last 16 bytes are not zero.
            pub fn to_uuid(self) -> Option<Uuid> {
                let (head, tail) = self.0.split_at(16);
                if tail.iter().any(|byte| *byte != 0) {
                    return None;
                }
                Uuid::from_slice(head).ok()
            }

            /// Whether every byte is zero; the registry refuses such an id.
            pub fn is_zero(self) -> bool {
                self.0.is_zero()
            }
        }

        impl From<B256> for $name {
            fn from(word: B256) -> Self {
                Self(word)
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(widen(uuid))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.to_uuid() {
                    Some(uuid) => uuid.fmt(f),
                    None => self.0.fmt(f),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": "UUID text, or 0x followed by 64 hex digits",
                })
            }
        }
    };
}

id! {
    /// Names one commitment.
    BatchId
}
id! {
    /// Names a tenant of the sequencer.
    TenantId
}
id! {
    /// Names one store of a tenant.
    StoreId
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uuid_is_the_first_half_of_the_word() {
        let id: BatchId = "09dc526a-e203-4f7d-8295-f1f492512707".parse().unwrap();
        let word = "0x09dc526ae2034f7d8295f1f49251270700000000000000000000000000000000";
        assert_eq!(id.to_b256().to_string(), word);
        assert_eq!(word.parse::<BatchId>().unwrap(), id);
        assert_eq!(id.to_string(), "09dc526a-e203-4f7d-8295-f1f492512707");
    }

    #[test]
    fn a_word_that_is_no_uuid_stays_hex() {
        let word = B256::repeat_byte(7);
        assert_eq!(BatchId::from(word).to_uuid(), None);
        assert_eq!(BatchId::from(word).to_string(), word.to_string());
    }

    #[test]
    fn anything_else_is_refused_with_its_text() {
        for text in ["", "0x", "0x12", "tenant-1", &"0x1".repeat(40)] {
            let error = text.parse::<TenantId>().unwrap_err().to_string();
            assert!(error.contains("neither a UUID"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn text_and_json_round_trip(bytes: [u8; 32], uuid: bool) {
            let mut word = B256::from(bytes);
            if uuid {
                word[16..].fill(0);
            }
            let id = StoreId::from(word);
            prop_assert_eq!(id.to_string().parse::<StoreId>().unwrap(), id);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<StoreId>(&json).unwrap(), id);
        }
    }
}
