//! How the pipeline works: which checks, how often, and when it reports.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use set_chain::SettlementTag;
use set_types::ConfigProblem;

/// The most that a source's list can show (the stateset-sequencer caps its window there).
const WINDOW_CAP: u32 = 5_000;

/// The pipeline's part of the configuration. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Time between two polls of the source. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Commitments asked for in one poll. Default and most 5,000: a source shows its oldest only, so a
    /// smaller window hides more behind what is stuck.
    pub poll_limit: u32,
    /// Commitments kept in memory before the chain holds them, at most, and reported ones that are
    /// remembered. Default 50,000. Beyond it no stream is read past the source's window. What the chain holds
    /// and only waits to be settled takes little memory and is not counted.
    pub max_pending: usize,
    /// How settled a commitment's block must be before the source is told: `included`, `safe` or
    /// `finalized`. Default `safe`. A report cannot be undone; only a devnet should use `included`.
    pub report_at: SettlementTag,
    /// Receipts in one report call. Default 50.
    pub report_batch: usize,
    /// Report calls at the same time. Default 8.
    pub report_concurrency: usize,
    /// Whether each state root is recomputed (VES v1) before a commitment is sent: `off`, `warn` or
    /// `enforce`. Default `off`.
    pub verify_state_root: StateRootCheck,
    /// Whether each events root is checked against the source's own inclusion proofs: `off`, `sample`
    /// (one event, chosen at random) or `full` (every event). Default `off`.
    pub verify_events_root: EventsRootCheck,
    /// Proofs asked of the source at the same time. Default 4; while reports wait, it is 1.
    pub proof_concurrency: usize,
    /// A commitment that did not continue its stream's head so many times, without the head moving, is
    /// quarantined. Default 3.
    pub strikes: u32,
    /// First pause after something failed for now (a plugin, a contract that takes nothing, a transaction
    /// that ran out of gas); it doubles with each failure. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub retry_pause: Duration,
    /// Longest such pause. Default 1 min.
    #[serde(with = "humantime_serde")]
    pub retry_pause_max: Duration,
    /// How often the head of a stream that is blocked is read again. Default 15 s.
    #[serde(with = "humantime_serde")]
    pub blocked_recheck: Duration,
    /// How often a quarantined commitment is checked again, where that costs no gas. Default 10 min. One
    /// that the contract refused is sent again after this pause, which doubles up to a day; a restart begins
    /// with the first.
    #[serde(with = "humantime_serde")]
    pub quarantine_recheck: Duration,
    /// How long, after a start, planning waits for transactions of the run before. Default 30 s. What
    /// they commit is skipped by the contract in any case; waiting saves the gas.
    #[serde(with = "humantime_serde")]
    pub recovery_wait: Duration,
    /// How long a reported commitment is remembered, so that a stale list costs nothing. Default 10 min,
    /// least 1 min: what is forgotten while a stale list still shows it is looked up and reported anew.
    #[serde(with = "humantime_serde")]
    pub reported_memory: Duration,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(1),
            poll_limit: WINDOW_CAP,
            max_pending: 50_000,
            report_at: SettlementTag::Safe,
            report_batch: 50,
            report_concurrency: 8,
            verify_state_root: StateRootCheck::Off,
            verify_events_root: EventsRootCheck::Off,
            proof_concurrency: 4,
            strikes: 3,
            retry_pause: Duration::from_secs(1),
            retry_pause_max: Duration::from_secs(60),
            blocked_recheck: Duration::from_secs(15),
            quarantine_recheck: Duration::from_secs(600),
            recovery_wait: Duration::from_secs(30),
            reported_memory: Duration::from_secs(600),
        }
    }
}

/// What to do about a state root that VES v1 does not give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateRootCheck {
    /// It is not recomputed.
    #[default]
    Off,
    /// It is logged and counted, and the commitment goes on.
    Warn,
    /// The commitment is quarantined.
    Enforce,
}

/// How many of a batch's events the source must prove before the batch is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventsRootCheck {
    /// None.
    #[default]
    Off,
    /// One, chosen at random.
    Sample,
    /// All.
    Full,
}

impl PipelineConfig {
    /// Every problem; empty where there is none.
    pub fn validate(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut check = |fine: bool, key: &'static str, problem: String| {
            if !fine {
                problems.push(ConfigProblem { key, problem });
            }
        };
        let between = |value: usize, low: usize, high: usize| {
            (
                (low..=high).contains(&value),
                format!("is {value}; write {low} to {high}"),
            )
        };
        let tenth = Duration::from_millis(100);
        check(
            self.poll_interval >= tenth,
            "poll_interval",
            "is below 100 ms, which would flood the source".into(),
        );
        check(
            (1..=WINDOW_CAP).contains(&self.poll_limit),
            "poll_limit",
            format!("is {}; write 1 to {WINDOW_CAP}", self.poll_limit),
        );
        check(
            self.max_pending >= self.poll_limit as usize,
            "max_pending",
            format!("is {}, below `poll_limit`", self.max_pending),
        );
        for (key, value, high) in [
            ("report_batch", self.report_batch, 1_000),
            ("report_concurrency", self.report_concurrency, 64),
            ("proof_concurrency", self.proof_concurrency, 64),
        ] {
            let (fine, problem) = between(value, 1, high);
            check(fine, key, problem);
        }
        check(
            self.strikes >= 1,
            "strikes",
            "is 0; write 1 or more, or nothing could ever be sent".into(),
        );
        check(
            self.retry_pause >= tenth,
            "retry_pause",
            "is below 100 ms, which would flood what fails".into(),
        );
        check(
            self.retry_pause_max >= self.retry_pause,
            "retry_pause_max",
            "is below `retry_pause`".into(),
        );
        check(
            self.blocked_recheck >= self.poll_interval,
            "blocked_recheck",
            "is below `poll_interval`".into(),
        );
        check(
            self.quarantine_recheck >= self.blocked_recheck,
            "quarantine_recheck",
            "is below `blocked_recheck`".into(),
        );
        check(
            self.reported_memory >= Duration::from_secs(60),
            "reported_memory",
            "is below 1 min, so what a stale list still shows would be looked up and reported again and again".into(),
        );
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(PipelineConfig::default().validate(), []);
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let broken = PipelineConfig {
            poll_interval: Duration::ZERO,
            poll_limit: 5_001,
            max_pending: 10,
            report_batch: 0,
            strikes: 0,
            retry_pause_max: Duration::ZERO,
            reported_memory: Duration::ZERO,
            ..PipelineConfig::default()
        };
        let keys: Vec<_> = broken.validate().iter().map(|problem| problem.key).collect();
        assert_eq!(
            keys,
            [
                "poll_interval",
                "poll_limit",
                "max_pending",
                "report_batch",
                "strikes",
                "retry_pause_max",
                "reported_memory"
            ]
        );
    }

    #[test]
    fn keys_are_checked_and_durations_are_texts() {
        let error = serde_json::from_str::<PipelineConfig>(r#"{"poll_intervall": "1s"}"#).unwrap_err();
        assert!(error.to_string().contains("poll_intervall"), "{error}");
        let config: PipelineConfig = serde_json::from_str(
            r#"{"poll_interval": "250ms", "report_at": "included", "verify_events_root": "sample"}"#,
        )
        .unwrap();
        assert_eq!(config.poll_interval, Duration::from_millis(250));
        assert_eq!(config.report_at, SettlementTag::Included);
        assert_eq!(config.verify_events_root, EventsRootCheck::Sample);
    }
}
