//! Signed bytes, kept before they are sent.
//!
//! One small file an account, append-only. A transaction's bytes are on disk before the node sees
//! them, so that after a crash the same bytes go out again and nothing new is signed for their nonce.
//! A record that a crash cut off is recognised by its checksum and overwritten; one that the disk
//! damaged costs only itself. In memory is only where each version's bytes are.
//!
//! Layout: a header (magic line, chain id, address), then records: length of what follows the
//! checksum (4 bytes, little-endian), the first 8 bytes of its Keccak-256, then kind (1), nonce
//! (8, little-endian) and, for signed transactions, the EIP-2718 bytes.

mod disk;
mod record;
mod shared;

use std::{
    io,
    path::{Path, PathBuf},
};

use alloy_primitives::{Address, B256, Bytes};

use crate::{
    slot::{Known, Version},
    spending::Cost,
};
use disk::Disk;
use record::Kind;
pub(crate) use shared::SharedJournal;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Reading or writing failed.
    #[error("the journal {path} cannot be {action}: {source}; transactions are kept there before they are sent")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the journal {0} is in use: does another sidecar run with this data directory and this signer?")]
    InUse(PathBuf),
    /// The file is something else, or of another chain, account or version.
    #[error("the file {0} is not this account's journal on this chain, or of another version: move it away")]
    Foreign(PathBuf),
    /// Somebody else wrote to it while it could not be written.
    #[error("the journal {0} changed while it could not be written; start the sidecar anew, so that it reads it again")]
    Changed(PathBuf),
}

/// How a version relates to what the journal holds for its nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The nonce's first; whatever was kept for it was refused by the node and is void.
    First,
    /// A replacement; earlier versions may still be included.
    Replacement,
}

/// A nonce that an earlier run signed for.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) nonce: u64,
    /// Its versions, in the order in which they were signed.
    pub(crate) versions: Vec<Known>,
    /// The most that any of them may cost.
    pub(crate) cost: Cost,
}

/// The signed transactions of one account that the chain has not settled yet.
#[derive(Debug)]
pub struct Journal {
    disk: Option<Disk>,
    recovered: Vec<Recovered>,
    problem: Option<JournalError>,
}

impl Journal {
    /// No journal on disk. After a crash, what the pool still holds is found again by its refusals only.
    pub const fn in_memory() -> Self {
        Self {
            disk: None,
            recovered: Vec::new(),
            problem: None,
        }
    }

    /// Opens or creates an account's journal in a directory, which must exist. Reads and writes files;
    /// call it off the runtime's threads.
    ///
    /// A disk that is full or read-only is no error: what can be read is used, the alarm `journal` is
    /// on, and nothing is sent until the journal can be written.
    ///
    /// # Errors
    /// [`JournalError`] where the file is another's; neither a torn nor a damaged record is one.
    pub fn open(dir: &Path, chain_id: u64, address: Address) -> Result<Self, JournalError> {
        let (disk, problem) = Disk::open(dir, chain_id, address)?;
        let mut recovered = Vec::with_capacity(disk.live().len());
        for (nonce, places) in disk.live() {
            let mut versions = Vec::with_capacity(places.len());
            let mut cost = Cost::default();
            for place in places {
                let raw = disk.read(*nonce, place.hash)?;
                let version = raw
                    .and_then(Version::decode)
                    .filter(|version| version.tx.nonce == *nonce);
                if let Some(version) = version {
                    cost = cost.or(Cost::of(&version.tx));
                    versions.push(Known {
                        hash: version.hash,
                        filler: version.is_filler(address),
                    });
                }
            }
            if versions.is_empty() {
                tracing::warn!(nonce, "journal holds no transaction for a nonce that it names");
            } else {
                let nonce = *nonce;
                recovered.push(Recovered { nonce, versions, cost });
            }
        }
        Ok(Self {
            disk: Some(disk),
            recovered,
            problem,
        })
    }

