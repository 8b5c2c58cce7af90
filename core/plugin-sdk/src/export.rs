//! From a type to the C table: what `plugin!` and `export_plugin!` expand to.
//!
//! Every function here that the host calls catches panics: one that crossed the boundary would abort
//! the program.

use std::{
    any::Any,
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use set_plugin_abi::{
    EntryPoint, PROTOCOL, SetBuffer, SetCompletion, SetHostV1, SetPluginV1, SetSlice, method, status,
};
use set_types::{Descriptor, PluginKind, ProtocolRange, Refusal};

use crate::{Host, Plugin, PluginError, Policy, Source, Submitter, instance::Instance};

pub use set_plugin_abi::SetPluginV1 as Table;

/// A plugin with its name and role, as `plugin!` states them.
pub trait Package: Plugin {
    /// Its name.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// What it does.
    const DESCRIPTION: &'static str;
    /// Its role.
    type Role: Role<Self>;
}

/// How a call ended.
#[derive(Debug)]
pub enum Ended {
    /// With a refusal.
    Refused(PluginError),
    /// The request could not be read.
    Invalid(String),
    /// The role has no such method.
    UnknownMethod,
}

/// Methods of one role, by name.
pub trait Role<P: Plugin> {
    /// The role.
    const KIND: PluginKind;

    /// Answers one call, or `Ended::UnknownMethod`.
    fn dispatch<'a>(plugin: &'a P, method: &'a str, payload: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, Ended>>;
}

/// The role of [`Source`].
#[derive(Debug)]
pub struct AsSource;
/// The role of [`Policy`].
#[derive(Debug)]
pub struct AsPolicy;
/// The role of [`Submitter`].
#[derive(Debug)]
pub struct AsSubmitter;

/// Reads the request, asks, writes the answer.
async fn answer<Q: DeserializeOwned, A: Serialize, F: Future<Output = Result<A, PluginError>>>(
    payload: &[u8],
    ask: impl FnOnce(Q) -> F,
) -> Result<Vec<u8>, Ended> {
    let request = serde_json::from_slice(payload).map_err(|error| Ended::Invalid(error.to_string()))?;
    let answer = ask(request).await.map_err(Ended::Refused)?;
    serde_json::to_vec(&answer)
        .map_err(|error| Ended::Refused(PluginError::permanent(format!("the answer cannot be written: {error}"))))
}

impl<P: Source> Role<P> for AsSource {
    const KIND: PluginKind = PluginKind::Source;

    fn dispatch<'a>(plugin: &'a P, method: &'a str, payload: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, Ended>> {
        Box::pin(async move {
            match method {
                method::POLL => answer(payload, |request| plugin.poll(request)).await,
                method::POLL_STREAM => answer(payload, |request| plugin.poll_stream(request)).await,
                method::REPORT => answer(payload, |request| plugin.report(request)).await,
                method::INCLUSION_PROOF => answer(payload, |request| plugin.inclusion_proof(request)).await,
                _ => every(plugin, method, payload).await,
            }
        })
    }
}

impl<P: Policy> Role<P> for AsPolicy {
    const KIND: PluginKind = PluginKind::Policy;

    fn dispatch<'a>(plugin: &'a P, method: &'a str, payload: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, Ended>> {
        Box::pin(async move {
            match method {
                method::EVALUATE => answer(payload, |request| plugin.evaluate(request)).await,
                _ => every(plugin, method, payload).await,
            }
        })
    }
}

impl<P: Submitter> Role<P> for AsSubmitter {
    const KIND: PluginKind = PluginKind::Submitter;

    fn dispatch<'a>(plugin: &'a P, method: &'a str, payload: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, Ended>> {
        Box::pin(async move {
            match method {
                method::PLAN => answer(payload, |request| plugin.plan(request)).await,
                method::SETTLE => answer(payload, |request| plugin.settle(request)).await,
                method::HEADS => answer(payload, |request| plugin.heads(request)).await,
                method::LOOKUP => answer(payload, |request| plugin.lookup(request)).await,
                method::LOG_FILTER => answer(payload, |()| plugin.log_filter()).await,
                method::DECODE => answer(payload, |request| plugin.decode(request)).await,
                _ => every(plugin, method, payload).await,
            }
        })
    }
}

/// Methods that every role has.
async fn every<P: Plugin>(plugin: &P, method: &str, payload: &[u8]) -> Result<Vec<u8>, Ended> {
    match method {
        method::HEALTH => answer(payload, |()| plugin.health()).await,
        _ => Err(Ended::UnknownMethod),
    }
}

/// The plugin as the program links it in.
pub const fn entry_point<P: Package>() -> EntryPoint {
    // SAFETY: the functions of `TABLE` keep the contract.
    unsafe { EntryPoint::new(&P::TABLE) }
}

trait Exported: Package {
    const TABLE: SetPluginV1 = SetPluginV1 {
        describe: Some(describe::<Self>),
        create: Some(create::<Self>),
        call: Some(call::<Self>),
        cancel: Some(cancel::<Self>),
        destroy: Some(destroy::<Self>),
        ..SetPluginV1::EMPTY
    };
}

impl<P: Package> Exported for P {}

/// The text of a panic, where it has one.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "panicked without a message"
    }
}

