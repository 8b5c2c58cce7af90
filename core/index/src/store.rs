//! Opening a redb file by one set of rules, and running transactions off the runtime's threads.

use std::{
    fmt, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageError, TableDefinition, WriteTransaction,
    backends::InMemoryBackend,
};
use tracing::{error, info, warn};

use crate::StoreError;

/// Carries the schema version; part of every schema, whatever its version.
const SCHEMA: TableDefinition<'_, &str, u32> = TableDefinition::new("schema");
const VERSION_KEY: &str = "version";

/// What distinguishes one store's file from another's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// For messages: "index", "durable store".
    pub(crate) name: &'static str,
    /// Schema version that this program reads and writes.
    pub(crate) version: u32,
    /// Memory for cached pages, in bytes. redb's default is a gibibyte.
    pub(crate) cache_bytes: usize,
    /// Whether the content can be had again from elsewhere. If not, losing it is an error, and the
    /// whole file is checked at each opening.
    pub(crate) rebuildable: bool,
}

/// How a store came to be what it is now; for status and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// There is no data directory: the store lives in memory and dies with the process.
    InMemory,
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
            Self::Created => f.write_str("new"),
            Self::Existing => f.write_str("on disk"),
            Self::Replaced { reason, .. } => write!(f, "new, in place of an unusable file: {reason}"),
        }
    }
}

/// A redb database that can be replaced while in use. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    layout: Layout,
    path: Option<PathBuf>,
    current: Arc<RwLock<Current>>,
}

#[derive(Debug)]
struct Current {
    database: Arc<Database>,
    opening: Opening,
}

impl Store {
    /// Opens the file at `path`, or a store in memory. Blocks on the disk.
    pub(crate) fn open(path: Option<&Path>, layout: Layout) -> Result<Self, StoreError> {
        let (database, opening) = match path {
            None => (in_memory(layout)?, Opening::InMemory),
            Some(path) => open_or_replace(path, layout)?,
        };
        let current = Current {
            database: Arc::new(database),
            opening,
        };
        Ok(Self {
            layout,
            path: path.map(Path::to_owned),
            current: Arc::new(RwLock::new(current)),
        })
    }

    pub(crate) fn opening(&self) -> Opening {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .opening
            .clone()
    }

    fn database(&self) -> Arc<Database> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).database)
    }

    /// Runs a read transaction on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.database();
        off_thread(move || read(&database.begin_read()?)).await
    }

    /// Runs a write transaction on a thread that may block; it is on disk when this returns. Once
    /// begun it runs to its end, even if the caller goes away.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.database();
        off_thread(move || transact(&database, write)).await
    }

    /// Puts an empty store in place of one that turned out to be damaged while in use.
    pub(crate) async fn replace(&self, reason: String) -> Result<(), StoreError> {
        let store = self.clone();
        off_thread(move || {
            let (database, opening) = match &store.path {
                None => (in_memory(store.layout)?, Opening::InMemory),
                Some(path) => replace_file(path, store.layout, reason)?,
            };
            let mut current = store.current.write().unwrap_or_else(PoisonError::into_inner);
            *current = Current {
                database: Arc::new(database),
                opening,
            };
            Ok(())
        })
        .await
    }
}

impl StoreError {
    /// Whether the file itself is beyond use, so that only a new one helps.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Storage(error) => matches!(
                **error,
                redb::Error::Corrupted(_)
                    | redb::Error::TableTypeMismatch { .. }
                    | redb::Error::TypeDefinitionChanged { .. }
            ),
            _ => false,
        }
    }
}

/// redb panics on some damage that it did not expect; that is damage too, and nothing worse.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        if error.is_panic() {
            return Err(StoreError::Damaged("a transaction panicked on what it read".to_owned()));
        }
        Err(StoreError::Stopped)
    })
}

