//! The lease in files on one machine: one small file a term, beside each other.

mod term;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{LeaseError, answer::Answer, clock::Moment};
use term::{Asking, Record, Step, Term, renewed, step};

/// Where Linux tells one run of the machine from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A term that is followed by another is forgotten after so long. A process that was stopped before it
/// began that very term finds itself past its deadline by then, so it does not matter that it can.
const KEEP_ENDED: Duration = Duration::from_secs(3_600);

/// The lease, off the runtime's threads. One access of the disk at a time: one that hangs is awaited by
/// the next attempt, not joined by another.
#[derive(Debug)]
pub(crate) struct FileLease {
    /// `None` while `running` has it.
    files: Option<Files>,
    running: Option<JoinHandle<(Files, Result<Answer, LeaseError>)>>,
}

impl FileLease {
    /// The lease at `path`, for `holder`.
    ///
    /// # Errors
    /// [`LeaseError::Config`] where `path` cannot be a file, or the machine does not tell its runs apart.
    pub(crate) fn new(path: &Path, lease: String, holder: String, ttl: Duration) -> Result<Self, LeaseError> {
        let boot = fs::read_to_string(BOOT_ID).map_err(|error| {
            LeaseError::config(
                "file",
                format!("cannot be used here, as {BOOT_ID} cannot be read ({error}); use a lease of another kind"),
            )
        })?;
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(name), Some(directory)) = (name, path.parent()) else {
            return Err(LeaseError::config(
                "file",
                "is no path of a file, such as \"/var/lib/set-sidecar/lease\"",
            ));
        };
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let files = Files {
            directory: directory.to_owned(),
            name: name.to_owned(),
            lease,
            holder,
            boot: boot.trim().to_owned(),
            ttl,
            own: None,
            seen: None,
        };
        Ok(Self {
            files: Some(files),
            running: None,
        })
    }

    /// Takes or renews the lease. May be dropped at any time: the next call goes on where it was.
    ///
    /// # Errors
    /// [`LeaseError`] where the files can be neither read nor written.
    pub(crate) async fn attempt(&mut self) -> Result<Answer, LeaseError> {
        if let Some(mut files) = self.files.take() {
            self.running = Some(spawn_blocking(move || {
                let answer = files.attempt();
                (files, answer)
            }));
        }
        self.finished().await
    }

    /// Gives the lease up.
    ///
    /// # Errors
    /// [`LeaseError`] where the file cannot be written.
    pub(crate) async fn release(&mut self) -> Result<(), LeaseError> {
        if self.running.is_some() {
            // Whatever it comes to, what follows undoes it.
            let _ = self.finished().await;
        }
        let Some(files) = self.files.take() else { return Ok(()) };
        match spawn_blocking(move || files.release()).await {
            Ok(released) => released,
            Err(_) => Err(LeaseError::Timeout("lease file")),
        }
    }

    async fn finished(&mut self) -> Result<Answer, LeaseError> {
        let Some(running) = &mut self.running else {
            return Err(LeaseError::Timeout("lease file"));
        };
        let finished = running.await;
        self.running = None;
        let (files, answer) = finished.map_err(|_| LeaseError::Timeout("lease file"))?;
        self.files = Some(files);
        answer
    }
}

/// The files, and what was last found in them.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
    name: String,
    lease: String,
    holder: String,
    boot: String,
    ttl: Duration,
    /// The term that this process holds, and the deadline that counts.
    own: Option<(u64, Moment)>,
    /// The newest term, and since when it is as it is.
    seen: Option<(Term, Moment)>,
}

impl Files {
    fn attempt(&mut self) -> Result<Answer, LeaseError> {
        let newest = self.newest()?;
        let asked = Moment::now();
        let asking = Asking {
            holder: &self.holder,
            boot: &self.boot,
            now: asked,
            ttl: self.ttl,
            own: self.own,
            unchanged: self.seen.as_ref().map_or(Duration::ZERO, |(seen, since)| {
                if newest.as_ref() == Some(seen) {
                    asked.since(*since)
                } else {
                    Duration::ZERO
                }
            }),
        };
        let decided = step(newest.as_ref(), asking);
        if asking.unchanged.is_zero() {
            self.seen = newest.clone().map(|term| (term, asked));
        }
        let number = newest.as_ref().map_or(0, |term| term.number);
        let other = |remaining| Answer::Other {
            holder: newest.and_then(|term| term.record).map(|record| record.holder),
            term: number,
            remaining,
        };
        let ends = asked.after(self.ttl);
        let mine = match decided {
            Step::Wait { remaining } => return Ok(other(remaining)),
            Step::Renew { until } => {
                let draft = self.draft(ends)?;
                // From here on others may see a deadline that does not count.
                self.own = None;
                self.at(number, |path| fs::rename(draft, path))?;
                let followed = self.at(number + 1, |path| path.try_exists())?;
                (renewed(until, Moment::now()) && !followed).then_some(number)
            }
            Step::Begin { number } => {
                self.own = None;
                self.begin(number, ends)?.then_some(number)
            }
        };
        let Some(term) = mine else {
            return Ok(other(Duration::ZERO));
        };
        self.own = Some((term, ends));
        Ok(Answer::Mine { term, ends })
    }

