//! Why a lease cannot be had.

/// Why a lease cannot be started, taken or renewed. Never holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// A value of `[lease]` cannot work.
    #[error("`lease.{key}` {problem}")]
    Config {
        /// The key inside the section.
        key: &'static str,
        /// What is wrong with it and what to write instead.
        problem: String,
    },
}