    /// What an earlier run left; once.
    pub(crate) fn take_recovered(&mut self) -> Vec<Recovered> {
        std::mem::take(&mut self.recovered)
    }

    /// Why it cannot be written, as far as is known.
    pub(crate) const fn problem(&self) -> Option<&JournalError> {
        self.problem.as_ref()
    }

    /// Whether bytes that were kept can be read again, so that nobody needs to hold them.
    pub(crate) const fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Keeps a version; it is durable when this returns.
    pub(crate) fn keep(&mut self, nonce: u64, hash: B256, raw: &Bytes, keep: Keep) -> Result<(), JournalError> {
        let kind = match keep {
            Keep::First => Kind::First,
            Keep::Replacement => Kind::Replacement,
        };
        match &mut self.disk {
            Some(disk) => disk.keep(kind, nonce, hash, raw),
            None => Ok(()),
        }
    }

    /// Tries whether it can be written.
    pub(crate) fn check(&mut self) -> Result<(), JournalError> {
        self.disk.as_mut().map_or(Ok(()), Disk::check)
    }

    /// Reads a version again; `None` where it is not there.
    pub(crate) fn read(&self, nonce: u64, hash: B256) -> Result<Option<Version>, JournalError> {
        let raw = match &self.disk {
            Some(disk) => disk.read(nonce, hash)?,
            None => None,
        };
        Ok(raw.and_then(Version::decode))
    }

    /// Forgets nonces whose transactions are settled or void. Not made durable by itself: forgetting
    /// again after a crash costs nothing.
    pub(crate) fn forget(&mut self, nonces: &[u64]) -> Result<(), JournalError> {
        match &mut self.disk {
            Some(disk) => disk.forget(nonces),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use alloy_primitives::keccak256;
    use proptest::prelude::*;

    use super::*;

    const CHAIN: u64 = 84_532_001;

    fn open(dir: &tempfile::TempDir) -> Journal {
        Journal::open(dir.path(), CHAIN, Address::ZERO).unwrap()
    }

    fn file(dir: &tempfile::TempDir) -> PathBuf {
        let mut paths = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        paths.find(|path| path.extension() == Some("journal".as_ref())).unwrap()
    }

    fn keep(journal: &mut Journal, nonce: u64, raw: &[u8], keep: Keep) {
        let raw = Bytes::copy_from_slice(raw);
        journal.keep(nonce, keccak256(&raw), &raw, keep).unwrap();
    }

    /// What is kept, by nonce.
    fn live(journal: &Journal) -> BTreeMap<u64, Vec<Bytes>> {
        let disk = journal.disk.as_ref().unwrap();
        let versions = disk.live().iter().map(|(nonce, places)| {
            let raws = places
                .iter()
                .map(|place| disk.read(*nonce, place.hash).unwrap().unwrap());
            (*nonce, raws.collect())
        });
        versions.collect()
    }

    #[test]
    fn keeps_versions_and_forgets() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(&dir);
        keep(&mut journal, 7, b"a", Keep::First);
        keep(&mut journal, 7, b"b", Keep::Replacement);
        keep(&mut journal, 8, b"a", Keep::First);
        keep(&mut journal, 8, b"c", Keep::First);
        keep(&mut journal, 9, b"c", Keep::First);
        journal.forget(&[9, 10]).unwrap();
        let [a, b, c] = [b"a", b"b", b"c"].map(|raw| Bytes::from_static(raw));
        let expected = BTreeMap::from([(7, vec![a, b]), (8, vec![c])]);
        assert_eq!(live(&journal), expected);
        drop(journal);
        assert_eq!(live(&open(&dir)), expected);
    }

    #[test]
    fn a_second_process_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let _held = open(&dir);
        assert!(matches!(
            Journal::open(dir.path(), CHAIN, Address::ZERO),
            Err(JournalError::InUse(_))
        ));
    }