/// The outcome of a failure as it crosses the boundary.
pub(crate) fn failure(ended: Ended) -> (u32, Vec<u8>) {
    match ended {
        Ended::Refused(error) => {
            // A structure of a string and a bool always has a JSON form.
            let refusal = serde_json::to_vec(&Refusal::from(error)).unwrap_or_default();
            (status::REFUSED, refusal)
        }
        Ended::Invalid(reason) => (status::INVALID, reason.into_bytes()),
        Ended::UnknownMethod => (status::UNKNOWN_METHOD, vec![]),
    }
}

unsafe extern "C" fn describe<P: Package>(out: *mut SetBuffer) -> u32 {
    let text = catch_unwind(|| {
        serde_json::to_vec(&Descriptor {
            name: P::NAME.to_owned(),
            version: P::VERSION.to_owned(),
            description: P::DESCRIPTION.to_owned(),
            kind: P::Role::KIND,
            protocol: ProtocolRange {
                min: PROTOCOL,
                max: PROTOCOL,
            },
            config_schema: schemars::schema_for!(P::Config),
        })
    });
    let (status, bytes) = match text {
        Ok(Ok(bytes)) => (status::OK, bytes),
        Ok(Err(error)) => (status::INVALID, error.to_string().into_bytes()),
        Err(panic) => (status::PANICKED, panic_text(&*panic).as_bytes().to_vec()),
    };
    // SAFETY: the host gives a place to write to.
    unsafe { out.write(SetBuffer::from_vec(bytes)) };
    status
}

unsafe extern "C" fn create<P: Package>(
    host: *const SetHostV1,
    config: SetSlice,
    instance: *mut *mut c_void,
    error: *mut SetBuffer,
) -> u32 {
    let made = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the host's table stays valid for ever.
        let host = Host::new(unsafe { &*host });
        // SAFETY: the host lends the configuration for this call.
        let config = unsafe { config.bytes() }.ok_or_else(|| Ended::Invalid("a length without bytes".to_owned()))?;
        let config = serde_json::from_slice(config).map_err(|error| Ended::Invalid(error.to_string()))?;
        Instance::<P>::start(config, host).map_err(Ended::Refused)
    }));
    let (status, bytes) = match made {
        Ok(Ok(made)) => {
            // SAFETY: the host gives a place to write to.
            unsafe { instance.write(Box::into_raw(Box::new(made)).cast()) };
            return status::OK;
        }
        Ok(Err(ended)) => failure(ended),
        Err(panic) => (status::PANICKED, panic_text(&*panic).as_bytes().to_vec()),
    };
    // SAFETY: the host gives a place to write to.
    unsafe { error.write(SetBuffer::from_vec(bytes)) };
    status
}

unsafe extern "C" fn call<P: Package>(instance: *mut c_void, method: SetSlice, payload: SetSlice, done: SetCompletion) {
    let done = crate::instance::Done::new(done);
    // `done` completes by itself where this unwinds.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the host passes what `create` gave it, and has not destroyed it.
        let instance = unsafe { &*instance.cast::<Instance<P>>() };
        // SAFETY: the host lends both for this call.
        let texts = unsafe { (method.bytes(), payload.bytes()) };
        match texts {
            (Some(method), Some(payload)) => {
                instance.call(String::from_utf8_lossy(method).into_owned(), payload.to_vec(), done);
            }
            _ => done.finish(status::INVALID, b"a length without bytes".to_vec()),
        }
    }));
}

unsafe extern "C" fn cancel<P: Package>(instance: *mut c_void, call: u64) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the host passes what `create` gave it, and has not destroyed it.
        let instance = unsafe { &*instance.cast::<Instance<P>>() };
        instance.cancel(call);
    }));
}

unsafe extern "C" fn destroy<P: Package>(instance: *mut c_void) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the host passes what `create` gave it, once, and uses it no more.
        let instance = unsafe { Box::from_raw(instance.cast::<Instance<P>>()) };
        instance.stop();
    }));
}

/// Makes a plugin known to the program that links it in: `pub const PLUGIN: EntryPoint`.
///
/// Version and description are the package's own.
#[macro_export]
macro_rules! plugin {
    ($type:ty as Source, name = $name:expr) => {
        $crate::plugin!(@package $type, AsSource, $name);
    };
    ($type:ty as Policy, name = $name:expr) => {
        $crate::plugin!(@package $type, AsPolicy, $name);
    };
    ($type:ty as Submitter, name = $name:expr) => {
        $crate::plugin!(@package $type, AsSubmitter, $name);
    };
    (@package $type:ty, $role:ident, $name:expr) => {
        impl $crate::export::Package for $type {
            const NAME: &'static str = $name;
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            const DESCRIPTION: &'static str = ::core::env!("CARGO_PKG_DESCRIPTION");
            type Role = $crate::export::$role;
        }

        /// The plugin, to be linked into the program or exported from a library.
        pub const PLUGIN: $crate::EntryPoint = $crate::export::entry_point::<$type>();
    };
}

/// Exports a plugin from a loadable library; stands once in the library's root.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:expr) => {
        /// The symbol that the host looks for.
        #[allow(unsafe_code, reason = "a C symbol has no namespace")]
        #[unsafe(no_mangle)]
        pub extern "C" fn set_plugin_v1() -> *const $crate::export::Table {
            let plugin: $crate::EntryPoint = $plugin;
            plugin.table()
        }
    };
}
