//! Opening a redb file by one set of rules: what is new, older, newer, damaged, or on a disk that takes nothing.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::keccak256;
use redb::{
    Database, DatabaseError, ReadableDatabase, StorageBackend, StorageError, TableDefinition, WriteTransaction,
    backends::InMemoryBackend,
};
use tracing::{error, info, warn};

use crate::StoreError;

/// Carries the schema version; part of every schema, whatever its version.
const SCHEMA: TableDefinition<'_, &str, u32> = TableDefinition::new("schema");
const VERSION_KEY: &str = "version";

/// What distinguishes one store's file from another's.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// For messages: "index", "durable store".
    pub name: &'static str,
    /// For messages: what it holds, in the plural.
    pub holds: &'static str,
    /// Schema version that this program reads and writes.
    pub version: u32,
    /// Memory for cached pages, in bytes. redb's default is a gibibyte.
    pub cache_bytes: usize,
    /// Whether the content can be had again from elsewhere. If not, the whole file is checked at each
    /// opening, and a damaged one is never touched.
    pub rebuildable: bool,
}

/// How a store came to be what it is now; for status and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// There is no data directory: the store lives in memory and dies with the process.
    InMemory,
    /// The file cannot be written: the store lives in memory, with what the file held where that cannot be
    /// rebuilt, and what is added to it dies with the process.
    Unwritable {
        /// What the system says.
        reason: String,
    },
    /// There was no file.
    Created,
    /// The file was there, and sound.
    Existing,
    /// The file could not be used and a new one took its place.
    Replaced {
        /// What was wrong with the old file.
        reason: String,
        /// Where the old file is now, if it was kept.
        kept_at: Option<PathBuf>,
    },
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InMemory => f.write_str("in memory"),
            Self::Unwritable { reason } => write!(f, "in memory, because the file cannot be written: {reason}"),
            Self::Created => f.write_str("new"),
            Self::Existing => f.write_str("on disk"),
            Self::Replaced { reason, .. } => write!(f, "new, in place of an unusable file: {reason}"),
        }
    }
}

/// Opens the file at `path`, whatever is there.
pub(crate) fn open(path: &Path, layout: Layout) -> Result<(Database, Opening), StoreError> {
    let opened = if layout.rebuildable {
        open_or_replace(path, layout)
    } else {
        open_or_refuse(path, layout)
    };
    match opened {
        Err(StoreError::Open { source, .. }) if takes_nothing(&source) => {
            let reason = source.to_string();
            let shown = path.display();
            if layout.rebuildable {
                warn!(path = %shown, reason, "the {} cannot be written: it is kept in memory", layout.name);
                return Ok((in_memory(layout)?, Opening::Unwritable { reason }));
            }
            error!(
                path = %shown, reason,
                "the {} cannot be written: what is added to it is lost with this process", layout.name
            );
            Ok((copied(path, layout)?, Opening::Unwritable { reason }))
        }
        opened => opened,
    }
}

/// Opens a file again that was open before.
pub(crate) fn reopen(path: &Path, layout: Layout) -> Result<Database, StoreError> {
    match existing(path, layout)? {
        Found::Sound(database) => Ok(database),
        Found::Older { reason } | Found::Damaged { reason } => Err(StoreError::Damaged(reason)),
    }
}

pub(crate) fn in_memory(layout: Layout) -> Result<Database, StoreError> {
    let database =
        memory(InMemoryBackend::new(), layout, false).map_err(|error| StoreError::Storage(Box::new(error.into())))?;
    write_version(&database, layout.version)?;
    Ok(database)
}

/// Moves a damaged file aside and makes a new one.
pub(crate) fn replace_file(path: &Path, layout: Layout, reason: String) -> Result<(Database, Opening), StoreError> {
    let kept_at = spare_name(path);
    fs::rename(path, &kept_at).map_err(|source| StoreError::MoveAside {
        path: path.to_owned(),
        source,
    })?;
    warn!(
        path = %path.display(), kept_at = %kept_at.display(), reason,
        "the {} is unusable; rebuilding it", layout.name
    );
    let kept_at = Some(kept_at);
    Ok((create(path, layout)?, Opening::Replaced { reason, kept_at }))
}

