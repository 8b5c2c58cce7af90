//! Which of several sidecars may send.

mod clock;
mod config;
mod error;
mod leadership;
mod task;

pub use config::{DatabaseUrl, LeaseConfig, LeaseKind};
pub use error::LeaseError;
pub use leadership::{Leadership, LeaseState};
pub use task::{LeaseTask, process_name, start};

/// Describes the metrics of this crate; once, after the recorder is installed.
pub fn describe_metrics() {
    metrics::describe_gauge!(
        "set_lease_held",
        "Whether this process may send: 1 while it holds the lease."
    );
}
