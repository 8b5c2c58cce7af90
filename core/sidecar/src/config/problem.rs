//! What is wrong with a configuration, in terms of what a person can change.

use std::fmt;

use super::{Config, Layers};

/// A value that was read but makes no sense: the key and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Dotted path, such as `txmgr.max_in_flight`.
    pub(crate) key: String,
    /// Follows the key in a sentence.
    pub(crate) message: String,
}

impl Complaint {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }
}

/// A complaint together with where the value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// A file, `environment`, `command line` or `defaults`.
    pub(crate) origin: String,
    /// What is wrong.
    pub(crate) complaint: Complaint,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            complaint: Complaint { key, message },
        } = self;
        if key.is_empty() {
            write!(f, "{origin}: {message}")
        } else {
            write!(f, "{origin}: `{key}` {message}")
        }
    }
}

/// Every problem that was found, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// Problems that showed only when the values were used.
    pub(crate) fn of(layers: &Layers, complaints: Vec<Complaint>) -> Self {
        let mut survey = Config::survey(layers);
        for Complaint { key, message } in complaints {
            survey.complain(&key, message);
        }
        Self(survey.problems)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(
            f,
            "{count} problem{} in the configuration:",
            if count == 1 { "" } else { "s" }
        )?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
