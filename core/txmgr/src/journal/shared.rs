//! The journal as tasks share it.

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{B256, Bytes};

use super::{Journal, JournalError, Keep};
use crate::slot::Version;

/// A journal that several tasks use. Every access is a blocking one, off the runtime's threads.
#[derive(Debug, Clone)]
pub(crate) struct SharedJournal(Arc<Mutex<Journal>>);

impl SharedJournal {
    pub(crate) fn new(journal: Journal) -> Self {
        Self(Arc::new(Mutex::new(journal)))
    }

    pub(crate) async fn keep(&self, nonce: u64, hash: B256, raw: Bytes, keep: Keep) -> Result<(), String> {
        self.access(move |journal| journal.keep(nonce, hash, &raw, keep)).await
    }

    pub(crate) async fn check(&self) -> Result<(), String> {
        self.access(Journal::check).await
    }

    pub(crate) async fn read(&self, nonce: u64, hash: B256) -> Result<Option<Version>, String> {
        self.access(move |journal| journal.read(nonce, hash)).await
    }

    pub(crate) async fn forget(&self, nonces: Vec<u64>) -> Result<(), String> {
        self.access(move |journal| journal.forget(&nonces)).await
    }

    async fn access<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, String> {
        let journal = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            // A panic while appending leaves at worst a torn record, which the next append overwrites.
            action(&mut journal.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match done.await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err("the journal's access was interrupted".into()),
        }
    }
}
