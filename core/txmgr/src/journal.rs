//! Signed bytes, kept before they are sent.
//!
//! One small file an account, append-only. A transaction's bytes are on disk before the node sees
//! them, so that after a crash the same bytes go out again and nothing new is signed for their nonce.
//! A record that a crash cut off is recognised by its checksum and overwritten.
//!
//! Layout: a header (magic line, chain id, address), then records: length of what follows the
//! checksum (4 bytes, little-endian), the first 8 bytes of its Keccak-256, then kind (1), nonce
//! (8, little-endian) and, for signed transactions, the EIP-2718 bytes.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::{Address, Bytes, keccak256};

const MAGIC: &[u8] = b"set-txmgr journal 1\n";
/// Below this size a file is not worth rewriting.
const COMPACT_FROM: u64 = 1 << 20;
/// Bytes of a record before its body.
const PREFIX: usize = 12;
/// No record is larger: a pool takes 128 KiB a transaction.
const MAX_BODY: usize = 1 << 20;

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
}

/// How a version relates to what the journal holds for its nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The nonce's first; whatever was kept for it was refused by the node and is void.
    First = 1,
    /// A replacement; earlier versions may still be included.
    Replacement = 2,
}

const FORGET: u8 = 3;

/// The signed transactions of one account that the chain has not settled yet.
#[derive(Debug)]
pub struct Journal {
    live: BTreeMap<u64, Vec<Bytes>>,
    disk: Option<Disk>,
}

#[derive(Debug)]
struct Disk {
    path: PathBuf,
    file: File,
    header: Vec<u8>,
    /// Where the next record goes: after the last whole one.
    end: u64,
    /// Held as long as the journal is.
    _lock: File,
}

impl Journal {
    /// A journal that lives as long as the process. After a crash, what the pool still holds is found
    /// again by its refusals only.
    pub const fn in_memory() -> Self {
        Self {
            live: BTreeMap::new(),
            disk: None,
        }
    }

    /// Opens or creates an account's journal in a directory, which must exist. Reads and writes files;
    /// call it off the runtime's threads.
    ///
    /// # Errors
    /// [`JournalError`]; a torn record at the end is none.
    pub fn open(dir: &Path, chain_id: u64, address: Address) -> Result<Self, JournalError> {
        let path = dir.join(format!("transactions-{chain_id}-{address:#x}.journal"));
        let io = |action| {
            let path = path.clone();
            move |source| JournalError::Io { path, action, source }
        };
        let lock = open_file(&path.with_extension("lock")).map_err(io("locked"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(path)),
            Err(TryLockError::Error(source)) => return Err(io("locked")(source)),
        }
        let mut header = MAGIC.to_vec();
        header.extend(chain_id.to_le_bytes());
        header.extend(address.as_slice());

        let mut file = open_file(&path).map_err(io("opened"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("read"))?;
        if bytes.len() < header.len() && header.starts_with(&bytes) {
            // New, or cut off while it was made.
            rewrite(&mut file, &header).map_err(io("written"))?;
            sync_dir(dir).map_err(io("written"))?;
            bytes = header.clone();
        }
        if !bytes.starts_with(&header) {
            return Err(JournalError::Foreign(path));
        }
        let mut live = BTreeMap::new();
        let mut end = header.len();
        while let Some((body, next)) = record_at(&bytes, end) {
            replay(&mut live, body);
            end = next;
        }
        if end < bytes.len() {
            tracing::warn!(file = %path.display(), bytes = bytes.len() - end, "journal ends in a torn record, which is dropped");
            file.set_len(end as u64).map_err(io("written"))?;
        }
        Ok(Self {
            live,
            disk: Some(Disk {
                path,
                file,
                header,
                end: end as u64,
                _lock: lock,
            }),
        })
    }

    /// What is kept, by nonce; versions of a nonce in the order in which they were signed.
    pub(crate) const fn live(&self) -> &BTreeMap<u64, Vec<Bytes>> {
        &self.live
    }

    /// Keeps a version; it is durable when this returns.
    pub(crate) fn keep(&mut self, nonce: u64, raw: &Bytes, keep: Keep) -> Result<(), JournalError> {
        if let Some(disk) = &mut self.disk {
            disk.append(&encode(keep as u8, nonce, raw), true)?;
        }
        let versions = self.live.entry(nonce).or_default();
        if keep == Keep::First {
            versions.clear();
        }
        versions.push(raw.clone());
        Ok(())
    }

    /// Forgets nonces whose transactions are settled or void. Not made durable by itself: forgetting
    /// again after a crash costs nothing.
    pub(crate) fn forget(&mut self, nonces: &[u64]) -> Result<(), JournalError> {
        for nonce in nonces {
            if self.live.remove(nonce).is_some()
                && let Some(disk) = &mut self.disk
            {
                disk.append(&encode(FORGET, *nonce, &[]), false)?;
            }
        }
        let kept: usize = self.live.values().flatten().map(|raw| raw.len() + 64).sum();
        match &mut self.disk {
            Some(disk) if disk.end > COMPACT_FROM && disk.end > 2 * kept as u64 => disk.compact(&self.live),
            _ => Ok(()),
        }
    }
}

impl Disk {
    fn error(&self, action: &'static str) -> impl FnOnce(io::Error) -> JournalError + use<> {
        let path = self.path.clone();
        move |source| JournalError::Io { path, action, source }
    }

