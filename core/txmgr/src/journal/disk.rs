//! The journal's file. It may become unwritable and writable again at any time.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, Bytes, keccak256};

use super::{
    JournalError,
    record::{self, HEAD, Kind, PREFIX, Record},
};

const MAGIC: &[u8] = b"set-txmgr journal 1\n";
/// Below this size a file is not worth rewriting.
const COMPACT_FROM: u64 = 1 << 20;

/// Where a version's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) hash: B256,
    at: u64,
    len: u32,
}

/// Versions by nonce, in the order in which they were signed.
pub(super) type Live = BTreeMap<u64, Vec<Place>>;

/// An account's file.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    header: Vec<u8>,
    live: Live,
    /// `None` as long as the file cannot be written.
    writer: Option<Writer>,
}

/// The file, open for writing.
#[derive(Debug)]
struct Writer {
    file: File,
    /// Where the next record goes: after the last whole one.
    end: u64,
    /// Held as long as the file is.
    _lock: File,
}

impl Disk {
    /// Opens an account's file and reads what it holds, where it can; gives also why it cannot be
    /// written, if it cannot.
    pub(super) fn open(
        dir: &Path,
        chain_id: u64,
        address: Address,
    ) -> Result<(Self, Option<JournalError>), JournalError> {
        let mut header = MAGIC.to_vec();
        header.extend(chain_id.to_le_bytes());
        header.extend(address.as_slice());
        let mut disk = Self {
            path: dir.join(format!("transactions-{chain_id}-{address:#x}.journal")),
            header,
            live: Live::new(),
            writer: None,
        };
        match disk.open_writer() {
            Ok((writer, live)) => {
                disk.writer = Some(writer);
                disk.live = live;
                Ok((disk, None))
            }
            Err(problem @ JournalError::Io { .. }) => {
                disk.live = disk.read_only()?;
                Ok((disk, Some(problem)))
            }
            Err(problem) => Err(problem),
        }
    }

    pub(super) const fn live(&self) -> &Live {
        &self.live
    }

    /// What the file holds, if there is one that can be read.
    fn read_only(&self) -> Result<Live, JournalError> {
        let Ok(mut file) = File::open(&self.path) else {
            return Ok(Live::new());
        };
        let mut found = vec![0; self.header.len()];
        match file.read_exact(&mut found) {
            Ok(()) if found == self.header => {}
            Ok(()) => return Err(JournalError::Foreign(self.path.clone())),
            Err(_) => return Ok(Live::new()),
        }
        let mut live = Live::new();
        let start = self.header.len() as u64;
        record::scan(BufReader::new(file), start, |record| replay(&mut live, &record)).map_err(self.error("read"))?;
        Ok(live)
    }

    /// Takes the lock, opens the file, reads it, and mends what a crash or a fault of the disk left.
    fn open_writer(&self) -> Result<(Writer, Live), JournalError> {
        let lock = open_file(&self.path.with_extension("lock")).map_err(self.error("locked"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(self.path.clone())),
            Err(TryLockError::Error(source)) => return Err(self.error("locked")(source)),
        }
        let mut file = open_file(&self.path).map_err(self.error("opened"))?;
        let start = self.header.len() as u64;
        let mut found = Vec::new();
        Read::by_ref(&mut file)
            .take(start)
            .read_to_end(&mut found)
            .map_err(self.error("read"))?;
        if found.len() < self.header.len() && self.header.starts_with(&found) {
            // New, or cut off while it was made.
            rewrite(&mut file, &self.header)
                .and_then(|()| sync_dir(&self.path))
                .map_err(self.error("written"))?;
        } else if found != self.header {
            return Err(JournalError::Foreign(self.path.clone()));
        }
        let mut live = Live::new();
        let extent = record::scan(BufReader::new(&file), start, |record| replay(&mut live, &record))
            .map_err(self.error("read"))?;
        if extent.torn > 0 {
            tracing::warn!(file = %self.path.display(), bytes = extent.torn, "journal ends in a torn record, which is dropped");
        }
        let mut writer = Writer {
            file,
            end: extent.end,
            _lock: lock,
        };
        if extent.damaged {
            self.put_aside();
            self.compact(&mut writer, &mut live)?;
        } else if extent.torn > 0 {
            writer.file.set_len(extent.end).map_err(self.error("written"))?;
        }
        Ok((writer, live))
    }

    /// Keeps a copy of a damaged file, for whoever wants to know what was in it.
    fn put_aside(&self) {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let copy = self.path.with_extension(format!("damaged-{seconds}"));
        let copied = fs::copy(&self.path, &copy);
        tracing::error!(
            file = %self.path.display(), copy = %copy.display(), copied = copied.is_ok(),
            "journal is damaged; what can be read of it is used, and the chain says what became of the rest"
        );
    }

    /// The file, ready to be written; tried anew where it was not.
    fn writer(&mut self) -> Result<&mut Writer, JournalError> {
        if self.writer.is_none() {
            let (writer, live) = self.open_writer()?;
            let same = live.len() == self.live.len()
                && live.iter().zip(&self.live).all(|((nonce, places), (known, mine))| {
                    nonce == known
                        && places
                            .iter()
                            .map(|place| place.hash)
                            .eq(mine.iter().map(|place| place.hash))
                });
            if !same {
                return Err(JournalError::Changed(self.path.clone()));
            }
            self.live = live;
            self.writer = Some(writer);
        }
        // It was put there just now at the latest.
        self.writer
            .as_mut()
            .ok_or_else(|| JournalError::Changed(self.path.clone()))
    }

