//! Finds, checks, loads, calls and supervises plugins.
//!
//! [`Host::start`] brings all configured plugins up, linked-in ones and files alike, through the one C
//! ABI of `set-plugin-abi`. The rest of the program calls them through [`SourceClient`],
//! [`PolicyChain`] and [`SubmitterClient`]: with a deadline, with bounded concurrency, and with answers
//! that were checked against the question.
//!
//! A plugin in this process has the program's full trust: it could read its memory or end it. Short of
//! that it can fail in every way (panic, hang, flood, lie, be of the wrong version) and the host goes on,
//! says what happened, and replaces the instance or gives the plugin up.
//!
//! Plugins propose, the core disposes: calls that a submitter plans are checked against the operator's
//! allow-list, and what a plugin may ask the node is read-only.

mod allow;
pub mod chain_method;
mod client;
mod config;
mod error;
mod host;
mod loader;
mod log;
mod metrics;
mod policy;
mod report;
mod schema;
mod secrets;
mod services;
mod slot;
mod supervisor;

pub use self::metrics::describe_metrics;
pub use allow::{AllowedCall, NotAllowed, NotAllowedReason, Selector};
pub use client::{SourceClient, SubmitterClient};
pub use config::{AllowConfig, HostConfig, LoadingConfig, Origin, PluginConfig};
pub use error::{CallError, CallErrorKind, HostError, Problem, StartError};
pub use host::Host;
pub use loader::{Builtin, Inspection, inspect};
pub use policy::{Judgement, PolicyChain};
pub use report::{PluginReport, PluginState};
pub use services::{HostServices, ServiceError};
