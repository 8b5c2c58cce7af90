//! The durable store: the little that the chain cannot answer.

use std::path::Path;

use alloy_primitives::B256;
use redb::{ReadTransaction, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use set_types::{BatchId, Commitment, StreamId, Timestamp};

use crate::{
    Opening, StoreError,
    opening::Layout,
    store::{Store, table},
};

const LAYOUT: Layout = Layout {
    name: "durable store",
    holds: "the commitments kept back, the report conflicts and the plugins' values",
    version: 1,
    cache_bytes: 4 << 20,
    rebuildable: false,
};

/// Batch id → [`QuarantineEntry`] as JSON: a handful of rows, read by people with tools.
const QUARANTINE: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("quarantine");
/// Batch id → [`ReportConflict`] as JSON.
const CONFLICTS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("report_conflicts");
/// Plugin id, key → value.
const PLUGIN_VALUES: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("plugin_values");

/// Longest key that a plugin may keep a value under, in bytes.
pub const MAX_PLUGIN_KEY: usize = 512;
/// Largest value that a plugin may keep, in bytes.
pub const MAX_PLUGIN_VALUE: usize = 1 << 20;

/// What kind of fault keeps a commitment back. All but [`QuarantineCause::Refused`] are looked for anew
/// after a restart, at no cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineCause {
    /// It cannot be read, or the registry would refuse its shape on any head.
    Malformed,
    /// The source lists it with another content than before.
    Changed,
    /// Its previous state root is not the state root of its stream's head.
    Discontinuous,
    /// The chain is past its range and does not hold it.
    Absent,
    /// The chain holds its id with other content.
    Conflict,
    /// Its state root is not what VES v1 gives.
    StateRoot,
    /// The source's own inclusion proof does not lead to its events root.
    EventsRoot,
    /// The submitter cannot express it.
    Excluded,
    /// It was sent again and again, and never continued the head.
    OutOfOrder,
    /// The contract refused it in a transaction. Trying again costs gas, so a restart does not.
    Refused,
}

impl QuarantineCause {
    /// The cause as metrics and JSON name it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Changed => "changed",
            Self::Discontinuous => "discontinuous",
            Self::Absent => "absent",
            Self::Conflict => "conflict",
            Self::StateRoot => "state_root",
            Self::EventsRoot => "events_root",
            Self::Excluded => "excluded",
            Self::OutOfOrder => "out_of_order",
            Self::Refused => "refused",
        }
    }
}

/// A commitment that is kept back until somebody decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineEntry {
    /// The commitment.
    pub batch_id: BatchId,
    /// Its stream, where it can be read; the stream waits.
    pub stream: Option<StreamId>,
    /// What kind of fault it is.
    pub cause: QuarantineCause,
    /// What is wrong, in terms of what can be changed.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// The commitment as the source listed it, where it could be read.
    pub commitment: Option<Commitment>,
}

/// A report that the source answered with another transaction's hash. Final, and worth a person's look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportConflict {
    /// The commitment.
    pub batch_id: BatchId,
    /// The transaction that holds it on chain.
    pub tx_hash: B256,
    /// The hash that the source has recorded, where it tells.
    pub recorded: Option<B256>,
    /// What the source said.
    pub reason: String,
    /// When it said so.
    pub since: Timestamp,
    /// Whether the operator has dealt with it: it raises no alarm any more, and is never reported again.
    #[serde(default)]
    pub dismissed: bool,
}

/// What must outlive a restart and cannot be read back from the chain. Cheap to clone; every clone is
/// the same store. A write is on disk when its call returns.
#[derive(Debug, Clone)]
pub struct Durable {
    store: Store,
}

impl Durable {
    /// Opens the file, or a store in memory where `path` is `None`. The whole file is checked. Where it can be
    /// read but not written, a copy of it in memory is used, and an error in the log says so.
    ///
    /// # Errors
    /// [`StoreError::Unrecoverable`] if it is damaged, [`StoreError::NewerSchema`] and [`StoreError::InUse`],
    /// all of which leave the file alone; [`StoreError::Open`] where it cannot be read.
    pub async fn open(path: Option<&Path>) -> Result<Self, StoreError> {
        let path = path.map(Path::to_owned);
        let opened = tokio::task::spawn_blocking(move || Store::open(path.as_deref(), LAYOUT)).await;
        Ok(Self {
            store: opened.map_err(|_| StoreError::Stopped)??,
        })
    }

