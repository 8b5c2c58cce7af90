//! The two tables of functions.

use core::ffi::c_void;

use crate::{MAJOR, MINOR, SetBuffer, SetSlice};

/// Ends a call: how (see [`status`](crate::status)), and with what. The receiver owns `payload`.
pub type SetComplete = unsafe extern "C" fn(ctx: *mut c_void, call: u64, status: u32, payload: SetBuffer);

/// Where the outcome of one call goes. Whoever receives it calls `complete(ctx, call, …)` exactly once.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SetCompletion {
    /// The function to call; from any thread.
    pub complete: SetComplete,
    /// Passed back to it.
    pub ctx: *mut c_void,
    /// Number of the call, passed back to it; unique within the instance.
    pub call: u64,
}

// SAFETY: the contract lets `complete` be called from any thread.
unsafe impl Send for SetCompletion {}

/// What a plugin gives the host.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SetPluginV1 {
    /// `sizeof` this table, as the plugin was built.
    pub size: usize,
    /// [`MAJOR`], as the plugin was built.
    pub major: u32,
    /// [`MINOR`], as the plugin was built.
    pub minor: u32,
    /// Writes the descriptor (`set-types`: `Descriptor`) to `out`; returns a status. Needs no instance.
    pub describe: Option<unsafe extern "C" fn(out: *mut SetBuffer) -> u32>,
    /// Makes an instance from a configuration (JSON) and the host's table, which stays valid for ever.
    /// Returns a status; with [`status::OK`](crate::status::OK) `instance` holds the instance, with any
    /// other `error` holds what a completion with that status would hold.
    pub create: Option<
        unsafe extern "C" fn(
            host: *const SetHostV1,
            config: SetSlice,
            instance: *mut *mut c_void,
            error: *mut SetBuffer,
        ) -> u32,
    >,
    /// Begins a call and returns at once. `done` is used exactly once, now or later.
    pub call:
        Option<unsafe extern "C" fn(instance: *mut c_void, method: SetSlice, payload: SetSlice, done: SetCompletion)>,
    /// Takes a call back: complete it soon, with any outcome. May be null. The call may be over already.
    pub cancel: Option<unsafe extern "C" fn(instance: *mut c_void, call: u64)>,
    /// Ends an instance: no call of it completes, and none of its threads runs, once this returns.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
}

/// What the host gives an instance. All functions can be called from any thread.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SetHostV1 {
    /// `sizeof` this table, as the host was built.
    pub size: usize,
    /// [`MAJOR`], as the host was built.
    pub major: u32,
    /// [`MINOR`], as the host was built.
    pub minor: u32,
    /// Passed to every function below.
    pub ctx: *mut c_void,
    /// The gravest-to-finest level that the host records, as a `LOG_` number of
    /// [`status`](crate::status); 0 for none. Ask before you format.
    pub log_level: unsafe extern "C" fn(ctx: *mut c_void) -> u32,
    /// Records a line: level, where it comes from (`module::path`), message, and fields as a JSON object
    /// (may be empty). Never blocks; what comes too fast is dropped and counted.
    pub log: unsafe extern "C" fn(ctx: *mut c_void, level: u32, target: SetSlice, message: SetSlice, fields: SetSlice),
    /// Records a metric: a `METRIC_` number of [`status`](crate::status), a name of `[a-z0-9_]`, a value.
    /// Never blocks.
    pub metric: unsafe extern "C" fn(ctx: *mut c_void, kind: u32, name: SetSlice, value: f64),
    /// Asks the host something ([`method::host`](crate::method::host)) and returns at once.
    pub call: unsafe extern "C" fn(ctx: *mut c_void, method: SetSlice, payload: SetSlice, done: SetCompletion),
}

// SAFETY: a table is constant, and its functions can be called from any thread.
unsafe impl Send for SetHostV1 {}
// SAFETY: as above.
unsafe impl Sync for SetHostV1 {}

/// The type of the exported symbol. The table that it returns is never freed and never changes.
pub type SetPluginEntry = unsafe extern "C" fn() -> *const SetPluginV1;

/// A plugin that is linked into the program.
#[derive(Debug, Clone, Copy)]
pub struct EntryPoint(&'static SetPluginV1);

impl EntryPoint {
    /// Names a table as a plugin's.
    ///
    /// # Safety
    /// The table's functions keep the contract of [`SetPluginV1`].
    pub const unsafe fn new(table: &'static SetPluginV1) -> Self {
        Self(table)
    }

    /// The table.
    pub const fn table(self) -> &'static SetPluginV1 {
        self.0
    }
}

impl SetPluginV1 {
    /// The least size of a table of this major version, in bytes: that of minor version 0.
    pub const LEAST: usize = core::mem::offset_of!(Self, destroy) + size_of::<usize>();

    /// A table of this version without functions, to be filled.
    pub const EMPTY: Self = Self {
        size: size_of::<Self>(),
        major: MAJOR,
        minor: MINOR,
        describe: None,
        create: None,
        call: None,
        cancel: None,
        destroy: None,
    };
}
