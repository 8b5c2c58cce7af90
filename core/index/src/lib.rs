//! What the chain holds, made quick to ask, and the little that the chain cannot answer.
//!
//! [`Index`] is a redb file of commitments and streams. A [`Follower`] fills it from the chain's logs,
//! in ranges, and takes back what a reorg undid. The chain stays the database: the file may be deleted,
//! be older, or be damaged, and is rebuilt.
//!
//! [`Durable`] is a second, small file with what cannot be rebuilt: quarantine, conflicts of reports,
//! and what plugins keep.
//!
//! [`Store`] is what both are made of, for other crates' files too.

mod anchored;
mod apply;
mod chain_logs;
mod decoder;
mod durable;
mod error;
mod follower;
mod index;
mod metrics;
mod opening;
mod range;
mod store;
mod tables;
mod unindexed;

pub use anchored::{Anchored, ChainPosition, Entry, StreamPosition, StreamSummary};
pub use apply::Step;
pub use decoder::LogDecoder;
pub use durable::{Durable, MAX_PLUGIN_KEY, MAX_PLUGIN_VALUE, QuarantineCause, QuarantineEntry, ReportConflict};
pub use error::StoreError;
pub use follower::{Follower, FollowerOptions};
pub use index::{Counts, Index, Synced};
pub use metrics::describe_metrics;
pub use opening::{Layout, Opening};
pub use store::{Store, table};
pub use unindexed::SearchError;
