//! The task that takes the lease and renews it.

use std::{future::pending, time::Duration};

use set_types::Timestamp;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::{
    Leadership, LeaseConfig, LeaseError, LeaseKind, answer::Answer, clock::Moment, file::FileLease,
    leadership::Standing, postgres::PostgresLease,
};

/// The shortest pause between two attempts.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// How long one attempt may take: a fifth of the lease.
pub(crate) fn patience(ttl: Duration) -> Duration {
    ttl / 5
}

/// How much earlier than the lease itself leadership ends: a fifth. It covers the way from the question
/// [`Leadership::holds`] to the node, and clocks that do not run equally fast.
fn margin(ttl: Duration) -> Duration {
    ttl / 5
}

/// The task that renews a lease. Dropped without [`LeaseTask::release`], the lease runs out by itself.
#[derive(Debug)]
pub struct LeaseTask {
    /// `None` without a lease.
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl LeaseTask {
    /// Gives the lease up, so that another takes over at once. When it returns, [`Leadership::holds`] is
    /// false for good; it takes no longer than a fifth of the lease.
    pub async fn release(mut self) {
        if let Some((stop, mut task)) = self.running.take() {
            // Fails where the task is gone, and then so is the lease.
            let _ = stop.send(());
            let _ = (&mut task).await;
        }
    }
}

impl Drop for LeaseTask {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.running {
            task.abort();
        }
    }
}

/// Begins to take and renew the lease called `name` for `holder`.
///
/// `name` is what must not be sent to by two at once: chain id and registry. `holder` is a name that no
/// other process has, such as [`process_name`] gives.
///
/// # Errors
/// [`LeaseError::Config`] where `config` lacks what `kind` needs. A lease that cannot be reached is no
/// error here: [`LeaseState::error`](crate::LeaseState::error) says so, and it is tried again.
pub async fn start(
    kind: LeaseKind,
    config: LeaseConfig,
    name: String,
    holder: String,
) -> Result<(Leadership, LeaseTask), LeaseError> {
    if let Some(problem) = config.validate(kind).into_iter().next() {
        return Err(LeaseError::config(problem.key, problem.problem));
    }
    let ttl = config.ttl;
    let own = holder.clone();
    let opened = spawn_blocking(move || Place::open(kind, &config, name, own)).await;
    let Some(place) = opened.map_err(|_| LeaseError::Timeout("lease's files"))?? else {
        metrics::gauge!("set_lease_held").set(1.0);
        return Ok((Leadership::always(), LeaseTask { running: None }));
    };
    let (leadership, standing) = Leadership::new(kind);
    let (stop, stopped) = oneshot::channel();
    let renewal = Renewal {
        place,
        standing,
        holder,
        ttl,
        failures: 0,
    };
    let task = tokio::spawn(renewal.run(stopped));
    let running = Some((stop, task));
    Ok((leadership, LeaseTask { running }))
}

/// A name for this process that no other has, now or later: host, process id and a random part.
pub fn process_name() -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    let random = Uuid::new_v4().simple().to_string();
    format!("{host}:{}:{}", std::process::id(), &random[..8])
}

/// Where the lease is kept.
enum Place {
    File(Box<FileLease>),
    Postgres(Box<PostgresLease>),
}

impl Place {
    /// `None` for [`LeaseKind::None`]. Reads files.
    fn open(kind: LeaseKind, config: &LeaseConfig, name: String, holder: String) -> Result<Option<Self>, LeaseError> {
        Ok(match (kind, &config.file, &config.postgres_url) {
            (LeaseKind::File, Some(path), _) => {
                Some(Self::File(Box::new(FileLease::new(path, name, holder, config.ttl)?)))
            }
            (LeaseKind::Postgres, _, Some(url)) => Some(Self::Postgres(Box::new(PostgresLease::new(
                url, name, holder, config.ttl,
            )?))),
            _ => None,
        })
    }

    const fn label(&self) -> &'static str {
        match self {
            Self::File(_) => "disk",
            Self::Postgres(_) => "database",
        }
    }

    async fn attempt(&mut self, ttl: Duration) -> Result<Answer, LeaseError> {
        let late = LeaseError::Timeout(self.label());
        let attempt = async {
            match self {
                Self::File(lease) => lease.attempt().await,
                Self::Postgres(lease) => lease.attempt().await,
            }
        };
        timeout(patience(ttl), attempt).await.unwrap_or(Err(late))
    }

    async fn release(&mut self, ttl: Duration) -> Result<(), LeaseError> {
        let late = LeaseError::Timeout(self.label());
        let release = async {
            match self {
                Self::File(lease) => lease.release().await,
                Self::Postgres(lease) => lease.release().await,
            }
        };
        timeout(patience(ttl), release).await.unwrap_or(Err(late))
    }
}

struct Renewal {
    place: Place,
    standing: Standing,
    holder: String,
    ttl: Duration,
    /// Attempts since the last that was answered.
    failures: u32,
}

impl Renewal {
    async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut stop => break,
                () = self.renew() => {}
            }
        }
        self.standing.resign();
        match self.place.release(self.ttl).await {
            Ok(()) => tracing::info!(holder = self.holder, "lease given up"),
            Err(error) => tracing::warn!(%error, "lease not given up; it runs out by itself"),
        }
    }

    /// One attempt, and the pause after it. Says at once when the lease runs out in between.
    async fn renew(&mut self) {
        let begun = Moment::now();
        let answer = {
            let attempt = self.place.attempt(self.ttl);
            tokio::pin!(attempt);
            loop {
                tokio::select! {
                    answer = &mut attempt => break answer,
                    () = lapse(self.standing.left()) => self.standing.lapsed(),
                }
            }
        };
        let due = match answer {
            Ok(answer) => {
                self.failures = 0;
                self.answered(answer, begun)
            }
            Err(error) => {
                self.standing.failed(error.to_string());
                self.failures = self.failures.saturating_add(1);
                // From a thirtieth of the lease up to what an attempt may take.
                let pause = self.ttl / 30 * 2_u32.saturating_pow(self.failures.min(8) - 1);
                Moment::now().after(pause.min(patience(self.ttl)))
            }
        };
        loop {
            let pause = due.since(Moment::now()).max(SHORTEST_PAUSE);
            tokio::select! {
                () = sleep(pause) => return,
                () = lapse(self.standing.left()) => self.standing.lapsed(),
            }
        }
    }

    /// Takes note of an answer; says when to ask again.
    fn answered(&mut self, answer: Answer, begun: Moment) -> Moment {
        match answer {
            Answer::Mine { term, ends } => {
                let now = Moment::now();
                let until = in_time(ends.since(now));
                self.standing
                    .won(&self.holder, term, ends.before(margin(self.ttl)), until);
                begun.after(self.ttl / 3)
            }
            Answer::Other {
                holder,
                term,
                remaining,
            } => {
                let until = in_time(remaining);
                self.standing
                    .other(holder, term, until.filter(|_| !remaining.is_zero()));
                // At the moment that it runs out, and often before: it may be given up.
                Moment::now().after(remaining.min(self.ttl / 15))
            }
        }
    }
}

/// Ends when the time is over; never where there is none.
async fn lapse(left: Option<Duration>) {
    match left {
        Some(left) => sleep(left).await,
        None => pending().await,
    }
}

/// So long from now, by the clock on the wall.
fn in_time(duration: Duration) -> Option<Timestamp> {
    Timestamp::now().checked_add(duration).ok()
}