    /// Keeps a version; it is durable when this returns.
    pub(super) fn keep(&mut self, kind: Kind, nonce: u64, hash: B256, raw: &Bytes) -> Result<(), JournalError> {
        let written = self.error("written");
        let at = self
            .writer()?
            .append(&record::encode(kind, nonce, raw), true)
            .map_err(written)?;
        let place = Place::new(hash, at, raw.len());
        put(&mut self.live, kind, nonce, place);
        Ok(())
    }

    /// Writes what says nothing, to see whether that can be done.
    pub(super) fn check(&mut self) -> Result<(), JournalError> {
        let written = self.error("written");
        let nothing = record::encode(Kind::Forget, u64::MAX, &[]);
        self.writer()?.append(&nothing, true).map(drop).map_err(written)
    }

    /// Reads a version's bytes.
    pub(super) fn read(&self, nonce: u64, hash: B256) -> Result<Option<Bytes>, JournalError> {
        let mut places = self.live.get(&nonce).into_iter().flatten();
        let Some(place) = places.find(|place| place.hash == hash) else {
            return Ok(None);
        };
        let raw = match &self.writer {
            Some(writer) => place.read(&writer.file),
            None => File::open(&self.path).and_then(|file| place.read(&file)),
        };
        let raw = raw.map_err(self.error("read"))?;
        Ok((keccak256(&raw) == hash).then_some(raw))
    }

    /// Forgets nonces. Not made durable by itself: forgetting again after a crash costs nothing.
    pub(super) fn forget(&mut self, nonces: &[u64]) -> Result<(), JournalError> {
        for nonce in nonces {
            if self.live.contains_key(nonce) {
                let written = self.error("written");
                let record = record::encode(Kind::Forget, *nonce, &[]);
                self.writer()?.append(&record, false).map_err(written)?;
                self.live.remove(nonce);
            }
        }
        let kept: u64 = self
            .live
            .values()
            .flatten()
            .map(|place| u64::from(place.len) + 64)
            .sum();
        match self.writer.take() {
            Some(mut writer) if writer.end > COMPACT_FROM && writer.end > 2 * kept => {
                let mut live = std::mem::take(&mut self.live);
                let compacted = self.compact(&mut writer, &mut live);
                (self.writer, self.live) = (Some(writer), live);
                compacted
            }
            writer => {
                self.writer = writer;
                Ok(())
            }
        }
    }

    /// Writes what is live into a new file and puts that in the old one's place.
    fn compact(&self, writer: &mut Writer, live: &mut Live) -> Result<(), JournalError> {
        let replace = || {
            let new = self.path.with_extension("new");
            let file = open_file(&new)?;
            file.set_len(0)?;
            let mut to = BufWriter::new(&file);
            to.write_all(&self.header)?;
            let mut end = self.header.len() as u64;
            let mut moved = Live::new();
            for (nonce, places) in &*live {
                for place in places {
                    let raw = place.read(&writer.file)?;
                    let record = record::encode(Kind::Replacement, *nonce, &raw);
                    to.write_all(&record)?;
                    let to = Place::new(place.hash, end + PREFIX + HEAD, raw.len());
                    moved.entry(*nonce).or_default().push(to);
                    end += record.len() as u64;
                }
            }
            to.flush()?;
            drop(to);
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            Ok((file, end, moved))
        };
        // From the rename on the name stands for the new file, whatever fails after it.
        (writer.file, writer.end, *live) = replace().map_err(self.error("compacted"))?;
        sync_dir(&self.path).map_err(self.error("compacted"))
    }

    fn error(&self, action: &'static str) -> impl FnOnce(io::Error) -> JournalError + use<> {
        let path = self.path.clone();
        move |source| JournalError::Io { path, action, source }
    }
}

impl Writer {
    /// Appends a record; gives where its transaction starts.
    fn append(&mut self, record: &[u8], durable: bool) -> io::Result<u64> {
        // Always at the end of the last whole record, so that one torn by a full disk is overwritten.
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(record)?;
        if durable {
            self.file.sync_data()?;
        }
        let at = self.end + PREFIX + HEAD;
        self.end += record.len() as u64;
        Ok(at)
    }
}

impl Place {
    fn new(hash: B256, at: u64, len: usize) -> Self {
        Self {
            hash,
            at,
            // A record is far below 4 GiB.
            len: u32::try_from(len).unwrap_or(u32::MAX),
        }
    }

    fn read(self, mut file: &File) -> io::Result<Bytes> {
        let mut raw = vec![0; self.len as usize];
        file.seek(SeekFrom::Start(self.at))?;
        file.read_exact(&mut raw)?;
        Ok(raw.into())
    }
}

fn replay(live: &mut Live, record: &Record) {
    let place = Place::new(keccak256(&record.raw), record.at + PREFIX + HEAD, record.raw.len());
    put(live, record.kind, record.nonce, place);
}

fn put(live: &mut Live, kind: Kind, nonce: u64, place: Place) {
    match kind {
        Kind::First => drop(live.insert(nonce, vec![place])),
        Kind::Replacement => live.entry(nonce).or_default().push(place),
        Kind::Forget => drop(live.remove(&nonce)),
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
fn sync_dir(file: &Path) -> io::Result<()> {
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}
