//! The section `[lease]`, and the key that chooses among its kinds.

use std::{fmt, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use set_types::ConfigProblem;

/// What decides which of several sidecars sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseKind {
    /// Nothing: this one always does.
    #[default]
    None,
    /// A file, for sidecars on one machine.
    File,
    /// A row in a PostgreSQL database.
    Postgres,
}

impl LeaseKind {
    /// The kind as the configuration writes it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::File => "file",
            Self::Postgres => "postgres",
        }
    }
}

/// The lease, whatever keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseConfig {
    /// How long the lease lasts unless it is renewed, which is tried every third of this. The other
    /// takes over so long after the last renewal. Default 15 s.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// For `file`: the file, the same one for each sidecar. Made where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// For `postgres`: the database, as a URL.
    #[serde(skip_serializing)]
    pub postgres_url: Option<DatabaseUrl>,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(15),
            file: None,
            postgres_url: None,
        }
    }
}

impl LeaseConfig {
    /// Every problem of the section, for a lease of this kind; empty where there is none.
    pub fn validate(&self, kind: LeaseKind) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&self.ttl) {
            problems.push(ConfigProblem::new(
                "ttl",
                "must be 1s to 10m: shorter, and a slow answer loses the lease; longer, and the other waits for so long",
            ));
        }
        if kind == LeaseKind::File && self.file.is_none() {
            problems.push(ConfigProblem::new(
                "file",
                "is missing, and `sidecar.lease` is \"file\": name one file, the same for each sidecar on this machine",
            ));
        }
        if kind == LeaseKind::Postgres && self.postgres_url.is_none() {
            problems.push(ConfigProblem::new(
                "postgres_url",
                "is missing, and `sidecar.lease` is \"postgres\": write \"${VARIABLE}\" or \"file:/path\", which holds \
                 the URL with its password",
            ));
        }
        problems
    }
}

/// A database's URL, as the configuration writes it: `"${VARIABLE}"`, `"file:/path"`, or the URL itself,
/// which then holds no password. Never shown.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// The text as it was written.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<&str> for DatabaseUrl {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A type error of serde quotes the value that it found; this one must not.
        String::deserialize(deserializer)
            .map(|text| Self(text.into()))
            .map_err(|_| serde::de::Error::custom("a database's URL must be a text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_says_what_it_misses() {
        let config = LeaseConfig::default();
        let keys = |kind| {
            config
                .validate(kind)
                .iter()
                .map(|problem| problem.key)
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(LeaseKind::None), Vec::<&str>::new());
        assert_eq!(keys(LeaseKind::File), ["file"]);
        assert_eq!(keys(LeaseKind::Postgres), ["postgres_url"]);
        let config = LeaseConfig {
            ttl: Duration::ZERO,
            ..config
        };
        assert_eq!(config.validate(LeaseKind::None)[0].key, "ttl");
    }

    #[test]
    fn a_url_is_never_printed() {
        let config: LeaseConfig =
            serde_json::from_str(r#"{"ttl": "20s", "postgres_url": "postgresql://a:hunter2@db/x"}"#).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
        let error = serde_json::from_str::<LeaseConfig>(r#"{"postgres_url": 31337}"#).unwrap_err();
        assert!(!error.to_string().contains("31337"), "{error}");
    }
}
