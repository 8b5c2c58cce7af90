//! One configured plugin: its present instance, its state, and calls of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use serde::{Serialize, de::DeserializeOwned};
use set_plugin_abi::{MAX_PAYLOAD, method, status};
use set_types::Refusal;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

use crate::{
    config::PluginConfig,
    error::{CallError, CallErrorKind, Problem},
    loader::{self, Answer, Begun, HostTable, Instance, NotBegun, Prepared, Start},
    log::cut,
    report::{PluginReport, PluginState},
    secrets::Redactor,
    services::Services,
};

/// How long after its deadline a cancelled call may still run before its instance counts as wedged: the
/// deadline once more, within these bounds.
const GRACE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

pub(crate) struct Slot {
    pub(crate) config: PluginConfig,
    /// Code and configuration; `None` where they could not be used.
    ready: Option<Ready>,
    /// Swapped when an instance is replaced; calls that run keep the one they began with.
    instance: ArcSwapOption<Instance>,
    status: Mutex<Status>,
    calls: AtomicU64,
    failures: AtomicU64,
    signals: Signals,
    runtime: Handle,
}

/// Whom a plugin tells what happens to it.
pub(crate) struct Signals {
    /// The supervisor.
    pub(crate) trouble: mpsc::Sender<Trouble>,
    /// Whoever wants to know that some plugin's state changed.
    pub(crate) changes: watch::Sender<()>,
}

struct Ready {
    loaded: loader::Loaded,
    config: secrecy::SecretString,
    redactor: Arc<Redactor>,
    services: Arc<Services>,
}

struct Status {
    state: PluginState,
    generation: u64,
    /// Why the state is not `Started`.
    cause: Option<String>,
    /// What went wrong last, in a call or in the plugin itself.
    last_error: Option<String>,
}

/// An instance that must be replaced.
pub(crate) struct Trouble {
    pub(crate) instance: Arc<Instance>,
    pub(crate) reason: String,
}

impl Slot {
    /// A plugin that fits its entry; nothing of it runs yet.
    pub(crate) fn new(
        config: PluginConfig,
        prepared: Prepared,
        services: impl FnOnce(&PluginConfig, Arc<Redactor>) -> Services,
        signals: Signals,
    ) -> Self {
        let Prepared {
            loaded,
            config: settings,
            redactor,
        } = prepared;
        let redactor = Arc::new(redactor);
        let services = Arc::new(services(&config, redactor.clone()));
        let ready = Ready {
            loaded,
            config: settings,
            redactor,
            services,
        };
        Self::with(config, Some(ready), PluginState::Loaded, None, signals)
    }

    /// A plugin that cannot be used, kept for the report.
    pub(crate) fn unusable(config: PluginConfig, problem: &Problem, signals: Signals) -> Self {
        Self::with(config, None, PluginState::Failed, Some(problem.to_string()), signals)
    }

