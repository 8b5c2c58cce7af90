//! The file of an account's spending: JSON, replaced as a whole.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use set_types::Timestamp;

use super::Books;

const VERSION: u32 = 1;

/// Why the books of an account's spending cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpendingError {
    /// Reading failed.
    #[error("the file {path} cannot be {action}: {source}; it holds what the account spent today")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another version of the program wrote the file.
    #[error(
        "the file {path} is of version {found}, this program reads version {VERSION}: use the program that wrote it, or move the file away and count the day anew"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

/// Where the books are kept.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Written<B> {
    version: u32,
    books: B,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl File {
    /// Reads an account's books; empty ones where there is no file.
    pub(super) fn open(dir: &Path, chain_id: u64, account: Address) -> Result<(Self, Books), SpendingError> {
        let path = dir.join(format!("spending-{chain_id}-{account:#x}.json"));
        let io = |action, source| {
            let path = path.clone();
            SpendingError::Io { path, action, source }
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Self { path }, Books::default())),
            Err(error) => return Err(io("read", error)),
        };
        if let Ok(Versioned { version }) = serde_json::from_slice(&text)
            && version != VERSION
        {
            return Err(SpendingError::Version { path, found: version });
        }
        match serde_json::from_slice::<Written<Books>>(&text) {
            Ok(written) => Ok((Self { path }, written.books)),
            Err(error) => {
                let aside = path.with_extension(format!("damaged-{}", Timestamp::now().as_second()));
                fs::rename(&path, &aside).map_err(|error| io("moved aside", error))?;
                tracing::warn!(file = %path.display(), aside = %aside.display(), %error, "what was spent today is damaged and moved aside; only what the journal holds is counted");
                Ok((Self { path }, Books::default()))
            }
        }
    }

    /// The books as they are now, to be written off the runtime's threads.
    pub(super) fn unsaved(&self, books: &Books) -> Unsaved {
        Unsaved {
            path: self.path.clone(),
            books: books.clone(),
        }
    }
}

/// Books that are to be written.
#[derive(Debug)]
pub(crate) struct Unsaved {
    path: PathBuf,
    books: Books,
}

impl Unsaved {
    /// Puts a new file in the old one's place. Blocks.
    pub(crate) fn write(self) -> Result<(), SpendingError> {
        let Self { path, books } = self;
        let new = path.with_extension("new");
        let write = || {
            let written = Written {
                version: VERSION,
                books,
            };
            let text = serde_json::to_vec(&written)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&new)?;
            file.write_all(&text)?;
            // Before the rename, or a power cut could leave an empty file under the old name.
            file.sync_data()?;
            fs::rename(&new, &path)
        };
        write().map_err(|source| SpendingError::Io {
            path: path.clone(),
            action: "written",
            source,
        })
    }
}