/// Runs a write transaction.
pub(crate) fn transact<T>(
    database: &Database,
    write: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut transaction = database.begin_write()?;
    // Without it a restart after a crash walks the whole file before the program is ready.
    transaction.set_quick_repair(true);
    let result = write(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

/// Whether it is the disk that failed, so that the same may work later.
pub(crate) fn is_of_disk(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => !is_short(error),
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => true,
        _ => false,
    }
}

impl StoreError {
    /// Whether the file itself is beyond use, so that only a new one helps.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Storage(error) => match &**error {
                redb::Error::Io(error) => is_short(error),
                redb::Error::Corrupted(_)
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TypeDefinitionChanged { .. } => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the disk failed, so that the file is to be closed and opened again.
    pub(crate) fn is_of_disk(&self) -> bool {
        matches!(self, Self::Storage(error) if is_of_disk(error))
    }
}

/// A file that ends before it should, or does not begin as one, was cut or is none of ours.
fn is_short(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData)
}

/// Whether the place can be read but not written, for lack of room or leave.
fn takes_nothing(error: &redb::Error) -> bool {
    let redb::Error::Io(error) = error else { return false };
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::FileTooLarge
    )
}

/// What opening an existing file may find.
enum Found {
    Sound(Database),
    Older { reason: String },
    Damaged { reason: String },
}

fn is_there(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}

fn open_or_replace(path: &Path, layout: Layout) -> Result<(Database, Opening), StoreError> {
    if !is_there(path) {
        return Ok((create(path, layout)?, Opening::Created));
    }
    match existing(path, layout)? {
        Found::Sound(database) => Ok((database, Opening::Existing)),
        Found::Damaged { reason } => replace_file(path, layout, reason),
        Found::Older { reason } => {
            info!(path = %path.display(), reason, "rebuilding the {}", layout.name);
            fs::remove_file(path).map_err(|source| StoreError::MoveAside {
                path: path.to_owned(),
                source,
            })?;
            Ok((create(path, layout)?, Opening::Replaced { reason, kept_at: None }))
        }
    }
}

fn open_or_refuse(path: &Path, layout: Layout) -> Result<(Database, Opening), StoreError> {
    if !is_there(path) {
        return Ok((create(path, layout)?, Opening::Created));
    }
    // A copy in memory is checked, because opening a file repairs it, and may spoil what could be saved.
    let content = read(path)?;
    let reason = match verified(&content, layout) {
        Ok(_) => match existing(path, layout)? {
            Found::Sound(database) => return Ok((database, Opening::Existing)),
            Found::Older { reason } | Found::Damaged { reason } => reason,
        },
        Err(StoreError::NewerSchema { found, known, .. }) => {
            let path = path.to_owned();
            return Err(StoreError::NewerSchema { path, found, known });
        }
        Err(StoreError::Damaged(reason)) => reason,
        Err(error) => error.to_string(),
    };
    let copy = keep_copy(path, &content);
    // A file that is being written looks damaged too.
    let opened = existing(path, layout);
    if let Err(error @ StoreError::InUse(_)) = opened {
        let _ = copy.map(fs::remove_file);
        return Err(error);
    }
    // To find that out was to open it, which may have changed it.
    drop(opened);
    let _ = fs::write(path, &content);
    Err(StoreError::Unrecoverable {
        name: layout.name,
        path: path.to_owned(),
        holds: layout.holds,
        reason,
        copy,
    })
}

fn existing(path: &Path, layout: Layout) -> Result<Found, StoreError> {
    // A file that was damaged by something else than redb can make it panic.
    catch_unwind(AssertUnwindSafe(|| open_existing(path, layout))).unwrap_or_else(|_| {
        Ok(Found::Damaged {
            reason: "it cannot be read to its end".to_owned(),
        })
    })
}

