//! What a check found, and how it is told.

use std::{future::Future, io::Write, time::Duration};

use alloy_primitives::U256;
use eyre::Result;
use serde::Serialize;
use set_txmgr::Wei;

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The check.
    check: &'static str,
    /// What it looked at.
    subject: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Outcome {
    /// All is well.
    Ok {
        /// What was found.
        found: String,
    },
    /// Something is wrong.
    Problem {
        /// What was found.
        found: String,
        /// What to do about it.
        advice: String,
    },
    /// It could not be looked at, for a reason that another check names as a problem.
    Skipped {
        /// Why.
        found: String,
    },
}

impl Finding {
    pub(crate) fn ok(check: &'static str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        let outcome = Outcome::Ok { found: found.into() };
        Self::new(check, subject, outcome)
    }

    pub(crate) fn problem(
        check: &'static str,
        subject: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let outcome = Outcome::Problem {
            found: found.into(),
            advice: advice.into(),
        };
        Self::new(check, subject, outcome)
    }

    pub(crate) fn skipped(check: &'static str, subject: impl Into<String>, found: impl Into<String>) -> Self {
        let outcome = Outcome::Skipped { found: found.into() };
        Self::new(check, subject, outcome)
    }

    fn new(check: &'static str, subject: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            check,
            subject: subject.into(),
            outcome,
        }
    }

    const fn is_problem(&self) -> bool {
        matches!(self.outcome, Outcome::Problem { .. })
    }
}

/// An amount of wei, for people.
pub(crate) fn amount(wei: U256) -> String {
    Wei(wei.saturating_to()).to_string()
}

/// Gives a check so long; after that, it is a problem that it has not ended.
pub(crate) async fn within(
    deadline: Duration,
    check: &'static str,
    subject: &str,
    looking: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    let found = tokio::time::timeout(deadline, looking).await;
    found.unwrap_or_else(|_| {
        let advice = "see whether it is reachable and not overloaded";
        vec![Finding::problem(
            check,
            subject,
            format!("no answer within {deadline:?}"),
            advice,
        )]
    })
}

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether there is no problem.
    ok: bool,
    checks: Vec<Finding>,
}

impl Report {
    pub(crate) fn new(checks: Vec<Finding>) -> Self {
        let ok = !checks.iter().any(Finding::is_problem);
        Self { ok, checks }
    }

    /// How many problems there are.
    pub(crate) fn problems(&self) -> usize {
        self.checks.iter().filter(|finding| finding.is_problem()).count()
    }

    /// How many checks there are.
    pub(crate) fn len(&self) -> usize {
        self.checks.len()
    }

    /// One line a check.
    pub(crate) fn print(&self, out: &mut impl Write) -> Result<()> {
        let widest = |length: fn(&Finding) -> usize| self.checks.iter().map(length).max().unwrap_or_default();
        let (checks, subjects) = (
            widest(|finding| finding.check.len()),
            widest(|finding| finding.subject.len()),
        );
        for Finding {
            check,
            subject,
            outcome,
        } in &self.checks
        {
            let (status, text) = match outcome {
                Outcome::Ok { found } => ("ok", found.clone()),
                Outcome::Problem { found, advice } => ("problem", format!("{found}: {advice}")),
                Outcome::Skipped { found } => ("skipped", found.clone()),
            };
            writeln!(out, "{status:<8} {check:<checks$}  {subject:<subjects$}  {text}")?;
        }
        Ok(())
    }

    /// The same for programs.
    pub(crate) fn print_json(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}
