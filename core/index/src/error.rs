//! What goes wrong with the two stores.

use std::path::PathBuf;

/// Why a store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer version of the program wrote the file; an older one would misread it.
    #[error(
        "{path} was written by a newer version (schema {found}; this program knows up to {known}): \
         run that version, or move the file away", path = .path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema version it carries.
        found: u32,
        /// The newest schema version that this program knows.
        known: u32,
    },
    /// Another process holds the file.
    #[error("{path} is open in another process: stop it, or give this one another data directory", path = .0.display())]
    InUse(PathBuf),
    /// The file cannot be opened or created.
    #[error("cannot open {path}: {source}; check that the data directory exists and can be written", path = .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// A damaged file cannot be moved out of the way.
    #[error("{path} is damaged and cannot be moved aside: {source}", path = .path.display())]
    MoveAside {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
    /// A file that cannot be had again from elsewhere is damaged. It is left as it is.
    #[error(
        "the {name} {path} is damaged: {reason}. It holds {holds}, and the chain cannot give them back: restore it \
         from a backup, or move it away to start without them{kept}",
        path = .path.display(),
        kept = .copy.as_ref().map_or_else(String::new, |copy| format!("; a copy is kept at {}", copy.display()))
    )]
    Unrecoverable {
        /// Which store it is.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// What it holds.
        holds: &'static str,
        /// What is wrong with it.
        reason: String,
        /// Where a copy of it is, if one could be made.
        copy: Option<PathBuf>,
    },
    /// The disk takes or gives nothing: it is full, read-only, or fails. Trying again later may help.
    #[error("{path}: {source}; make room on its disk, or make it writable: it is tried again", path = .path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// Reading or writing failed (input/output error, damage).
    #[error("the store failed: {0}")]
    Storage(#[from] Box<redb::Error>),
    /// A row refers to one that is not there, or is no row of ours.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// A value is larger than the store takes.
    #[error("{what} has {length} bytes; at most {limit} are kept")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The task that did the work ended early, which happens only while the program stops.
    #[error("the store's task was stopped")]
    Stopped,
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Storage(Box::new(error.into()))
            }
        }
    )*};
}

from_redb!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError
);