fn open_existing(path: &Path, layout: Layout) -> Result<Found, StoreError> {
    let damaged = |reason: String| Ok(Found::Damaged { reason });
    let database = match Database::builder().set_cache_size(layout.cache_bytes).open(path) {
        Ok(database) => database,
        Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) => {
            return Err(StoreError::InUse(path.to_owned()));
        }
        Err(DatabaseError::Storage(StorageError::Io(error))) if !is_short(&error) => {
            return Err(open_error(path, DatabaseError::Storage(StorageError::Io(error))));
        }
        Err(error) => return damaged(error.to_string()),
    };
    match read_version(&database) {
        Ok(Some(version)) if version > layout.version => Err(StoreError::NewerSchema {
            path: path.to_owned(),
            found: version,
            known: layout.version,
        }),
        Ok(Some(version)) if version < layout.version => {
            let reason = format!("it has schema {version}, this program writes {}", layout.version);
            Ok(Found::Older { reason })
        }
        Ok(Some(_)) => Ok(Found::Sound(database)),
        Ok(None) => damaged("it carries no schema version".to_owned()),
        Err(error) => damaged(error.to_string()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|source| open_error(path, DatabaseError::Storage(StorageError::Io(source))))
}

/// A copy of the file in memory, to work on where the file itself takes nothing.
fn copied(path: &Path, layout: Layout) -> Result<Database, StoreError> {
    if is_there(path) {
        verified(&read(path)?, layout)
    } else {
        in_memory(layout)
    }
}

/// Opens a file's content in memory and checks all of it.
fn verified(content: &[u8], layout: Layout) -> Result<Database, StoreError> {
    let damaged = |reason: String| StoreError::Damaged(reason);
    let open = || -> Result<Database, StoreError> {
        let backend = InMemoryBackend::new();
        let filled = backend
            .set_len(content.len() as u64)
            .and_then(|()| backend.write(0, content));
        filled.map_err(|error| damaged(error.to_string()))?;
        let database = memory(backend, layout, true).map_err(|error| damaged(error.to_string()))?;
        match read_version(&database)? {
            Some(version) if version == layout.version => Ok(database),
            Some(found) if found > layout.version => Err(StoreError::NewerSchema {
                path: PathBuf::new(),
                found,
                known: layout.version,
            }),
            _ => Err(damaged(
                "it carries no schema version that this program knows".to_owned(),
            )),
        }
    };
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err(damaged("it cannot be read to its end".to_owned())))
}

fn memory(backend: InMemoryBackend, layout: Layout, check: bool) -> Result<Database, DatabaseError> {
    Database::builder()
        .set_cache_size(layout.cache_bytes)
        .set_check_integrity_on_open(check)
        .create_with_backend(backend)
}

/// Keeps a damaged file's content beside it. The name is the content's, so that one copy is made however
/// often the program is started.
fn keep_copy(path: &Path, content: &[u8]) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let hash = keccak256(content).to_string();
    let copy = path.with_file_name(format!("{name}.damaged-{}", &hash[2..10]));
    if copy.exists() {
        return Some(copy);
    }
    match fs::write(&copy, content) {
        Ok(()) => Some(copy),
        Err(error) => {
            error!(path = %copy.display(), %error, "no copy of the damaged file can be kept");
            None
        }
    }
}

/// A name beside the file that nothing has yet: the time, and a count within the second.
fn spare_name(path: &Path) -> PathBuf {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (0u32..)
        .map(|count| path.with_file_name(format!("{name}.damaged-{now}-{count}")))
        .find(|candidate| !candidate.exists())
        .unwrap_or_else(|| path.with_file_name(format!("{name}.damaged")))
}

fn create(path: &Path, layout: Layout) -> Result<Database, StoreError> {
    let created = Database::builder().set_cache_size(layout.cache_bytes).create(path);
    let database = created.map_err(|error| open_error(path, error))?;
    let named = |error| match error {
        StoreError::Storage(source) => StoreError::Open {
            path: path.to_owned(),
            source,
        },
        error => error,
    };
    write_version(&database, layout.version).map_err(named)?;
    Ok(database)
}

fn open_error(path: &Path, error: DatabaseError) -> StoreError {
    StoreError::Open {
        path: path.to_owned(),
        source: Box::new(error.into()),
    }
}

fn write_version(database: &Database, version: u32) -> Result<(), StoreError> {
    transact(database, |transaction| {
        transaction.open_table(SCHEMA)?.insert(VERSION_KEY, version)?;
        Ok(())
    })
}

fn read_version(database: &Database) -> Result<Option<u32>, StoreError> {
    let table = match database.begin_read()?.open_table(SCHEMA) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(table.get(VERSION_KEY)?.map(|version| version.value()))
}

#[cfg(test)]
mod tests;