    /// How the store was opened.
    pub fn opening(&self) -> Opening {
        self.store.opening()
    }

    /// Keeps commitments back, in one transaction; an entry for the same batch is replaced.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written; then none is kept.
    pub async fn quarantine(&self, entries: Vec<QuarantineEntry>) -> Result<(), StoreError> {
        let rows = entries.iter().map(|entry| (entry.batch_id, entry)).collect();
        self.put_json(QUARANTINE, rows).await
    }

    /// Lets commitments go, in one transaction; says how many were kept back.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written; then none is let go.
    pub async fn release(&self, batches: Vec<BatchId>) -> Result<usize, StoreError> {
        self.remove(QUARANTINE, batches).await
    }

    /// Everything that is kept back, by batch id.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn quarantined(&self) -> Result<Vec<QuarantineEntry>, StoreError> {
        self.store.read(|transaction| all_json(transaction, QUARANTINE)).await
    }

    /// Records a conflict; an earlier one for the same batch is replaced.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written.
    pub async fn record_conflict(&self, conflict: ReportConflict) -> Result<(), StoreError> {
        self.put_json(CONFLICTS, vec![(conflict.batch_id, &conflict)]).await
    }

    /// Every conflict on record, by batch id.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn conflicts(&self) -> Result<Vec<ReportConflict>, StoreError> {
        self.store.read(|transaction| all_json(transaction, CONFLICTS)).await
    }

    /// Forgets conflicts, in one transaction; says how many were on record.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written; then none is forgotten.
    pub async fn forget_conflicts(&self, batches: Vec<BatchId>) -> Result<usize, StoreError> {
        self.remove(CONFLICTS, batches).await
    }

    /// A plugin's value under `key`. No plugin sees another's.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn plugin_value(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.store
            .read(move |transaction| {
                let Some(table) = table(transaction, PLUGIN_VALUES)? else {
                    return Ok(None);
                };
                Ok(table
                    .get((plugin.as_str(), key.as_str()))?
                    .map(|value| value.value().to_vec()))
            })
            .await
    }

    /// Keeps a plugin's value under `key`; `None` removes it.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] past [`MAX_PLUGIN_KEY`] or [`MAX_PLUGIN_VALUE`]; else [`StoreError`]
    /// where the store cannot be written.
    pub async fn set_plugin_value(&self, plugin: &str, key: &str, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        let too_large = |what, length, limit| StoreError::TooLarge {
            what: format!("{what} of `{plugin}`"),
            length,
            limit,
        };
        if key.len() > MAX_PLUGIN_KEY {
            return Err(too_large("a key", key.len(), MAX_PLUGIN_KEY));
        }
        if let Some(length) = value.as_ref().map(Vec::len).filter(|length| *length > MAX_PLUGIN_VALUE) {
            return Err(too_large("a value", length, MAX_PLUGIN_VALUE));
        }
        let (plugin, key) = (plugin.to_owned(), key.to_owned());
        self.store
            .write(move |transaction| {
                let mut table = transaction.open_table(PLUGIN_VALUES)?;
                let row = (plugin.as_str(), key.as_str());
                match &value {
                    Some(value) => drop(table.insert(row, value.as_slice())?),
                    None => drop(table.remove(row)?),
                }
                Ok(())
            })
            .await
    }

    async fn remove(
        &self,
        definition: TableDefinition<'static, &[u8; 32], &[u8]>,
        batches: Vec<BatchId>,
    ) -> Result<usize, StoreError> {
        self.store
            .write(move |transaction| {
                let mut table = transaction.open_table(definition)?;
                let mut removed = 0;
                for batch_id in batches {
                    removed += usize::from(table.remove(&batch_id.to_b256().0)?.is_some());
                }
                Ok(removed)
            })
            .await
    }

    async fn put_json<T: Serialize>(
        &self,
        definition: TableDefinition<'static, &[u8; 32], &[u8]>,
        rows: Vec<(BatchId, &T)>,
    ) -> Result<(), StoreError> {
        let encode = |row: &T| serde_json::to_vec(row).map_err(|error| StoreError::Damaged(error.to_string()));
        let rows = rows
            .into_iter()
            .map(|(batch_id, row)| Ok((batch_id.to_b256(), encode(row)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        self.store
            .write(move |transaction| {
                let mut table = transaction.open_table(definition)?;
                for (id, json) in &rows {
                    table.insert(&id.0, json.as_slice())?;
                }
                Ok(())
            })
            .await
    }
}

fn all_json<T: DeserializeOwned>(
    transaction: &ReadTransaction,
    definition: TableDefinition<'_, &[u8; 32], &[u8]>,
) -> Result<Vec<T>, StoreError> {
    let Some(table) = table(transaction, definition)? else {
        return Ok(vec![]);
    };
    table
        .iter()?
        .map(|row| serde_json::from_slice(row?.1.value()).map_err(|error| StoreError::Damaged(error.to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(byte: u8, reason: &str) -> QuarantineEntry {
        QuarantineEntry {
            batch_id: B256::repeat_byte(byte).into(),
            stream: None,
            cause: QuarantineCause::Refused,
            reason: reason.to_owned(),
            since: Timestamp::UNIX_EPOCH,
            commitment: None,
        }
    }

    #[tokio::test]
    async fn what_was_kept_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("durable.redb");
        let conflict = ReportConflict {
            batch_id: B256::repeat_byte(3).into(),
            tx_hash: B256::repeat_byte(4),
            recorded: Some(B256::repeat_byte(5)),
            reason: "another hash".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            dismissed: false,
        };
        let store = Durable::open(Some(&path)).await.unwrap();
        store
            .quarantine(vec![entry(2, "first"), entry(1, "a gap")])
            .await
            .unwrap();
        store.quarantine(vec![entry(2, "again")]).await.unwrap();
        store.record_conflict(conflict.clone()).await.unwrap();
        store
            .set_plugin_value("source", "cursor", Some(b"7".to_vec()))
            .await
            .unwrap();
        drop(store);

        let store = Durable::open(Some(&path)).await.unwrap();
        assert_eq!(store.opening(), Opening::Existing);
        assert_eq!(
            store.quarantined().await.unwrap(),
            [entry(1, "a gap"), entry(2, "again")]
        );
        assert_eq!(store.conflicts().await.unwrap(), std::slice::from_ref(&conflict));
        assert_eq!(
            store.plugin_value("source", "cursor").await.unwrap().as_deref(),
            Some(&b"7"[..])
        );
        assert_eq!(
            store.plugin_value("policy", "cursor").await.unwrap(),
            None,
            "no plugin sees another's"
        );
        let released = store
            .release(vec![entry(1, "").batch_id, entry(9, "").batch_id])
            .await
            .unwrap();
        assert_eq!((released, store.quarantined().await.unwrap().len()), (1, 1));
        assert_eq!(store.forget_conflicts(vec![conflict.batch_id]).await.unwrap(), 1);
        assert_eq!(store.conflicts().await.unwrap(), []);
        store.set_plugin_value("source", "cursor", None).await.unwrap();
        assert_eq!(store.plugin_value("source", "cursor").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_empty_store_answers() {
        let store = Durable::open(None).await.unwrap();
        assert_eq!(store.opening(), Opening::InMemory);
        assert_eq!(store.quarantined().await.unwrap(), []);
        assert_eq!(store.conflicts().await.unwrap(), []);
        assert_eq!(store.release(vec![entry(1, "").batch_id]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_by_name() {
        let store = Durable::open(None).await.unwrap();
        let value = Some(vec![0; MAX_PLUGIN_VALUE + 1]);
        let error = store
            .set_plugin_value("greedy", "key", value)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("a value of `greedy` has 1048577 bytes"), "{error}");
        let error = store
            .set_plugin_value("greedy", &"k".repeat(513), None)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("a key of `greedy`"), "{error}");
    }
}
