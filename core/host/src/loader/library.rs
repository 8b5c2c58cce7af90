//! A plugin's table of functions, read with care.

use std::{ffi::c_void, path::Path};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use serde::de::DeserializeOwned;
use set_plugin_abi::{
    EntryPoint, MAJOR, OwnedBuffer, SYMBOL, SetBuffer, SetCompletion, SetHostV1, SetPluginEntry, SetPluginV1, SetSlice,
    status,
};
use set_types::{Descriptor, Refusal};

use crate::error::Problem;

/// The longest description that is read, in bytes.
const LONGEST_DESCRIPTION: usize = 1 << 20;

type Describe = unsafe extern "C" fn(*mut SetBuffer) -> u32;
type Create = unsafe extern "C" fn(*const SetHostV1, SetSlice, *mut *mut c_void, *mut SetBuffer) -> u32;
type Call = unsafe extern "C" fn(*mut c_void, SetSlice, SetSlice, SetCompletion);
type Cancel = unsafe extern "C" fn(*mut c_void, u64);
type Destroy = unsafe extern "C" fn(*mut c_void);

/// The functions of a plugin, each of them there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    minor: u32,
    pub(super) describe: Describe,
    pub(super) create: Create,
    pub(super) call: Call,
    pub(super) cancel: Option<Cancel>,
    pub(super) destroy: Destroy,
}

impl Table {
    pub(super) fn of_builtin(entry: EntryPoint) -> Result<Self, Problem> {
        // SAFETY: a builtin's table is a constant of this program.
        unsafe { Self::read(entry.table()) }
    }

    /// Loads the copy `image` of `file` and finds its table. The library stays loaded for ever, found
    /// fit or not: its initialisers have run.
    pub(super) fn of_library(image: &Path, file: &Path) -> Result<Self, Problem> {
        let refuse = |error: libloading::Error| {
            let reason = format!("cannot be loaded: {}", cause(&error));
            Problem::File {
                path: file.to_owned(),
                reason,
            }
        };
        // SAFETY: the operator trusts this file with the program (it was found in a directory that nobody
        // else can write to, and fits its pin); its initialisers run here.
        let library = unsafe { Library::open(Some(image), RTLD_NOW | RTLD_LOCAL) }.map_err(refuse)?;
        let library = std::mem::ManuallyDrop::new(library);
        // SAFETY: the ABI gives this symbol this type.
        let entry = unsafe { library.get::<SetPluginEntry>(SYMBOL) }.map_err(|_| {
            let symbol = SYMBOL.to_string_lossy();
            Problem::Abi(format!(
                "{} has no symbol `{symbol}`; is it a plugin, and built for version {MAJOR} of the ABI?",
                file.display()
            ))
        })?;
        // SAFETY: the ABI lets the host call it at any time; it returns a constant table.
        unsafe { Self::read(entry()) }
    }

    /// Reads as much of a table as both sides know, and nothing before its size is known to suffice.
    ///
    /// # Safety
    /// `table` is null, or points to at least a size, and to as many bytes as that says.
    unsafe fn read(table: *const SetPluginV1) -> Result<Self, Problem> {
        let refuse = |reason: String| Err(Problem::Abi(reason));
        if table.is_null() || !table.is_aligned() {
            return refuse("the table is at no valid address".to_owned());
        }
        // SAFETY: not null and aligned; a table begins with its size.
        let size = unsafe { table.cast::<usize>().read() };
        if size < std::mem::offset_of!(SetPluginV1, describe) {
            return refuse(format!("the table is {size} bytes, which is too short for a version"));
        }
        // SAFETY: the table reaches past its versions.
        let (major, minor) = unsafe { ((&raw const (*table).major).read(), (&raw const (*table).minor).read()) };
        if major != MAJOR {
            return refuse(format!(
                "it is built for version {major} of the ABI, this program for {MAJOR}; rebuild it"
            ));
        }
        if size < SetPluginV1::LEAST {
            let least = SetPluginV1::LEAST;
            return refuse(format!(
                "the table is {size} bytes, and version {MAJOR} has at least {least}"
            ));
        }
        // SAFETY: the table has all the fields of version 1.0, which are all that are read here.
        let SetPluginV1 {
            describe,
            create,
            call,
            cancel,
            destroy,
            ..
        } = unsafe { *table };
        match (describe, create, call, destroy) {
            (Some(describe), Some(create), Some(call), Some(destroy)) => Ok(Self {
                minor,
                describe,
                create,
                call,
                cancel,
                destroy,
            }),
            _ => refuse("`describe`, `create`, `call` and `destroy` must not be null".to_owned()),
        }
    }

    /// Asks what the plugin is.
    pub(super) fn describe(&self) -> Result<Descriptor, Problem> {
        let mut out = SetBuffer::EMPTY;
        // SAFETY: `out` is a place to write to.
        let status = unsafe { (self.describe)(&raw mut out) };
        // SAFETY: the plugin gave the buffer away.
        let out = unsafe { OwnedBuffer::new(out) };
        if status != status::OK {
            return Err(failure("describe", status, &out));
        }
        if out.len() > LONGEST_DESCRIPTION {
            return Err(Problem::Abi(format!(
                "`describe` wrote {} bytes ({LONGEST_DESCRIPTION} at most)",
                out.len()
            )));
        }
        read("describe", &out)
    }

    /// The version of the ABI that the plugin was built for.
    pub(super) fn version(&self) -> String {
        format!("{MAJOR}.{}", self.minor)
    }
}

fn read<T: DeserializeOwned>(function: &str, payload: &OwnedBuffer) -> Result<T, Problem> {
    let bytes = payload
        .bytes()
        .ok_or_else(|| Problem::Abi(format!("`{function}` gave a length without bytes")))?;
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::Abi(format!("`{function}` wrote what cannot be read: {error}")))
}

/// What a status other than OK means for a plugin that is not running yet.
pub(super) fn failure(function: &'static str, status: u32, payload: &OwnedBuffer) -> Problem {
    let text = || String::from_utf8_lossy(payload.bytes().unwrap_or_default()).into_owned();
    match status {
        status::PANICKED => Problem::Panicked {
            function,
            message: text(),
        },
        status::REFUSED => match read::<Refusal>(function, payload) {
            Ok(refusal) => Problem::Create(refusal.message),
            Err(problem) => problem,
        },
        status::INVALID => Problem::Create(format!("it cannot read its configuration: {}", text())),
        _ => Problem::Abi(format!("`{function}` returned status {status}")),
    }
}

/// The innermost cause: what the system's loader said.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}
