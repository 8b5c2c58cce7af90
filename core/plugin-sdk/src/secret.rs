//! Secrets in a plugin's configuration.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// A text that nobody is shown: wiped from memory when dropped, `[redacted]` when formatted, and
/// marked `writeOnly` in the schema. Operators write `"${VARIABLE}"` or `"file:/path"` in its place.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Keeps a secret that does not come from the configuration.
    pub fn new(secret: String) -> Self {
        Self(secret.into())
    }

    /// The secret, for the one place that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A type error of serde quotes the value that it found; this one must not.
        String::deserialize(deserializer)
            .map(Self::new)
            .map_err(|_| serde::de::Error::custom("a secret must be a text"))
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        let error = serde_json::from_str::<Secret>("31337").unwrap_err().to_string();
        assert!(!error.contains("31337"), "{error}");
    }
}