    #[test]
    fn another_file_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(&dir));
        fs::write(
            file(&dir),
            b"somebody's notes, longer than any header that a journal could have",
        )
        .unwrap();
        assert!(matches!(
            Journal::open(dir.path(), CHAIN, Address::ZERO),
            Err(JournalError::Foreign(_))
        ));
    }

    #[test]
    fn is_rewritten_when_most_of_it_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(&dir);
        let raw = vec![7; 100_000];
        for nonce in 0..20 {
            keep(&mut journal, nonce, &raw, Keep::First);
        }
        journal.forget(&(0..19).collect::<Vec<_>>()).unwrap();
        assert!(fs::metadata(file(&dir)).unwrap().len() < 200_000);
        keep(&mut journal, 20, b"next", Keep::First);
        let expected = BTreeMap::from([(19, vec![raw.into()]), (20, vec![Bytes::from_static(b"next")])]);
        assert_eq!(live(&journal), expected);
        drop(journal);
        assert_eq!(live(&open(&dir)), expected);
    }

    /// A directory in the file's place cannot be opened as a file, whoever tries it.
    #[test]
    fn what_cannot_be_written_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(&dir);
        keep(&mut journal, 1, b"kept", Keep::First);
        drop(journal);
        let (path, moved) = (file(&dir), dir.path().join("moved"));
        fs::rename(&path, &moved).unwrap();
        fs::create_dir(&path).unwrap();

        let mut journal = open(&dir);
        assert!(journal.problem().is_some());
        let raw = Bytes::from_static(b"new");
        let refused = journal.keep(2, keccak256(&raw), &raw, Keep::First);
        assert!(matches!(refused, Err(JournalError::Io { .. })), "{refused:?}");
        fs::remove_dir(&path).unwrap();
        keep(&mut journal, 2, b"new", Keep::First);
        assert_eq!(live(&journal).len(), 1);
        drop(journal);

        // What this process does not know of is not overwritten.
        fs::rename(&path, dir.path().join("other")).unwrap();
        fs::create_dir(&path).unwrap();
        let mut journal = open(&dir);
        fs::remove_dir(&path).unwrap();
        fs::rename(&moved, &path).unwrap();
        let refused = journal.keep(3, keccak256(&raw), &raw, Keep::First);
        assert!(matches!(refused, Err(JournalError::Changed(_))), "{refused:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_torn_or_damaged_record_costs_only_itself(cut in 0usize..484, flip in any::<bool>()) {
            let dir = tempfile::tempdir().unwrap();
            let mut journal = open(&dir);
            let start = fs::metadata(file(&dir)).unwrap().len() as usize;
            for nonce in 0..4u64 {
                keep(&mut journal, nonce, &[nonce as u8; 100], Keep::First);
            }
            drop(journal);
            let path = file(&dir);
            let mut bytes = fs::read(&path).unwrap();
            let at = start + cut;
            if flip { bytes[at] ^= 1 } else { bytes.truncate(at) }
            fs::write(&path, &bytes).unwrap();

            let hit = (cut / (record::PREFIX as usize + record::HEAD as usize + 100)) as u64;
            let expected: Vec<u64> = (0..4).filter(|nonce| *nonce < hit || (flip && *nonce > hit)).collect();
            for _ in 0..2 {
                let journal = open(&dir);
                prop_assert_eq!(live(&journal).into_keys().collect::<Vec<_>>(), expected.clone());
            }
            let mut journal = open(&dir);
            keep(&mut journal, 9, b"next", Keep::First);
            drop(journal);
            prop_assert_eq!(live(&open(&dir)).len(), expected.len() + 1);
            // The damaged file is there for whoever wants to look into it.
            let aside = fs::read_dir(dir.path()).unwrap().filter(|entry| {
                entry.as_ref().unwrap().file_name().to_string_lossy().contains(".damaged-")
            });
            prop_assert_eq!(aside.count(), usize::from(flip && hit < 3));
        }
    }
}
