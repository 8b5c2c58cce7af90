//! The JSON-RPC namespace `set_`, health and metrics beside it, and the namespace `admin_`.
//!
//! [`RpcServer`] answers over HTTP and WebSocket on one port; it only reads. [`HealthServer`] has a
//! listener of its own, and so has [`admin`]. None of them knows the pipeline or the transaction manager: they reach them through
//! the traits [`Pending`] and [`StatusReport`], which the program implements. [`Plugins`] and [`Registry`]
//! are the host's and the registry reader's.
//!
//! # Errors on the wire
//! JSON-RPC's own codes, and from -39001 on those of this namespace. `data` is for programs:
//! `{kind, retryable, param?, requestId}`.
//!
//! | code | kind | meaning |
//! | --- | --- | --- |
//! | -32601 | | there is no such method |
//! | -32602 | `invalid_params` | a parameter is wrong; `param` names it |
//! | -32603 | `internal` | our fault; the log has the cause under `requestId` |
//! | -39001 | `not_found` | there is no such commitment, or no such proof |
//! | -39004 | `plugin_unavailable` | the source cannot be asked |
//! | -39005 | `plugin_timeout` | the source did not answer in time |
//! | -39006 | `chain_unavailable` | the registry cannot be asked |
//! | -39008 | `busy` | too many proofs are being asked for |
//! | -39009 | `not_proven` | the source's proof does not hold |
//! | -39010 | `timeout` | no answer within `rpc.call_timeout` |
//! | -39011 | `faulty_configuration` | a reload changed nothing; the message says why (`admin_` only) |
//! | -39012 | `not_claimed` | no game on L1 covers the commitment yet |
//! | -39013 | `unprovable` | a game covers it, but no state of that block is kept, here or by a node |

mod access;
pub mod admin;
pub mod answer;
mod args;
mod config;
mod door;
mod error;
mod handler;
mod health;
mod host;
mod method;
mod metrics;
mod middleware;
mod port;
mod proofs;
mod server;
mod service;

pub use config::{ProofsConfig, RpcConfig};
pub use health::{ComponentAnswer, Health, HealthAnswer, HealthParts, HealthServer};
pub use metrics::describe_metrics;
pub use port::{
    ClaimedEvidence, Condition, NoEvidence, Pending, PendingQuery, Plugins, Registry, SettlementProofs, SourceError,
    StatusReport,
};
pub use server::{RpcServer, StartError};
pub use service::Parts;
