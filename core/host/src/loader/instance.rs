//! One running instance: its thread, and the calls that it has not completed.
//!
//! All functions of an instance are called from one thread of its own. So a plugin in any language needs
//! no locks at its boundary, and one that hangs holds up nothing but itself.

use std::{
    collections::HashMap,
    ffi::c_void,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use set_plugin_abi::{OwnedBuffer, SetBuffer, SetCompletion, SetSlice, method::HEALTH, status};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::{HostTable, START, Table, library::failure};
use crate::error::Problem;

/// What a plugin completed a call with.
pub(crate) struct Answer {
    pub(crate) status: u32,
    pub(crate) payload: OwnedBuffer,
}

/// A call that was handed to the instance. The receiver ends without a value if the instance does.
pub(crate) struct Begun {
    pub(crate) call: u64,
    pub(crate) answer: oneshot::Receiver<Answer>,
}

/// Why a call was not handed over.
pub(crate) enum NotBegun {
    /// As many calls as allowed are not completed yet.
    Busy,
    /// The instance's thread has ended.
    Ended,
}

/// What an instance is started with.
pub(crate) struct Start<'a> {
    /// The plugin's id; names the thread.
    pub(crate) id: &'a str,
    pub(crate) table: Table,
    pub(crate) config: &'a SecretString,
    pub(crate) host: HostTable,
    /// Calls that may run at once.
    pub(crate) concurrency: usize,
    /// Counts the instances of one plugin.
    pub(crate) generation: u64,
}

pub(crate) struct Instance {
    generation: u64,
    concurrency: usize,
    permits: Arc<Semaphore>,
    /// One more call, which is the host's own: asking for health never keeps the work waiting.
    own_permit: Arc<Semaphore>,
    commands: SyncSender<Command>,
    calls: &'static Calls,
    ended: watch::Receiver<bool>,
    poisoned: AtomicBool,
}

enum Command {
    Call {
        call: u64,
        method: &'static str,
        payload: Vec<u8>,
    },
    Cancel {
        call: u64,
    },
    Stop,
}

/// Calls that are not completed. Leaked, one small map for each instance: a plugin may complete, or
/// complete again, long after the host gave it up.
struct Calls {
    pending: Mutex<HashMap<u64, Pending>>,
    next: AtomicU64,
    /// Completions of calls that nobody waits for: late, or second ones.
    stray: AtomicU64,
}

struct Pending {
    answer: oneshot::Sender<Answer>,
    /// Held until the plugin completes, not until the caller loses patience: what runs is what counts.
    permit: OwnedSemaphorePermit,
}

impl Calls {
    fn pending(&self) -> MutexGuard<'_, HashMap<u64, Pending>> {
        // The map is whole between any two statements that hold the lock.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    /// Makes an instance, on a new thread.
    pub(crate) async fn create(start: Start<'_>) -> Result<Self, Problem> {
        let Start {
            id,
            table,
            config,
            host,
            concurrency,
            generation,
        } = start;
        // Calls hold permits, and each has at most one cancellation: with the order to stop, this is never
        // full.
        let (commands, inbox) = sync_channel(2 * (concurrency + 1) + 1);
        let calls: &'static Calls = Box::leak(Box::new(Calls {
            pending: Mutex::default(),
            next: AtomicU64::new(1),
            stray: AtomicU64::new(0),
        }));
        let (started, starting) = oneshot::channel();
        let (ending, ended) = watch::channel(false);
        let config = config.clone();
        let body = move || {
            run(table, &config, host, calls, started, &inbox);
            // Whoever still waits learns that no answer will come; the last words of the plugin were heard.
            calls.pending().clear();
            host.close();
            ending.send_replace(true);
        };
        // Linux shows 15 bytes of a thread's name.
        let thread = thread::Builder::new().name(format!("plugin {id}")).spawn(body);
        thread.map_err(|error| Problem::Create(format!("no thread to run it on: {error}")))?;
        let outcome = match tokio::time::timeout(START, starting).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Problem::Abi("`create` ended its thread".to_owned())),
            Err(_) => Err(Problem::Stuck {
                function: "create",
                within: START,
            }),
        };
        outcome.inspect_err(|_| host.close())?;
        let permits = Arc::new(Semaphore::new(concurrency));
        let own_permit = Arc::new(Semaphore::new(1));
        Ok(Self {
            generation,
            concurrency,
            permits,
            own_permit,
            commands,
            calls,
            ended,
            poisoned: AtomicBool::new(false),
        })
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Hands a call to the instance.
    pub(crate) fn begin(&self, method: &'static str, payload: Vec<u8>) -> Result<Begun, NotBegun> {
        let permits = if method == HEALTH {
            &self.own_permit
        } else {
            &self.permits
        };
        let permit = permits.clone().try_acquire_owned().map_err(|_| NotBegun::Busy)?;
        let call = self.calls.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.calls.pending().insert(call, Pending { answer: sender, permit });
        if self.commands.try_send(Command::Call { call, method, payload }).is_err() {
            self.calls.pending().remove(&call);
            return Err(NotBegun::Ended);
        }
        Ok(Begun { call, answer })
    }

    /// Takes a call back. It still counts as running until the plugin completes it.
    pub(crate) fn cancel(&self, call: u64) {
        if self.is_pending(call) {
            // A thread that has ended has nothing to cancel.
            drop(self.commands.try_send(Command::Cancel { call }));
        }
    }

    /// Whether the plugin has still not completed a call.
    pub(crate) fn is_pending(&self, call: u64) -> bool {
        self.calls.pending().contains_key(&call)
    }

    /// Calls that are not completed.
    pub(crate) fn in_flight(&self) -> usize {
        self.concurrency - self.permits.available_permits()
    }

    /// Completions that came too late, or twice.
    pub(crate) fn stray(&self) -> u64 {
        self.calls.stray.load(Ordering::Relaxed)
    }

    /// Marks the instance as unfit; true for the first to do so.
    pub(crate) fn poison(&self) -> bool {
        !self.poisoned.swap(true, Ordering::AcqRel)
    }

    /// Waits until no call is running, or for `within`.
    pub(crate) async fn drain(&self, within: Duration) {
        let all = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        // Out of time: what still runs is cut off when the instance stops.
        drop(tokio::time::timeout(within, self.permits.acquire_many(all)).await);
    }

    /// Destroys the instance and waits for that; false where it took longer than `within`, and the thread
    /// is left to itself.
    pub(crate) async fn stop(&self, within: Duration) -> bool {
        let mut ended = self.ended.clone();
        // Full or gone: the thread is stuck, or has ended.
        drop(self.commands.try_send(Command::Stop));
        let stopped = tokio::time::timeout(within, ended.wait_for(|ended| *ended))
            .await
            .is_ok();
        if !stopped {
            self.calls.pending().clear();
        }
        stopped
    }
}

