//! Files that somebody saved: often a whole JSON-RPC response.

use std::{fs, path::Path};

use eyre::{Result, WrapErr};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

/// Reads a JSON file. What is wanted may be inside of others, such as a JSON-RPC response's `result`.
pub(super) fn read<T: DeserializeOwned>(path: &Path, wrappers: &[&str]) -> Result<T> {
    let text = text(path)?;
    let mut value: Value = serde_json::from_str(&text).wrap_err_with(|| format!("{} is no JSON", path.display()))?;
    for wrapper in wrappers {
        if let Some(inner) = value.get_mut(wrapper).filter(|inner| inner.is_object()) {
            value = inner.take();
        }
    }
    serde_json::from_value(value).wrap_err_with(|| format!("{} is not what was expected here", path.display()))
}

/// Reads a file's text.
pub(super) fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).wrap_err_with(|| format!("{} cannot be read", path.display()))
}

/// The `result` of a JSON-RPC response as it is written; any other text as it is.
pub(super) fn result_of(text: &str) -> &str {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    serde_json::from_str::<Response<'_>>(text).map_or(text, |response| response.result.get())
}