    fn append(&mut self, record: &[u8], durable: bool) -> Result<(), JournalError> {
        let mut write = || {
            // Always at the end of the last whole record, so that one torn by a full disk is overwritten.
            self.file.seek(SeekFrom::Start(self.end))?;
            self.file.write_all(record)?;
            if durable { self.file.sync_data() } else { Ok(()) }
        };
        write().map_err(self.error("written"))?;
        self.end += record.len() as u64;
        Ok(())
    }

    /// Writes what is live into a new file and puts that in the old one's place.
    fn compact(&mut self, live: &BTreeMap<u64, Vec<Bytes>>) -> Result<(), JournalError> {
        let mut bytes = self.header.clone();
        for (nonce, versions) in live {
            for raw in versions {
                bytes.extend(encode(Keep::Replacement as u8, *nonce, raw));
            }
        }
        let replace = || {
            let new = self.path.with_extension("new");
            let mut file = open_file(&new)?;
            rewrite(&mut file, &bytes)?;
            fs::rename(&new, &self.path)?;
            Ok(file)
        };
        // From the rename on the name stands for the new file, whatever fails after it.
        self.file = replace().map_err(self.error("compacted"))?;
        self.end = bytes.len() as u64;
        sync_dir(self.path.parent().unwrap_or(Path::new("."))).map_err(self.error("compacted"))
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn rewrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a new or renamed file's name durable.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn encode(kind: u8, nonce: u64, raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(9 + raw.len());
    body.push(kind);
    body.extend(nonce.to_le_bytes());
    body.extend(raw);
    let mut record = Vec::with_capacity(PREFIX + body.len());
    record.extend((body.len() as u32).to_le_bytes());
    record.extend(&keccak256(&body)[..8]);
    record.extend(body);
    record
}

/// The body of the record at `start` and where the next one starts, or `None` at the end or at a torn one.
fn record_at(bytes: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let prefix = bytes.get(start..start + PREFIX)?;
    let len = u32::from_le_bytes(prefix[..4].try_into().ok()?) as usize;
    if !(9..=MAX_BODY).contains(&len) {
        return None;
    }
    let end = start + PREFIX + len;
    let body = bytes.get(start + PREFIX..end)?;
    (keccak256(body)[..8] == prefix[4..]).then_some((body, end))
}

fn replay(live: &mut BTreeMap<u64, Vec<Bytes>>, body: &[u8]) {
    let (kind, rest) = (body[0], &body[1..]);
    let (nonce, raw) = rest.split_at(8);
    let nonce = u64::from_le_bytes(nonce.try_into().unwrap_or_default());
    let raw = Bytes::copy_from_slice(raw);
    if kind == Keep::First as u8 {
        live.insert(nonce, vec![raw]);
    } else if kind == Keep::Replacement as u8 {
        live.entry(nonce).or_default().push(raw);
    } else if kind == FORGET {
        live.remove(&nonce);
    }
}

/// The journal as tasks share it. Every access is a blocking one, off the runtime's threads.
#[derive(Debug, Clone)]
pub(crate) struct SharedJournal(Arc<Mutex<Journal>>);

impl SharedJournal {
    pub(crate) fn new(journal: Journal) -> Self {
        Self(Arc::new(Mutex::new(journal)))
    }

