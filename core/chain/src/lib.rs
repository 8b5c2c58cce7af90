//! The chain as the sidecar sees it: contract bindings, the head and how far L1 has settled it, and
//! readers of the registry.
//!
//! Without the feature `provider` only what needs no node remains: the bindings and the size estimate,
//! which is all that a submitter plugin asks for. With it:
//!
//! - [`connect`] opens the public JSON-RPC of one node or of several, of which another is asked where one
//!   fails, with time-outs of its own and no alloy fillers;
//! - [`track`] follows the head, the `safe` and `finalized` tags and the fees in one round trip a poll;
//! - [`OpNode`] asks op-node; [`track_beside`] takes from it what is safe and finalized;
//! - [`RegistryReader`] asks SetRegistry, one round trip a question;
//! - [`DataFees`] asks what an OP Stack chain charges beside gas.

pub mod bindings;
#[cfg(feature = "provider")]
mod data_fee;
#[cfg(feature = "provider")]
mod endpoint;
#[cfg(feature = "provider")]
mod failover;
#[cfg(feature = "provider")]
mod fee_market;
#[cfg(feature = "provider")]
mod lineage;
#[cfg(feature = "provider")]
mod metrics;
#[cfg(feature = "provider")]
mod op_node;
#[cfg(feature = "provider")]
mod registry;
#[cfg(feature = "provider")]
mod settled_tags;
mod size;
#[cfg(feature = "provider")]
mod tracker;
#[cfg(feature = "provider")]
mod view;

#[cfg(feature = "provider")]
pub use data_fee::DataFees;
#[cfg(feature = "provider")]
pub use endpoint::{ChainError, EndpointConfig, L2Provider, connect, install_tls, json_rpc, transport_cause};
#[cfg(feature = "provider")]
pub use metrics::describe_metrics;
#[cfg(feature = "provider")]
pub use op_node::{NumberedHash, OpNode, OpNodeView, RollupChains, SafeHead, SafeHeads, SyncStatus};
#[cfg(feature = "provider")]
pub use registry::RegistryReader;
pub use size::estimated_size;
#[cfg(feature = "provider")]
pub use tracker::{track, track_beside};
#[cfg(feature = "provider")]
pub use view::{BlockRef, ChainView, EndpointHealth, Head, SettlementTag};
