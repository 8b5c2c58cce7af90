//! What the author of a plugin uses.
//!
//! A plugin is a type that implements [`Plugin`] and one role: [`Source`], [`Policy`] or [`Submitter`].
//! One line makes it known to the program that links it in, another makes it a loadable library:
//!
//! ```
//! use set_plugin_sdk::prelude::*;
//!
//! /// Holds everything.
//! struct Brake {
//!     reason: String,
//! }
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct BrakeConfig {
//!     /// What to tell whoever asks why nothing moves.
//!     reason: String,
//! }
//!
//! #[async_trait]
//! impl Plugin for Brake {
//!     type Config = BrakeConfig;
//!
//!     async fn create(config: BrakeConfig, _host: Host) -> Result<Self, PluginError> {
//!         Ok(Self { reason: config.reason })
//!     }
//! }
//!
//! #[async_trait]
//! impl Policy for Brake {
//!     async fn evaluate(&self, request: EvaluateRequest) -> Result<EvaluateResponse, PluginError> {
//!         let hold = Verdict::Hold { until: None, reason: self.reason.clone() };
//!         Ok(EvaluateResponse { verdicts: vec![hold; request.subjects.len()] })
//!     }
//! }
//!
//! set_plugin_sdk::plugin!(Brake as Policy, name = "brake"); // `pub const PLUGIN`, to link in
//! set_plugin_sdk::export_plugin!(PLUGIN); // the symbol of a loadable library, in its root
//! # fn main() {}
//! ```
//!
//! # What the SDK does for you
//! - Each instance runs on a small tokio runtime of its own, so `tokio::spawn`, timers and sockets work.
//! - `tracing` events and spans made on that runtime go to the host's log, marked with the plugin's id.
//! - A panic ends the call, not the program; the host then replaces the instance.
//! - A call whose deadline passed is dropped at its next `.await`.
//! - Configuration arrives checked against its schema and with secrets filled in; keep those in a
//!   [`Secret`].
//!
//! # What you must do
//! - Do not block the runtime's threads: use `tokio::task::spawn_blocking`.
//! - Answer every item of a request, in its order; the host refuses a shorter or longer answer.
//! - Build with `panic = "unwind"` (the default): an abort cannot be caught.
//!
//! [`harness`] runs a plugin in a test through the same C table as the host.
#![allow(unsafe_code, reason = "the SDK is the plugin's side of the C boundary")]

#[cfg(panic = "abort")]
compile_error!(
    "a plugin that aborts on panic takes the whole sidecar with it: remove `panic = \"abort\"` from the Cargo profile"
);

mod error;
#[doc(hidden)]
pub mod export;
pub mod harness;
mod host;
mod instance;
mod log;
mod role;
mod secret;

pub use error::PluginError;
pub use host::Host;
pub use role::{Plugin, Policy, Source, Submitter};
pub use secret::Secret;

pub use async_trait::async_trait;
pub use set_plugin_abi::{EntryPoint, method};
pub use set_types as types;

/// Everything that a plugin's source file usually names.
pub mod prelude {
    pub use crate::{Host, Plugin, PluginError, Policy, Secret, Source, Submitter, async_trait};
    pub use set_types::*;
}
