//! The C ABI between the sidecar and its plugins.
//!
//! A plugin is a shared library that exports one symbol, [`SYMBOL`], of type [`SetPluginEntry`]. It
//! returns a [`SetPluginV1`]: five functions, of which the host uses `describe` to learn what it has in
//! hand, `create` to make an instance from a configuration, `call` to ask it something, `cancel` to take
//! a question back and `destroy` to end it. Plugins that are linked into the program go through the
//! same table, so there is one contract and one set of tests.
//!
//! What crosses the boundary are JSON texts in UTF-8; [`method`] names the questions, `set-types` holds
//! their requests and answers. Plugins in Rust use `set-plugin-sdk` and see nothing of this crate;
//! plugins in other languages use `include/set_plugin.h`, which a test keeps equal to these types.
//!
//! # Threads
//! The host calls `create`, `call`, `cancel` and `destroy` of one instance from one thread, never two
//! at once. A plugin completes a call from any thread, and may do so before `call` returns. `free`
//! functions of buffers and the host's services can be called from any thread.
//!
//! # Time
//! `call` returns at once: work that waits happens elsewhere. A call that is not completed within the
//! deadline that the operator gave is cancelled; one that is not completed then either makes the host
//! give the instance up and start another. Whatever an abandoned instance completes later is dropped.
//!
//! # Memory
//! A [`SetSlice`] is borrowed and valid until the function that received it returns. A [`SetBuffer`]
//! is owned by its receiver and carries its maker's `free`, so that no two allocators are mixed.
//! Libraries are never unloaded; the host's table and its context stay valid for ever.
//!
//! # Panics and exceptions
//! Nothing unwinds across the boundary: a plugin catches what it throws and completes with
//! [`status::PANICKED`].
//!
//! # Versions
//! Every table begins with its own size in bytes, then major and minor. Within a major version tables
//! only grow at the end, and optional functions may be null; a reader copies no more than both sides
//! know. Another major version is another symbol.
#![no_std]
#![allow(unsafe_code, reason = "this crate is the boundary: buffers are raw memory")]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod buffer;
pub mod method;
pub mod status;
mod table;

pub use buffer::{OwnedBuffer, SetBuffer, SetSlice};
pub use table::{EntryPoint, SetComplete, SetCompletion, SetHostV1, SetPluginEntry, SetPluginV1};

use core::ffi::CStr;

/// The one symbol that a plugin exports.
pub const SYMBOL: &CStr = c"set_plugin_v1";

/// Major version of the tables; the digit in [`SYMBOL`].
pub const MAJOR: u32 = 1;

/// Minor version of the tables: grows with every function added at an end.
pub const MINOR: u32 = 0;

/// Version of the JSON messages that this release speaks.
pub const PROTOCOL: u32 = 1;

/// The longest JSON text that either side accepts, in bytes. 64 MiB holds a poll of 100,000
/// commitments; anything longer is a mistake that should not take the program's memory.
pub const MAX_PAYLOAD: usize = 64 << 20;