/// The thread's life: create, commands until told to stop or forgotten, destroy.
fn run(
    table: Table,
    config: &SecretString,
    host: HostTable,
    calls: &'static Calls,
    started: oneshot::Sender<Result<(), Problem>>,
    inbox: &Receiver<Command>,
) {
    let (mut instance, mut error) = (std::ptr::null_mut(), SetBuffer::EMPTY);
    let config = SetSlice::new(config.expose_secret().as_bytes());
    // SAFETY: the host's table is valid for ever, the rest outlives the call.
    let status = unsafe { (table.create)(host.as_ptr(), config, &raw mut instance, &raw mut error) };
    // SAFETY: the plugin gave the buffer away.
    let error = unsafe { OwnedBuffer::new(error) };
    if status != status::OK {
        // Nobody listens where this took too long.
        drop(started.send(Err(failure("create", status, &error))));
        return;
    }
    if started.send(Ok(())).is_ok() {
        serve(&table, instance, calls, inbox);
    }
    // SAFETY: `create` gave this instance to this thread, which uses it no more.
    unsafe { (table.destroy)(instance) };
}

fn serve(table: &Table, instance: *mut c_void, calls: &'static Calls, inbox: &Receiver<Command>) {
    let ctx = std::ptr::from_ref(calls).cast_mut().cast();
    while let Ok(command) = inbox.recv() {
        match command {
            Command::Call { call, method, payload } => {
                let done = SetCompletion { complete, ctx, call };
                let (method, payload) = (SetSlice::new(method.as_bytes()), SetSlice::new(&payload));
                // SAFETY: the instance lives until this thread destroys it; the slices outlive the call;
                // `ctx` is valid for ever.
                unsafe { (table.call)(instance, method, payload, done) };
            }
            Command::Cancel { call } => {
                if let Some(cancel) = table.cancel {
                    // SAFETY: as above.
                    unsafe { cancel(instance, call) };
                }
            }
            Command::Stop => return,
        }
    }
}

/// What a plugin calls to complete a call. Numbers that are not pending are dropped, so a plugin that
/// completes late, twice or something else harms nobody.
unsafe extern "C" fn complete(ctx: *mut c_void, call: u64, status: u32, payload: SetBuffer) {
    // SAFETY: the plugin gave the buffer away.
    let payload = unsafe { OwnedBuffer::new(payload) };
    // SAFETY: `serve` passed a leaked value, which is only ever shared.
    let calls = unsafe { &*ctx.cast::<Calls>() };
    let pending = calls.pending().remove(&call);
    let taken = pending.is_some_and(|Pending { answer, permit }| {
        // First the permit: whoever gets the answer may call again at once.
        drop(permit);
        answer.send(Answer { status, payload }).is_ok()
    });
    if !taken {
        calls.stray.fetch_add(1, Ordering::Relaxed);
    }
}
