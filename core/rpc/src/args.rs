//! Reading a call's parameters: by position or by name, each error with the parameter's name.

use std::{collections::VecDeque, fmt};

use jsonrpsee::types::Params;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use crate::{error::RpcError, method::Param};

/// A call's parameters, in the order in which its method names them.
#[derive(Debug)]
pub(crate) struct Args {
    values: VecDeque<(&'static Param, Option<Value>)>,
}

impl Args {
    /// Takes parameters apart: an array is by position, an object by name, nothing is none.
    pub(crate) fn new(params: &Params<'_>, expected: &'static [Param]) -> Result<Self, RpcError> {
        let parsed = match params.as_str() {
            None => Value::Null,
            Some(text) => serde_json::from_str(text)
                .map_err(|_| RpcError::InvalidParams("the parameters are no JSON".to_owned()))?,
        };
        let values = match parsed {
            Value::Null => expected.iter().map(|param| (param, None)).collect(),
            Value::Array(given) => by_position(given, expected)?,
            Value::Object(given) => by_name(given, expected)?,
            _ => {
                return Err(RpcError::InvalidParams(
                    "give the parameters as an array or as an object".to_owned(),
                ));
            }
        };
        Ok(Self { values })
    }

    /// The next parameter, which must be there.
    pub(crate) fn required<T: DeserializeOwned>(&mut self) -> Result<T, RpcError> {
        let (param, value) = self.take()?;
        let value = value.ok_or_else(|| RpcError::InvalidParam {
            param: param.name,
            message: format!("is missing; give {}", param.form),
        })?;
        read(param, value)
    }

    /// The next parameter, or `None` where it is absent or null.
    pub(crate) fn optional<T: DeserializeOwned>(&mut self) -> Result<Option<T>, RpcError> {
        let (param, value) = self.take()?;
        value.map(|value| read(param, value)).transpose()
    }

    /// Handlers ask for as many as their method names; one that asks for more is a fault of ours.
    fn take(&mut self) -> Result<(&'static Param, Option<Value>), RpcError> {
        self.values.pop_front().ok_or_else(|| {
            tracing::error!("a handler reads more parameters than its method names");
            RpcError::Internal
        })
    }
}

type Values = VecDeque<(&'static Param, Option<Value>)>;

fn by_position(given: Vec<Value>, expected: &'static [Param]) -> Result<Values, RpcError> {
    if given.len() > expected.len() {
        let message = format!("{} parameters given; {}", given.len(), signature(expected));
        return Err(RpcError::InvalidParams(message));
    }
    let mut given = given.into_iter();
    Ok(expected
        .iter()
        .map(|param| (param, given.next().filter(|value| !value.is_null())))
        .collect())
}

fn by_name(mut given: serde_json::Map<String, Value>, expected: &'static [Param]) -> Result<Values, RpcError> {
    let values = expected
        .iter()
        .map(|param| (param, given.remove(param.name).filter(|value| !value.is_null())))
        .collect();
    match given.keys().next() {
        None => Ok(values),
        Some(unknown) => {
            let unknown: String = unknown.chars().take(40).collect();
            Err(RpcError::InvalidParams(format!(
                "there is no parameter `{unknown}`; {}",
                signature(expected)
            )))
        }
    }
}

fn signature(expected: &[Param]) -> String {
    if expected.is_empty() {
        return "this method takes none".to_owned();
    }
    let names: Vec<_> = expected.iter().map(|param| param.name).collect();
    format!("this method takes: {}", names.join(", "))
}

fn read<T: DeserializeOwned>(param: &Param, value: Value) -> Result<T, RpcError> {
    serde_json::from_value(value).map_err(|error| RpcError::InvalidParam {
        param: param.name,
        message: format!("{error}; give {}", param.form),
    })
}

/// A u64 as a JSON number, or as a hex quantity as in Ethereum's JSON-RPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or one in hex such as \"0x1f\"")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                // `from_str_radix` takes a sign, which is none of a quantity's digits.
                let digits = text
                    .strip_prefix("0x")
                    .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                number
                    .map(Number)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: &[Param] = &[
        Param::required("batchId", "a UUID"),
        Param::optional("limit", "a number, at most 500"),
    ];

    fn read_both(json: &str) -> Result<(String, Option<u64>), String> {
        let read = || {
            let mut args = Args::new(&Params::new(Some(json)), PARAMS)?;
            Ok((
                args.required::<String>()?,
                args.optional::<Number>()?.map(|number| number.0),
            ))
        };
        read().map_err(|error: RpcError| error.to_string())
    }

    #[test]
    fn parameters_come_by_position_or_by_name() {
        for json in [r#"["a", 16]"#, r#"["a", "0x10"]"#, r#"{"limit": 16, "batchId": "a"}"#] {
            assert_eq!(read_both(json), Ok(("a".to_owned(), Some(16))), "{json}");
        }
        for json in [r#"["a"]"#, r#"["a", null]"#, r#"{"batchId": "a"}"#] {
            assert_eq!(read_both(json), Ok(("a".to_owned(), None)), "{json}");
        }
    }

    #[test]
    fn a_wrong_parameter_is_named_with_what_to_give() {
        let cases = [
            ("[]", "parameter `batchId`: is missing; give a UUID"),
            ("[null, 1]", "parameter `batchId`: is missing"),
            (
                r#"["a", 1, 2]"#,
                "3 parameters given; this method takes: batchId, limit",
            ),
            (r#"{"batchId": "a", "limits": 1}"#, "there is no parameter `limits`"),
            (r#"["a", -1]"#, "parameter `limit`: invalid type"),
            (r#"["a", "0x"]"#, "parameter `limit`: invalid value"),
            (r#"["a", "0x+1"]"#, "give a number, at most 500"),
            ("7", "as an array or as an object"),
        ];
        for (json, expected) in cases {
            let error = read_both(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