    /// Begins a term; false where another has.
    fn begin(&self, number: u64, ends: Moment) -> Result<bool, LeaseError> {
        let draft = self.draft(ends)?;
        // Fails where the file is there, and gives it its content at once.
        let begun = self.at(number, |path| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            linked => linked.map(|()| true),
        });
        let removed = fs::remove_file(&draft);
        if !begun? {
            return Ok(false);
        }
        removed.map_err(|error| LeaseError::file(&draft, &error))?;
        self.forget(number);
        self.at(number + 1, |path| path.try_exists()).map(|followed| !followed)
    }

    fn release(&self) -> Result<(), LeaseError> {
        let newest = self.newest()?;
        let mine = newest.filter(|term| term.record.as_ref().is_some_and(|record| record.holder == self.holder));
        let Some(term) = mine else { return Ok(()) };
        let draft = self.draft(Moment(0))?;
        self.at(term.number, |path| fs::rename(draft, path))
    }

    /// The term with the highest number.
    fn newest(&self) -> Result<Option<Term>, LeaseError> {
        let Some(number) = self.terms()?.into_iter().max() else {
            return Ok(None);
        };
        let text = self.at(number, |path| fs::read_to_string(path))?;
        let record = serde_json::from_str::<Record>(&text).ok();
        if let Some(foreign) = record.as_ref().filter(|record| record.lease != self.lease) {
            return Err(LeaseError::ForeignFile {
                path: self.path(number).display().to_string(),
                found: foreign.lease.clone(),
                wanted: self.lease.clone(),
            });
        }
        Ok(Some(Term { number, record }))
    }

    fn terms(&self) -> Result<Vec<u64>, LeaseError> {
        let in_directory = |error: io::Error| LeaseError::file(&self.directory, &error);
        let mut terms = vec![];
        for entry in fs::read_dir(&self.directory).map_err(in_directory)? {
            let name = entry.map_err(in_directory)?.file_name();
            terms.extend(name.to_str().and_then(|name| self.term_of(name)));
        }
        Ok(terms)
    }

    /// Writes a file with this process's record under a name that is only its own.
    fn draft(&self, deadline: Moment) -> Result<PathBuf, LeaseError> {
        let record = Record {
            lease: self.lease.clone(),
            holder: self.holder.clone(),
            boot: self.boot.clone(),
            deadline: deadline.0,
        };
        let path = self
            .directory
            .join(format!(".{}.{}", self.name, file_name(&self.holder)));
        let written = serde_json::to_string(&record)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&path, text + "\n"));
        written
            .map(|()| path.clone())
            .map_err(|error| LeaseError::file(&path, &error))
    }

    /// Removes what ended long ago: terms, and drafts of processes that died while they wrote.
    fn forget(&self, newest: u64) {
        let draft = format!(".{}.", self.name);
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let ended = self.term_of(name).is_some_and(|number| number < newest) || name.starts_with(&draft);
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let age = written
                .ok()
                .and_then(|written| SystemTime::now().duration_since(written).ok());
            if ended && age.is_some_and(|age| age > KEEP_ENDED) {
                // Whatever cannot be removed is tried again when the next term begins.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// The number of the term whose file has this name.
    fn term_of(&self, name: &str) -> Option<u64> {
        name.strip_prefix(&self.name)?.strip_prefix('.')?.parse().ok()
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{}.{number}", self.name))
    }

    fn at<T>(&self, number: u64, access: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, LeaseError> {
        let path = self.path(number);
        access(&path).map_err(|error| LeaseError::file(&path, &error))
    }
}

/// A holder's name as a part of a file's name.
fn file_name(holder: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    holder.chars().map(safe).collect()
}
