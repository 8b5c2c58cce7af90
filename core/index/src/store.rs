//! A redb file in use: transactions off the runtime's threads, through full disks and damage.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use redb::{
    Database, Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition, TableError, Value,
    WriteTransaction,
};
use tracing::{info, warn};

use crate::{
    StoreError,
    opening::{self, Layout, Opening},
};

/// A redb database that survives what befalls its file: full disks, damage, a disk that takes nothing. Cheap to
/// clone; every clone is the same. Transactions run off the runtime's threads.
///
/// redb answers nothing more once the disk failed it, be it for want of room: such a file is closed, and
/// opened again by whoever asks next. Damage is remembered until somebody puts an empty store in its place.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Layout,
    path: Option<PathBuf>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Held for reading by each transaction, so that a file is never closed under one.
    current: RwLock<Current>,
    damage: Mutex<Option<String>>,
    /// Held by whoever mends the file.
    mending: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Current {
    /// `None` after the disk failed.
    database: Option<Database>,
    opening: Opening,
}

impl Store {
    /// Opens the file at `path`, or a store in memory. Blocks on the disk.
    ///
    /// An older schema is replaced by an empty store, and so is a damaged file, which is moved aside: where the
    /// content can be had again. Else it is left as it is. Where the file cannot be written, memory takes its place.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] and [`StoreError::InUse`] leave the file alone; [`StoreError::Unrecoverable`] for a
    /// damaged file that is not rebuildable; [`StoreError::Open`] where its directory is not there, or the disk fails.
    pub fn open(path: Option<&Path>, layout: Layout) -> Result<Self, StoreError> {
        let (database, opening) = match path {
            None => (opening::in_memory(layout)?, Opening::InMemory),
            Some(path) => opening::open(path, layout)?,
        };
        // A store that fell back to memory never looks at the file again.
        let path = path.filter(|_| !matches!(opening, Opening::Unwritable { .. }));
        Ok(Self {
            layout,
            path: path.map(Path::to_owned),
            state: Arc::new(State {
                current: RwLock::new(Current {
                    database: Some(database),
                    opening,
                }),
                damage: Mutex::default(),
                mending: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// How the store was opened.
    pub fn opening(&self) -> Opening {
        let current = self.state.current.read().unwrap_or_else(PoisonError::into_inner);
        current.opening.clone()
    }

    /// Runs a read transaction on a thread that may block.
    ///
    /// # Errors
    /// What `read` says, or [`StoreError`] where the store cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |database| read(&database.begin_read()?)).await
    }

    /// Runs a write transaction on a thread that may block; it is on disk when this returns. Once
    /// begun it runs to its end, even if the caller goes away.
    ///
    /// # Errors
    /// What `write` says, or [`StoreError`] where the store cannot be written; then nothing is.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(move |database| opening::transact(database, write)).await
    }

    /// What is wrong with the file, if a transaction found it damaged.
    pub fn damage(&self) -> Option<String> {
        self.state.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts an empty store in place of one that turned out to be damaged while in use.
    ///
    /// # Errors
    /// [`StoreError`] where the file cannot be moved aside or a new one made.
    pub async fn replace(&self, reason: String) -> Result<(), StoreError> {
        let store = self.clone();
        off_thread(move || {
            let mut current = store.state.current.write().unwrap_or_else(PoisonError::into_inner);
            // Dropping a database that is damaged may panic as using it does.
            let closed = current.database.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(closed)));
            let (database, opening) = match &store.path {
                None => (opening::in_memory(store.layout)?, Opening::InMemory),
                Some(path) => opening::replace_file(path, store.layout, reason)?,
            };
            *current = Current {
                database: Some(database),
                opening,
            };
            *store.state.damage.lock().unwrap_or_else(PoisonError::into_inner) = None;
            Ok(())
        })
        .await
    }

    /// Puts an empty store in place of one that turned out to be damaged, if nobody did so yet, and writes with
    /// `prepare` what it has to hold. True where it was this call that mended it.
    ///
    /// # Errors
    /// As [`replace`](Self::replace) and [`write`](Self::write).
    pub async fn mend(
        &self,
        prepare: impl FnOnce(&WriteTransaction) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<bool, StoreError> {
        // Whoever comes second finds it mended.
        let _alone = self.state.mending.lock().await;
        let Some(reason) = self.damage() else {
            return Ok(false);
        };
        self.replace(reason).await?;
        self.write(prepare).await?;
        Ok(true)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        off_thread(move || {
            let result = store.with_database(work);
            if let Err(error) = &result {
                store.note(error);
            }
            result.map_err(|error| store.explain(error))
        })
        .await
    }

    fn with_database<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let current = self.state.current.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(database) = &current.database {
                // redb panics on some damage that it did not expect; that is damage too, and nothing worse.
                return catch_unwind(AssertUnwindSafe(|| work(database)))
                    .unwrap_or_else(|_| Err(StoreError::Damaged("a transaction panicked on what it read".to_owned())));
            }
            drop(current);
            self.open_again()?;
        }
    }

    /// Opens a file that was closed because the disk failed.
    fn open_again(&self) -> Result<(), StoreError> {
        let path = self.path.as_ref().ok_or(StoreError::Stopped)?;
        let mut current = self.state.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.database.is_none() {
            current.database = Some(opening::reopen(path, self.layout)?);
            info!(path = %path.display(), "the {} is open again", self.layout.name);
        }
        Ok(())
    }

    /// Draws the consequence of an error.
    fn note(&self, error: &StoreError) {
        if error.is_damage() {
            let mut damage = self.state.damage.lock().unwrap_or_else(PoisonError::into_inner);
            damage.get_or_insert_with(|| error.to_string());
        } else if error.is_of_disk() && self.path.is_some() {
            let mut current = self.state.current.write().unwrap_or_else(PoisonError::into_inner);
            if current.database.take().is_some() {
                warn!(%error, "the disk fails the {}; it is opened again when it is asked", self.layout.name);
            }
        }
    }

    /// Names the file in an error of the disk, and what to do about damage that only a person can mend.
    fn explain(&self, error: StoreError) -> StoreError {
        match (&self.path, error) {
            (Some(path), StoreError::Storage(source)) if opening::is_of_disk(&source) => StoreError::Disk {
                path: path.clone(),
                source,
            },
            (Some(path), error) if error.is_damage() && !self.layout.rebuildable => StoreError::Unrecoverable {
                name: self.layout.name,
                path: path.clone(),
                holds: self.layout.holds,
                reason: match error {
                    StoreError::Damaged(reason) => reason,
                    error => error.to_string(),
                },
                copy: None,
            },
            (_, error) => error,
        }
    }
}

/// A table to read; `None` where nothing was ever written to it.
///
/// # Errors
/// [`StoreError`] where it cannot be read, or is of other types.
pub fn table<K: Key + 'static, V: Value + 'static>(
    transaction: &ReadTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, StoreError> {
    match transaction.open_table(definition) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(StoreError::Stopped))
}