fn transact<T>(
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

fn in_memory(layout: Layout) -> Result<Database, StoreError> {
    let created = Database::builder()
        .set_cache_size(layout.cache_bytes)
        .create_with_backend(InMemoryBackend::new());
    let database = created.map_err(|error| StoreError::Storage(Box::new(error.into())))?;
    write_version(&database, layout.version)?;
    Ok(database)
}

/// What opening an existing file may find.
enum Found {
    Sound(Database),
    /// The file must make way; the reason, and whether it is worth keeping.
    Unusable {
        reason: String,
        keep: bool,
    },
}

fn open_or_replace(path: &Path, layout: Layout) -> Result<(Database, Opening), StoreError> {
    let known = fs::metadata(path).is_ok_and(|meta| meta.len() > 0);
    if !known {
        return Ok((create(path, layout)?, Opening::Created));
    }
    // A file that was damaged by something else than redb can make it panic.
    let found = catch_unwind(AssertUnwindSafe(|| open_existing(path, layout))).unwrap_or_else(|_| {
        Ok(Found::Unusable {
            reason: "it is damaged".to_owned(),
            keep: true,
        })
    })?;
    match found {
        Found::Sound(database) => Ok((database, Opening::Existing)),
        Found::Unusable { reason, keep: true } => replace_file(path, layout, reason),
        Found::Unusable { reason, keep: false } => {
            info!(path = %path.display(), reason, "rebuilding the {}", layout.name);
            fs::remove_file(path).map_err(|source| StoreError::MoveAside {
                path: path.to_owned(),
                source,
            })?;
            Ok((create(path, layout)?, Opening::Replaced { reason, kept_at: None }))
        }
    }
}

fn open_existing(path: &Path, layout: Layout) -> Result<Found, StoreError> {
    let opened = Database::builder()
        .set_cache_size(layout.cache_bytes)
        .set_check_integrity_on_open(!layout.rebuildable)
        .open(path);
    let unusable = |reason: String| Ok(Found::Unusable { reason, keep: true });
    let database = match opened {
        Ok(database) => database,
        Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) => {
            return Err(StoreError::InUse(path.to_owned()));
        }
        Err(DatabaseError::Storage(StorageError::Io(error))) if error.kind() != std::io::ErrorKind::InvalidData => {
            return Err(open_error(path, DatabaseError::Storage(StorageError::Io(error))));
        }
        Err(error) => return unusable(error.to_string()),
    };
    let version = match read_version(&database) {
        Ok(Some(version)) => version,
        Ok(None) => return unusable("it carries no schema version".to_owned()),
        Err(error) => return unusable(error.to_string()),
    };
    if version > layout.version {
        return Err(StoreError::NewerSchema {
            path: path.to_owned(),
            found: version,
            known: layout.version,
        });
    }
    if version < layout.version {
        let reason = format!("it has schema {version}, this program writes {}", layout.version);
        return Ok(Found::Unusable {
            reason,
            keep: !layout.rebuildable,
        });
    }
    Ok(Found::Sound(database))
}

