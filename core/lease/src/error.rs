//! Why a lease cannot be had.

use std::{io, path::Path};

/// Why a lease cannot be started, taken or renewed. Never holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// A value of `[lease]` cannot work.
    #[error("`lease.{key}` {problem}")]
    Config {
        /// The key inside the section.
        key: &'static str,
        /// What is wrong with it and what to write instead.
        problem: String,
    },
    /// The lease's file can be neither read nor written.
    #[error("the lease file {path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        cause: String,
    },
    /// The file belongs to the lease of another chain or registry.
    #[error("{path} is the lease of {found}, not of {wanted}; name another file in `lease.file`")]
    ForeignFile {
        /// The file.
        path: String,
        /// The lease that it is.
        found: String,
        /// The lease that it should be.
        wanted: String,
    },
    /// The database cannot be reached or refuses.
    #[error("PostgreSQL at {0}")]
    Postgres(String),
    /// There was no answer in time.
    #[error("no answer in time from the {0}")]
    Timeout(&'static str),
}

impl LeaseError {
    pub(crate) fn config(key: &'static str, problem: impl Into<String>) -> Self {
        Self::Config {
            key,
            problem: problem.into(),
        }
    }

    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Self::File {
            path: path.display().to_string(),
            cause: error.to_string(),
        }
    }
}
