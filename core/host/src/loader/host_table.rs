//! The table of functions that an instance gets.

use std::{ffi::c_void, sync::Arc};

use arc_swap::ArcSwapOption;
use set_plugin_abi::{MAJOR, MINOR, SetBuffer, SetCompletion, SetHostV1, SetSlice, status};
use tokio::runtime::Handle;

use crate::services::Services;

/// One instance's view of the host. Leaked, because a plugin's threads may use it at any time; closed
/// when the instance ends, and deaf from then on.
#[derive(Clone, Copy)]
pub(crate) struct HostTable {
    table: &'static SetHostV1,
    context: &'static Context,
}

struct Context {
    /// Empty once closed.
    services: ArcSwapOption<Services>,
    runtime: Handle,
}

impl HostTable {
    /// Opens the host for one instance. Must be called on the host's runtime, where the plugin's
    /// questions are then answered.
    pub(crate) fn open(services: Arc<Services>) -> Self {
        let context: &'static Context = Box::leak(Box::new(Context {
            services: ArcSwapOption::new(Some(services)),
            runtime: Handle::current(),
        }));
        let table = Box::leak(Box::new(SetHostV1 {
            size: size_of::<SetHostV1>(),
            major: MAJOR,
            minor: MINOR,
            ctx: std::ptr::from_ref(context).cast_mut().cast(),
            log_level,
            log,
            metric,
            call,
        }));
        Self { table, context }
    }

    pub(super) const fn as_ptr(self) -> *const SetHostV1 {
        self.table
    }

    /// Stops answering.
    pub(super) fn close(self) {
        self.context.services.store(None);
    }
}

/// A plugin's question, answered exactly once: at the latest, as cancelled, when it is dropped.
struct Question(Option<SetCompletion>);

impl Question {
    fn answer(mut self, status: u32, payload: Vec<u8>) {
        self.complete(status, SetBuffer::from_vec(payload));
    }

    fn complete(&mut self, status: u32, payload: SetBuffer) {
        if let Some(SetCompletion { complete, ctx, call }) = self.0.take() {
            // SAFETY: the completion was taken, so this is the one time that it is used.
            unsafe { complete(ctx, call, status, payload) }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.complete(status::CANCELLED, SetBuffer::EMPTY);
    }
}

/// What `ctx` stands for.
///
/// # Safety
/// `ctx` is the one of a [`HostTable`].
unsafe fn context(ctx: *mut c_void) -> &'static Context {
    // SAFETY: leaked by `open`, and shared from then on.
    unsafe { &*ctx.cast::<Context>() }
}

/// A lent text; what is no UTF-8 in it is replaced.
///
/// # Safety
/// As [`SetSlice::bytes`].
unsafe fn text(slice: SetSlice) -> String {
    // SAFETY: passed on to the caller.
    String::from_utf8_lossy(unsafe { slice.bytes() }.unwrap_or_default()).into_owned()
}

unsafe extern "C" fn log_level(_: *mut c_void) -> u32 {
    crate::log::finest_level()
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, target: SetSlice, message: SetSlice, fields: SetSlice) {
    // SAFETY: the plugin passes our `ctx`.
    let Some(services) = unsafe { context(ctx) }.services.load_full() else {
        return;
    };
    // SAFETY: the plugin lends the texts for this call.
    services.log(level, || unsafe { (text(target), text(message), text(fields)) });
}

unsafe extern "C" fn metric(ctx: *mut c_void, kind: u32, name: SetSlice, value: f64) {
    // SAFETY: the plugin passes our `ctx`.
    let Some(services) = unsafe { context(ctx) }.services.load_full() else {
        return;
    };
    // SAFETY: the plugin lends the name for this call.
    services.metric(kind, &unsafe { text(name) }, value);
}

unsafe extern "C" fn call(ctx: *mut c_void, method: SetSlice, payload: SetSlice, done: SetCompletion) {
    let question = Question(Some(done));
    // SAFETY: the plugin passes our `ctx`.
    let context = unsafe { context(ctx) };
    let Some(services) = context.services.load_full() else {
        return;
    };
    // SAFETY: the plugin lends both for this call.
    let (method, payload) = unsafe { (text(method), payload.bytes().unwrap_or_default().to_vec()) };
    context.runtime.spawn(async move {
        let (status, answer) = services.answer(&method, &payload).await;
        question.answer(status, answer);
    });
}