fn replace_file(path: &Path, layout: Layout, reason: String) -> Result<(Database, Opening), StoreError> {
    let kept_at = spare_name(path);
    fs::rename(path, &kept_at).map_err(|source| StoreError::MoveAside {
        path: path.to_owned(),
        source,
    })?;
    let (path_shown, kept_shown) = (path.display(), kept_at.display());
    if layout.rebuildable {
        warn!(path = %path_shown, kept_at = %kept_shown, reason, "the {} is unusable; rebuilding it", layout.name);
    } else {
        error!(
            path = %path_shown, kept_at = %kept_shown, reason,
            "the {} is unusable and what it held is lost; starting with an empty one", layout.name
        );
    }
    Ok((
        create(path, layout)?,
        Opening::Replaced {
            reason,
            kept_at: Some(kept_at),
        },
    ))
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
    write_version(&database, layout.version)?;
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
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout {
        name: "index",
        version: 2,
        cache_bytes: 1 << 20,
        rebuildable: true,
    };
    const ROWS: TableDefinition<'_, &str, &str> = TableDefinition::new("rows");

    fn put(store: &Store, text: &str) {
        let database = store.database();
        transact(&database, |transaction| {
            transaction.open_table(ROWS)?.insert("row", text)?;
            Ok(())
        })
        .unwrap();
    }

    fn has_row(store: &Store) -> bool {
        let transaction = store.database().begin_read().unwrap();
        transaction
            .open_table(ROWS)
            .is_ok_and(|rows| rows.get("row").unwrap().is_some())
    }

    fn written(directory: &tempfile::TempDir, layout: Layout) -> PathBuf {
        let path = directory.path().join("index.redb");
        put(&Store::open(Some(&path), layout).unwrap(), "kept");
        path
    }

    #[test]
    fn a_sound_file_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(&directory, LAYOUT);
        let store = Store::open(Some(&path), LAYOUT).unwrap();
        assert_eq!(store.opening(), Opening::Existing);
        assert!(has_row(&store));
        let error = Store::open(Some(&path), LAYOUT).unwrap_err();
        assert!(matches!(error, StoreError::InUse(_)), "{error}");
    }

    #[test]
    fn an_older_rebuildable_file_makes_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(&directory, Layout { version: 1, ..LAYOUT });
        let store = Store::open(Some(&path), LAYOUT).unwrap();
        assert!(
            matches!(store.opening(), Opening::Replaced { kept_at: None, .. }),
            "{:?}",
            store.opening()
        );
        assert!(!has_row(&store));
    }

    #[test]
    fn a_newer_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(&directory, Layout { version: 3, ..LAYOUT });
        let error = Store::open(Some(&path), LAYOUT).unwrap_err().to_string();
        assert!(error.contains("schema 3; this program knows up to 2"), "{error}");
        assert!(has_row(
            &Store::open(Some(&path), Layout { version: 3, ..LAYOUT }).unwrap()
        ));
    }

    #[test]
    fn damage_is_moved_aside_and_said() {
        let garbage: [fn(&Path); 3] = [
            |path| fs::write(path, "not a database, but text of some length".repeat(100)).unwrap(),
            |path| {
                fs::File::options()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .set_len(5000)
                    .unwrap()
            },
            |path| {
                let mut bytes = fs::read(path).unwrap();
                bytes[..512].fill(0xa5);
                fs::write(path, bytes).unwrap();
            },
        ];
        for (number, spoil) in garbage.into_iter().enumerate() {
            for rebuildable in [true, false] {
                let directory = tempfile::tempdir().unwrap();
                let layout = Layout { rebuildable, ..LAYOUT };
                let path = written(&directory, layout);
                spoil(&path);
                let spoilt = fs::read(&path).unwrap();
                let store = Store::open(Some(&path), layout).unwrap();
                let Opening::Replaced {
                    kept_at: Some(kept_at),
                    reason,
                } = store.opening()
                else {
                    panic!("case {number}: {:?}", store.opening());
                };
                assert!(!reason.is_empty());
                assert_eq!(fs::read(kept_at).unwrap().len(), spoilt.len(), "case {number}");
                assert!(!has_row(&store));
            }
        }
    }

    #[test]
    fn a_flipped_byte_in_what_cannot_be_rebuilt_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout {
            rebuildable: false,
            ..LAYOUT
        };
        let path = written(&directory, layout);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(4).position(|window| window == b"kept").unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let opening = Store::open(Some(&path), layout).unwrap().opening();
        assert!(
            matches!(opening, Opening::Replaced { kept_at: Some(_), .. }),
            "{opening:?}"
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("absent/index.redb");
        let error = Store::open(Some(&path), LAYOUT).unwrap_err().to_string();
        assert!(
            error.contains("absent/index.redb") && error.contains("data directory"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_store_is_replaced_while_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(&directory, LAYOUT);
        let store = Store::open(Some(&path), LAYOUT).unwrap();
        let clone = store.clone();
        let error = store
            .read::<()>(|_| panic!("as redb does on damage"))
            .await
            .unwrap_err();
        assert!(error.is_damage(), "{error}");
        store.replace(error.to_string()).await.unwrap();
        assert!(!has_row(&clone), "every clone sees the new store");
        assert!(matches!(clone.opening(), Opening::Replaced { kept_at: Some(_), .. }));
    }
}