    pub(crate) async fn keep(&self, nonce: u64, raw: Bytes, keep: Keep) -> Result<(), String> {
        self.access(move |journal| journal.keep(nonce, &raw, keep)).await
    }

    pub(crate) async fn forget(&self, nonces: Vec<u64>) -> Result<(), String> {
        self.access(move |journal| journal.forget(&nonces)).await
    }

    async fn access(
        &self,
        action: impl FnOnce(&mut Journal) -> Result<(), JournalError> + Send + 'static,
    ) -> Result<(), String> {
        let journal = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            // A panic while appending leaves at worst a torn record, which the next append overwrites.
            action(&mut journal.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match done.await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err("writing the journal was interrupted".into()),
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn keeps_versions_and_forgets() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, c) = (
            Bytes::from_static(b"a"),
            Bytes::from_static(b"b"),
            Bytes::from_static(b"c"),
        );
        let mut journal = open(&dir);
        journal.keep(7, &a, Keep::First).unwrap();
        journal.keep(7, &b, Keep::Replacement).unwrap();
        journal.keep(8, &a, Keep::First).unwrap();
        journal.keep(8, &c, Keep::First).unwrap();
        journal.keep(9, &c, Keep::First).unwrap();
        journal.forget(&[9, 10]).unwrap();
        drop(journal);
        let journal = open(&dir);
        assert_eq!(journal.live(), &BTreeMap::from([(7, vec![a, b]), (8, vec![c])]));
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
        let raw = Bytes::from(vec![7; 100_000]);
        for nonce in 0..20 {
            journal.keep(nonce, &raw, Keep::First).unwrap();
        }
        journal.forget(&(0..19).collect::<Vec<_>>()).unwrap();
        assert!(fs::metadata(file(&dir)).unwrap().len() < 200_000);
        journal.keep(20, &raw, Keep::First).unwrap();
        drop(journal);
        assert_eq!(open(&dir).live().keys().collect::<Vec<_>>(), [&19, &20]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_torn_write_costs_only_itself(cut in 0usize..400, flip in any::<bool>()) {
            let dir = tempfile::tempdir().unwrap();
            let mut journal = open(&dir);
            let start = fs::metadata(file(&dir)).unwrap().len() as usize;
            for nonce in 0..4u64 {
                journal.keep(nonce, &Bytes::from(vec![nonce as u8; 100]), Keep::First).unwrap();
            }
            drop(journal);
            let path = file(&dir);
            let mut bytes = fs::read(&path).unwrap();
            let at = start + cut;
            if flip { bytes[at] ^= 1 } else { bytes.truncate(at) }
            fs::write(&path, &bytes).unwrap();

            let whole = (cut / (PREFIX + 9 + 100)) as u64;
            let mut journal = open(&dir);
            prop_assert_eq!(journal.live().keys().copied().collect::<Vec<_>>(), (0..whole).collect::<Vec<_>>());
            journal.keep(9, &Bytes::from_static(b"next"), Keep::First).unwrap();
            drop(journal);
            prop_assert_eq!(open(&dir).live().len() as u64, whole + 1);
        }
    }
}
