//! Which of several sidecars may send: the one that holds a lease.
//!
//! [`start`] begins to take the lease and to renew it, and gives a [`Leadership`]. Whatever sends asks
//! [`Leadership::holds`] immediately before it sends, every time. A lease lasts for a time
//! ([`LeaseConfig::ttl`]) and is renewed every third of it; one that is not renewed, for whatever
//! reason, is another's to take once that time is over.
//!
//! # The guarantee
//!
//! **At no moment do two processes find that they hold the same lease.** A holder stops by its own
//! clock, a fifth of the time before anybody may follow it, and needs nobody to tell it: `holds`
//! compares a clock that runs on while the process is stopped and while the machine sleeps with the
//! deadline of the last renewal, counted from before that renewal was asked for. A process that was
//! stopped at any instruction and continues hours later gets `false` at its first question.
//!
//! It rests on this:
//!
//! - *File:* all holders run on one machine, and the directory is on a disk of that machine. No process
//!   waits for another's lock, so one that is stopped in the middle holds nobody up; see `file/term.rs`
//!   for the protocol and its model. Holders in containers share the machine's clock unless they are
//!   given a time namespace of their own. Whatever a run of the machine before left is followed after
//!   one lifetime of the lease.
//! - *PostgreSQL:* the database's clock alone decides, so clocks of other machines may be wrong by any
//!   amount; what counts is that none runs faster or slower than another by a fifth. Excluded: somebody
//!   sets the database machine's clock forward, or a failover loses a renewal that had been
//!   confirmed (asynchronous replication). Either may let another begin too early.
//!
//! # What remains, and why it does no harm
//!
//! No lease can take back what has left. A process may ask `holds`, hear `true`, be stopped before its
//! bytes reach the node's socket, and be continued when another has taken over; then these bytes go
//! out, late. The same holds for a transaction that waits in a node's pool while the lease changes
//! hands. Such a transaction was signed, with its nonce, while the lease was held. It can be included or
//! not; and where its content is on chain already, the registry refuses it: a batch id is committed
//! once, and a stream continues only at its head. So a lease saves gas and keeps two accounts from
//! racing, and the registry, not the lease, is what keeps a commitment from being committed twice.
//! Whoever takes over reads nonces and heads anew ([`LeaseState::term`] says when), and so finds what
//! was on its way.

mod answer;
mod clock;
mod config;
mod error;
mod file;
mod leadership;
mod postgres;
mod task;

pub use config::{DatabaseUrl, LeaseConfig, LeaseKind};
pub use error::LeaseError;
pub use leadership::{Leadership, LeaseState};
pub use postgres::POSTGRES_TABLE;
pub use task::{LeaseTask, process_name, start};

/// Describes the metrics of this crate; once, after the recorder is installed.
pub fn describe_metrics() {
    metrics::describe_gauge!(
        "set_lease_held",
        "Whether this process may send: 1 while it holds the lease."
    );
}
