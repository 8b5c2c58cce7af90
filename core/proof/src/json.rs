//! Reading proofs that somebody else wrote: one form is accepted, and no other.

use alloy_primitives::Bytes;
use serde::Deserialize;
use serde_json::Value;
use set_types::BatchId;

use crate::{AccountProof, DataContract, FormatVersion, GameClaim, Inclusion, OutputRoot, Record, SettlementProof};

/// Why a text is no settlement proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// No JSON, an unknown, repeated or missing key, or a value of another kind.
    #[error("this is no settlement proof: {0}")]
    Json(#[from] serde_json::Error),
    /// A value is written in another way than the one that counts.
    #[error("`{key}` is not in canonical form: it is {found}, and has to be {expected}")]
    NotCanonical {
        /// Where, such as `registry.storageProof.0.value`.
        key: String,
        /// As it is written.
        found: String,
        /// As it has to be written.
        expected: String,
    },
}

/// A proof as it is written: [`SettlementProof`] before its form has been checked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    version: FormatVersion,
    #[serde(with = "quantity")]
    chain_id: u64,
    batch_id: BatchId,
    inclusion: Option<Inclusion>,
    record: Record,
    data_contract: Option<DataContract>,
    registry: AccountProof,
    header: Bytes,
    output_root: OutputRoot,
    claim: Option<GameClaim>,
}

impl SettlementProof {
    /// Reads a proof from JSON.
    ///
    /// The types refuse unknown, repeated and missing keys; then the proof is written again, and every value has to
    /// come out as it came in, so that no value has a second form.
    ///
    /// # Errors
    /// [`FormatError`]. It names the key.
    pub fn from_json(text: &str) -> Result<Self, FormatError> {
        let written: Written = serde_json::from_str(text)?;
        let proof = Self {
            version: written.version,
            chain_id: written.chain_id,
            batch_id: written.batch_id,
            inclusion: written.inclusion,
            record: written.record,
            data_contract: written.data_contract,
            registry: written.registry,
            header: written.header,
            output_root: written.output_root,
            claim: written.claim,
        };
        let (found, expected) = (serde_json::from_str(text)?, serde_json::to_value(&proof)?);
        match difference(Some(&found), Some(&expected), &mut vec![]) {
            Some(difference) => Err(difference),
            None => Ok(proof),
        }
    }
}

/// The first place where two documents differ; `None` stands for a key that is not there.
fn difference(found: Option<&Value>, expected: Option<&Value>, path: &mut Vec<String>) -> Option<FormatError> {
    let mut below = |key: &str, found: Option<&Value>, expected: Option<&Value>| {
        path.push(key.to_owned());
        let difference = difference(found, expected, path);
        path.pop();
        difference
    };
    match (found, expected) {
        (Some(Value::Object(found)), Some(Value::Object(expected))) => {
            let superfluous = found.keys().filter(|key| !expected.contains_key(*key));
            let mut keys = expected.keys().chain(superfluous);
            keys.find_map(|key| below(key, found.get(key), expected.get(key)))
        }
        (Some(Value::Array(found)), Some(Value::Array(expected))) if found.len() == expected.len() => {
            let mut pairs = found.iter().zip(expected).enumerate();
            pairs.find_map(|(index, (found, expected))| below(&index.to_string(), Some(found), Some(expected)))
        }
        _ if found == expected => None,
        _ => Some(FormatError::NotCanonical {
            key: path.join("."),
            found: shown(found),
            expected: shown(expected),
        }),
    }
}

/// A value for a message: code and headers are long.
fn shown(value: Option<&Value>) -> String {
    const LENGTH: usize = 80;
    let Some(value) = value else {
        return "left out".to_owned();
    };
    let text = value.to_string();
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Numbers as hex quantities. Reading is generous: what is written otherwise is found by writing it again.
pub(crate) mod quantity {
    use alloy_primitives::U64;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T, S>(number: &T, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Copy + Into<u64>,
        S: Serializer,
    {
        serializer.collect_str(&format_args!("{:#x}", (*number).into()))
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: TryFrom<u64>,
        D: Deserializer<'de>,
    {
        let number = U64::deserialize(deserializer)?.to::<u64>();
        T::try_from(number).map_err(|_| D::Error::custom(format!("{number:#x} is too large here")))
    }
}
