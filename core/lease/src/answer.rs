//! What an attempt to take or renew a lease came to.

use std::time::Duration;

use crate::clock::Moment;

/// Who holds the lease, as the place that keeps it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This process.
    Mine {
        /// How often the lease has changed hands.
        term: u64,
        /// Nobody else takes it before this moment.
        ends: Moment,
    },
    /// Another.
    Other {
        /// Who; `None` where that cannot be read.
        holder: Option<String>,
        /// How often the lease has changed hands.
        term: u64,
        /// How long it lasts if it is not renewed; zero where it may be free already.
        remaining: Duration,
    },
}
