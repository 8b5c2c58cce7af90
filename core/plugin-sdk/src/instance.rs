//! One instance: the plugin's value, its runtime, and the calls that run on it.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use futures::FutureExt as _;
use set_plugin_abi::{SetBuffer, SetCompletion, status};
use tokio::{runtime::Runtime, task::AbortHandle};
use tracing::{Dispatch, dispatcher};

use crate::{
    Host, PluginError,
    export::{Package, Role as _, failure, panic_text},
    log,
};

/// Threads of an instance's runtime: a second one, so that a call that computes does not stall the rest.
const WORKERS: usize = 2;

/// How long `shutdown`, and then the runtime's threads, may take to end.
const STOP: Duration = Duration::from_secs(2);

pub(crate) struct Instance<P> {
    plugin: Arc<P>,
    runtime: Runtime,
    running: Arc<Running>,
    dispatch: Dispatch,
}

/// Calls that run, by number.
#[derive(Default)]
struct Running(Mutex<HashMap<u64, AbortHandle>>);

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        // The map is whole between any two statements that hold the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Package> Instance<P> {
    /// Builds the runtime and, on it, the plugin.
    pub(crate) fn start(config: P::Config, host: Host) -> Result<Self, PluginError> {
        let dispatch = log::dispatch(host);
        let of_threads = dispatch.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name(P::NAME)
            .enable_all()
            // Thread by thread, for in a linked-in plugin the global dispatcher is the program's own.
            // The guard would restore what was there before; nothing was, and the thread ends with it.
            .on_thread_start(move || std::mem::forget(dispatcher::set_default(&of_threads)))
            .build()
            .map_err(|error| PluginError::retryable(format!("no threads for the plugin: {error}")))?;
        let create = || dispatcher::with_default(&dispatch, || runtime.block_on(P::create(config, host)));
        match catch_unwind(AssertUnwindSafe(create)) {
            Ok(Ok(plugin)) => Ok(Self {
                plugin: Arc::new(plugin),
                runtime,
                running: Arc::default(),
                dispatch,
            }),
            // Just dropped, the runtime would wait for whatever the plugin left running on it.
            Ok(Err(refused)) => {
                runtime.shutdown_timeout(STOP);
                Err(refused)
            }
            Err(panic) => {
                runtime.shutdown_timeout(STOP);
                resume_unwind(panic)
            }
        }
    }

    /// Begins a call; `done` completes it.
    pub(crate) fn call(&self, method: String, payload: Vec<u8>, done: Done) {
        let (plugin, running, call) = (self.plugin.clone(), self.running.clone(), done.call());
        // Held until the handle is in the map, so that the task cannot remove it first.
        let mut calls = self.running.lock();
        let task = self.runtime.spawn(async move {
            let answer = AssertUnwindSafe(P::Role::dispatch(&plugin, &method, &payload))
                .catch_unwind()
                .await;
            running.lock().remove(&call);
            match answer {
                Ok(Ok(bytes)) => done.finish(status::OK, bytes),
                Ok(Err(ended)) => {
                    let (status, bytes) = failure(ended);
                    done.finish(status, bytes);
                }
                Err(panic) => done.finish(status::PANICKED, panic_text(&*panic).as_bytes().to_vec()),
            }
        });
        calls.insert(call, task.abort_handle());
    }

    /// Drops a call at its next await; that completes it as cancelled.
    pub(crate) fn cancel(&self, call: u64) {
        if let Some(task) = self.running.lock().remove(&call) {
            task.abort();
        }
    }

    /// Ends the plugin in good order, then its calls and threads.
    pub(crate) fn stop(self) {
        let Self {
            plugin,
            runtime,
            dispatch,
            ..
        } = self;
        let (sender, ended) = mpsc::sync_channel(1);
        let ending = plugin.clone();
        runtime.spawn(async move {
            let outcome = AssertUnwindSafe(ending.shutdown()).catch_unwind().await;
            drop(ending);
            // Nobody waits any more where it took too long.
            let _ = sender.send(outcome);
        });
        // Not tokio's timeout: its clock stands still while calls block every thread of the runtime.
        let outcome = ended.recv_timeout(STOP);
        dispatcher::with_default(&dispatch, || match outcome {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => tracing::error!(panic = panic_text(&*panic), "the plugin panicked while it shut down"),
            Err(_) => tracing::warn!("the plugin did not shut down in time"),
        });
        runtime.shutdown_timeout(STOP);
        drop(plugin);
    }
}

/// A completion that is used exactly once: by [`Done::finish`], or as cancelled when it is dropped.
pub(crate) struct Done(Option<SetCompletion>);

impl Done {
    pub(crate) const fn new(completion: SetCompletion) -> Self {
        Self(Some(completion))
    }

    fn call(&self) -> u64 {
        self.0.map_or(0, |completion| completion.call)
    }

    pub(crate) fn finish(mut self, status: u32, payload: Vec<u8>) {
        self.complete(status, SetBuffer::from_vec(payload));
    }

    fn complete(&mut self, status: u32, payload: SetBuffer) {
        if let Some(SetCompletion { complete, ctx, call }) = self.0.take() {
            // SAFETY: the completion was taken, so this is the one time that it is used.
            unsafe { complete(ctx, call, status, payload) }
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        self.complete(status::CANCELLED, SetBuffer::EMPTY);
    }
}