    fn with(
        config: PluginConfig,
        ready: Option<Ready>,
        state: PluginState,
        cause: Option<String>,
        signals: Signals,
    ) -> Self {
        Self {
            config,
            ready,
            instance: ArcSwapOption::empty(),
            status: Mutex::new(Status {
                state,
                generation: 0,
                last_error: cause.clone(),
                cause,
            }),
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            signals,
            runtime: Handle::current(),
        }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        // The status is whole between any two statements that hold the lock.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the next instance and lets it take calls.
    pub(crate) async fn start(&self) -> Result<(), Problem> {
        let Some(ready) = &self.ready else {
            return Err(Problem::Create("it could not be loaded".to_owned()));
        };
        let generation = {
            let mut status = self.status();
            status.generation += 1;
            status.generation
        };
        let start = Start {
            id: &self.config.id,
            table: ready.loaded.table,
            config: &ready.config,
            host: HostTable::open(ready.services.clone()),
            concurrency: self.config.concurrency,
            generation,
        };
        match Instance::create(start).await {
            Ok(instance) => {
                let mut status = self.status();
                // Where the host is shutting down, the instance ends here: dropped, it is destroyed.
                if status.state != PluginState::Draining && status.state != PluginState::Stopped {
                    self.instance.store(Some(Arc::new(instance)));
                    self.turn(&mut status, PluginState::Started, None);
                }
                Ok(())
            }
            Err(problem) => {
                let problem = self.scrub_problem(problem);
                self.status().last_error = Some(problem.to_string());
                Err(problem)
            }
        }
    }

    /// Changes the state and tells whoever watches.
    fn turn(&self, status: &mut Status, state: PluginState, cause: Option<String>) {
        if cause.is_some() {
            status.last_error.clone_from(&cause);
        }
        status.state = state;
        status.cause = cause;
        self.signals.changes.send_replace(());
    }

    pub(crate) fn set_state(&self, state: PluginState, cause: Option<String>) {
        self.turn(&mut self.status(), state, cause);
    }

    /// Notes what a running instance says of its health; true where that is news.
    pub(crate) fn set_health(&self, ill: Option<String>) -> bool {
        let state = if ill.is_some() {
            PluginState::Degraded
        } else {
            PluginState::Started
        };
        let mut status = self.status();
        let runs = self.instance.load().is_some();
        if !runs || (status.state, &status.cause) == (state, &ill) {
            return false;
        }
        self.turn(&mut status, state, ill);
        true
    }

    pub(crate) fn state(&self) -> PluginState {
        self.status().state
    }

    /// Stops taking calls and hands out the instance, if one runs.
    pub(crate) fn close(&self) -> Option<Arc<Instance>> {
        let mut status = self.status();
        self.turn(&mut status, PluginState::Draining, None);
        self.instance.swap(None)
    }

    /// Takes an instance out of service and has it replaced; once for each instance.
    fn give_up(&self, instance: &Arc<Instance>, state: PluginState, reason: String) {
        if !instance.poison() {
            return;
        }
        let current = self.instance.load();
        if current
            .as_ref()
            .is_none_or(|current| current.generation() != instance.generation())
        {
            return;
        }
        self.instance.store(None);
        self.set_state(state, Some(reason.clone()));
        // One trouble an instance, and one instance at a time: there is always room, until the
        // supervisor has ended with the host.
        drop(self.signals.trouble.try_send(Trouble {
            instance: instance.clone(),
            reason,
        }));
    }

    /// Asks the plugin, within its deadline and its concurrency.
    ///
    /// Dropping the future cancels the call.
    pub(crate) async fn call<Q, A>(self: &Arc<Self>, method: &'static str, request: &Q) -> Result<A, CallError>
    where
        Q: Serialize + Sync + ?Sized,
        A: DeserializeOwned,
    {
        let begun = Instant::now();
        let outcome = self.ask(method, request).await;
        let label = outcome.as_ref().map_or_else(CallErrorKind::label, |_| "ok");
        self.count(method, label, begun.elapsed());
        outcome.map_err(|kind| {
            let error = CallError {
                plugin: self.config.id.clone(),
                method,
                kind,
            };
            self.note(&error);
            error
        })
    }

    fn note(&self, error: &CallError) {
        // A plugin may have nothing to say about its health.
        if error.method == method::HEALTH && error.kind == CallErrorKind::UnknownMethod {
            return;
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        // A refusal for want of an instance would only repeat why there is none.
        if !matches!(error.kind, CallErrorKind::Down(_)) {
            self.status().last_error = Some(error.to_string());
        }
    }

    fn count(&self, method: &'static str, outcome: &'static str, took: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let plugin = self.config.id.clone();
        metrics::counter!("set_plugin_calls_total", "plugin" => plugin.clone(), "method" => method, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("set_plugin_call_seconds", "plugin" => plugin, "method" => method)
            .record(took.as_secs_f64());
    }

    async fn ask<Q, A>(self: &Arc<Self>, method: &'static str, request: &Q) -> Result<A, CallErrorKind>
    where
        Q: Serialize + Sync + ?Sized,
        A: DeserializeOwned,
    {
        let Some(instance) = self.instance.load_full() else {
            return Err(self.down());
        };
        let payload = serde_json::to_vec(request)
            .map_err(|error| CallErrorKind::Protocol(format!("the request cannot be written: {error}")))?;
        if payload.len() > MAX_PAYLOAD {
            let reason = format!("the request is {} bytes ({MAX_PAYLOAD} at most)", payload.len());
            return Err(CallErrorKind::Protocol(reason));
        }
        let Begun { call, answer } = instance.begin(method, payload).map_err(|refused| match refused {
            NotBegun::Busy => CallErrorKind::Busy(self.config.concurrency),
            NotBegun::Ended => self.down(),
        })?;
        let mut running = Running {
            slot: self,
            instance: &instance,
            call,
            answered: false,
        };
        let answer = tokio::time::timeout(self.config.deadline, answer)
            .await
            .map_err(|_| CallErrorKind::Timeout(self.config.deadline))?;
        running.answered = true;
        match answer {
            Ok(answer) => self.read(&instance, &answer),
            Err(_) => Err(self.down()),
        }
    }

    fn down(&self) -> CallErrorKind {
        let status = self.status();
        let cause = status
            .cause
            .as_deref()
            .map_or(String::new(), |cause| format!(": {cause}"));
        CallErrorKind::Down(format!("{}{cause}", status.state))
    }

    fn read<A: DeserializeOwned>(&self, instance: &Arc<Instance>, answer: &Answer) -> Result<A, CallErrorKind> {
        let protocol = |reason: String| CallErrorKind::Protocol(self.scrub(&reason));
        let length = answer.payload.len();
        if length > MAX_PAYLOAD {
            return Err(protocol(format!("it answered {length} bytes ({MAX_PAYLOAD} at most)")));
        }
        let bytes = answer
            .payload
            .bytes()
            .ok_or_else(|| protocol(format!("it answered {length} bytes at null")))?;
        let text = || self.scrub(&String::from_utf8_lossy(bytes));
        match answer.status {
            status::OK => serde_json::from_slice(bytes)
                .map_err(|error| protocol(format!("it answered what cannot be read: {error}"))),
            status::REFUSED => match serde_json::from_slice::<Refusal>(bytes) {
                Ok(Refusal { message, retryable }) => Err(CallErrorKind::Refused {
                    message: self.scrub(&message),
                    retryable,
                }),
                Err(error) => Err(protocol(format!("its refusal cannot be read: {error}"))),
            },
            status::PANICKED => {
                let message = text();
                self.give_up(instance, PluginState::Degraded, format!("it panicked: {message}"));
                Err(CallErrorKind::Panicked(message))
            }
            status::UNKNOWN_METHOD => Err(CallErrorKind::UnknownMethod),
            status::INVALID => Err(protocol(format!("it could not read the request: {}", text()))),
            status::CANCELLED => Err(CallErrorKind::Down("it ended the call by itself".to_owned())),
            other => Err(protocol(format!("it completed with the unknown status {other}"))),
        }
    }

    /// What the plugin said, without secrets and not endless.
    fn scrub(&self, text: &str) -> String {
        let text = cut(text);
        self.ready
            .as_ref()
            .map_or_else(|| text.to_owned(), |ready| ready.redactor.scrub(text).into_owned())
    }

    fn scrub_problem(&self, problem: Problem) -> Problem {
        match problem {
            Problem::Create(reason) => Problem::Create(self.scrub(&reason)),
            Problem::Abi(reason) => Problem::Abi(self.scrub(&reason)),
            Problem::Panicked { function, message } => Problem::Panicked {
                function,
                message: self.scrub(&message),
            },
            other => other,
        }
    }

    /// Gives a cancelled call some time to end, and gives its instance up if it does not.
    fn watch_cancelled(self: &Arc<Self>, instance: &Arc<Instance>, call: u64) {
        instance.cancel(call);
        let (slot, instance) = (self.clone(), instance.clone());
        self.runtime.spawn(async move {
            let grace = slot.config.deadline.clamp(GRACE.0, GRACE.1);
            tokio::time::sleep(grace).await;
            if instance.is_pending(call) {
                let reason = format!(
                    "a call was still running {}ms after it was cancelled",
                    grace.as_millis()
                );
                slot.give_up(&instance, PluginState::Wedged, reason);
            }
        });
    }

    pub(crate) fn report(&self) -> PluginReport {
        let config = &self.config;
        let ready = self.ready.as_ref();
        let descriptor = ready.map(|ready| &ready.loaded.descriptor);
        let instance = self.instance.load();
        let status = self.status();
        PluginReport {
            id: config.id.clone(),
            kind: config.kind,
            name: descriptor.map(|descriptor| descriptor.name.clone()),
            version: descriptor.map(|descriptor| descriptor.version.clone()),
            description: descriptor.map(|descriptor| descriptor.description.clone()),
            origin: config.origin.to_string(),
            sha256: ready.and_then(|ready| ready.loaded.sha256).map(hex::encode),
            state: status.state,
            generation: status.generation,
            required: config.required,
            last_error: status.last_error.clone(),
            calls: self.calls.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            in_flight: instance.as_ref().map_or(0, |instance| instance.in_flight()),
            stray_completions: instance.as_ref().map_or(0, |instance| instance.stray()),
            config_schema: descriptor.map(|descriptor| descriptor.config_schema.as_value().clone()),
        }
    }
}

/// A call on its way: cancelled when it is dropped without an answer.
struct Running<'a> {
    slot: &'a Arc<Slot>,
    instance: &'a Arc<Instance>,
    call: u64,
    answered: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.slot.watch_cancelled(self.instance, self.call);
        }
    }
}
