//! What is wrong with a value of the configuration.

use std::fmt;

/// A value that was read but cannot work. Sections give all of theirs at once, so that a person mends
/// them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key inside its section, such as `max_in_flight`.
    pub key: &'static str,
    /// What is wrong with the value and what to write instead; follows the key in a sentence.
    pub problem: String,
}

impl ConfigProblem {
    /// A problem with the value of `key`.
    pub fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self {
            key,
            problem: problem.into(),
        }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.key, self.problem)
    }
}
