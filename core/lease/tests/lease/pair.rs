//! Two sidecars that want the same lease, and an eye on both.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use set_lease::{Leadership, LeaseConfig, LeaseKind, LeaseState, LeaseTask};
use tokio::time::timeout;

/// Long enough for a machine that stalls for some seconds to renew in time: it is what operators have by default.
const TTL: Duration = Duration::from_secs(15);
/// No wait of these tests takes so long, unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A case of a test.
pub(crate) type Case = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A lease that sides of a test want.
#[derive(Clone)]
pub(crate) struct Lease {
    pub(crate) kind: LeaseKind,
    pub(crate) config: LeaseConfig,
    /// The file, or the file that holds the database's URL.
    pub(crate) place: PathBuf,
    /// What it is for.
    pub(crate) name: &'static str,
}

impl Lease {
    /// In files that begin with `path`.
    pub(crate) fn in_files(place: impl Into<PathBuf>, name: &'static str) -> Self {
        let place = place.into();
        let config = LeaseConfig {
            ttl: TTL,
            file: Some(place.clone()),
            postgres_url: None,
        };
        let kind = LeaseKind::File;
        Self {
            kind,
            config,
            place,
            name,
        }
    }

    /// In the database whose URL is in the file at `place`.
    pub(crate) fn in_database(place: impl Into<PathBuf>, name: &'static str) -> Self {
        let place = place.into();
        let config = LeaseConfig {
            ttl: TTL,
            file: None,
            postgres_url: Some(format!("file:{}", place.display()).as_str().into()),
        };
        let kind = LeaseKind::Postgres;
        Self {
            kind,
            config,
            place,
            name,
        }
    }

    pub(crate) async fn side(&self, holder: &str) -> Side {
        let started = set_lease::start(self.kind, self.config.clone(), self.name.to_owned(), holder.to_owned()).await;
        let (leadership, task) = started.unwrap();
        Side { leadership, task }
    }
}

/// One of them.
pub(crate) struct Side {
    pub(crate) leadership: Leadership,
    pub(crate) task: LeaseTask,
}

impl Side {
    /// Waits for a state; panics with the last one.
    pub(crate) async fn until(&self, what: &str, fits: impl Fn(&LeaseState) -> bool) -> Arc<LeaseState> {
        let mut changes = self.leadership.changes();
        let waited = timeout(PATIENCE, changes.wait_for(|state| fits(state))).await;
        match waited {
            Ok(state) => state.unwrap().clone(),
            Err(_) => panic!("not {what} within {PATIENCE:?}: {:?}", self.leadership.state()),
        }
    }

    pub(crate) async fn won(&self) -> Arc<LeaseState> {
        let state = self.until("won", |state| state.held).await;
        assert_eq!(state.error, None);
        state
    }

    pub(crate) async fn lost(&self) -> Arc<LeaseState> {
        let state = self.until("lost", |state| !state.held).await;
        assert!(!self.leadership.holds());
        state
    }
}

/// Looks at two sides all the time, from a thread that no runtime delays.
pub(crate) struct Eye {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Eye {
    pub(crate) fn on(one: &Side, other: &Side) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (one, other, stopped) = (one.leadership.clone(), other.leadership.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut both = 0;
            while !stopped.load(Ordering::Relaxed) {
                // Asked twice, so that a change between two questions is not taken for an overlap.
                both += usize::from(one.holds() && other.holds() && one.holds());
                thread::sleep(Duration::from_micros(200));
            }
            both
        });
        Self { stop, thread }
    }

    pub(crate) fn saw_no_overlap(self) {
        self.stop.store(true, Ordering::Relaxed);
        assert_eq!(self.thread.join().unwrap(), 0, "both held the lease at a time");
    }
}

/// One holds it, renews it, and gives it up; the other waits, and takes it then.
pub(crate) async fn one_holds_it_until_it_gives_it_up(lease: Lease) {
    let a = lease.side("a").await;
    let won = a.won().await;
    assert_eq!(won.term, 1);
    let b = lease.side("b").await;
    let eye = Eye::on(&a, &b);
    let seen = b.until("standing by", |state| state.holder.is_some()).await;
    assert_eq!((seen.holder.as_deref(), seen.held), (Some("a"), false));
    assert!(seen.until.is_some());
    // Longer than the lease lasts without a renewal.
    let later = won.until.unwrap().checked_add(TTL).unwrap();
    let renewed = async {
        // A renewal changes nothing that others are told of.
        while a.leadership.state().until < Some(later) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let renewed = timeout(PATIENCE, renewed).await.is_ok();
    let state = a.leadership.state();
    assert!(renewed && state.held && state.term == 1, "{state:?}");
    assert!(!b.leadership.state().held, "{:?}", b.leadership.state());
    a.task.release().await;
    assert!(!a.leadership.holds() && !a.leadership.state().held);
    let won = b.won().await;
    assert_eq!((won.holder.as_deref(), won.term), (Some("b"), 2));
    assert!(b.leadership.holds() && !a.leadership.holds());
    eye.saw_no_overlap();
}

/// Runs cases next to each other: they wait more than they work. Says which of them failed.
pub(crate) async fn side_by_side(cases: impl IntoIterator<Item = (&'static str, Case)>) {
    let running: Vec<_> = cases
        .into_iter()
        .map(|(name, case)| (name, tokio::spawn(case)))
        .collect();
    let mut failed = vec![];
    for (name, task) in running {
        if let Err(error) = task.await {
            failed.push(format!("{name}: {error}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// One dies without a word; the other takes over once the lease has run out.
pub(crate) async fn another_takes_over_from_the_dead(lease: Lease) {
    let a = lease.side("a").await;
    a.won().await;
    let b = lease.side("b").await;
    let eye = Eye::on(&a, &b);
    b.until("standing by", |state| state.holder.is_some()).await;
    let Side { leadership, task } = a;
    drop(task);
    assert_eq!(b.won().await.term, 2);
    assert!(!leadership.holds() && !leadership.state().held);
    eye.saw_no_overlap();
}
