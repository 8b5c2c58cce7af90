//! Which of several sidecars may send.

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
