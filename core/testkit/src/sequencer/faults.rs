//! The switches: in which ways the answers are bad.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Defect;

/// What goes wrong. Everything is off by default. Numbers of requests count down to 0 as the fault
/// strikes; the others stay until they are changed.
///
/// The same as JSON for `POST /dev/faults` (keys that are left out stay as they are) and as
/// `dev-sequencer --fault KEY=VALUE`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every answer of the API comes so many milliseconds later.
    pub delay_ms: u64,
    /// The database is dead: every request waits so many milliseconds (30,000 in production), then
    /// gets an empty 504, and nothing is written; `/ready` is 503 while `/health` stays green.
    pub silence_ms: Option<u64>,
    /// So many requests: the connection closes without an answer, and nothing is written.
    pub hang_ups: u32,
    /// So many requests, GET or POST: 429 with `retry-after`.
    pub rate_limited: u32,
    /// 429 to every principal that asks more often than this.
    pub rate_limit: Option<RateLimit>,
    /// What `retry-after` says with a 429, in seconds; 60 where nothing is set.
    pub retry_after_s: Option<u64>,
    /// So many requests: 503 with the code `pool_exhausted`.
    pub pool_exhausted: u32,
    /// So many requests: 500 in plain text.
    pub internal_errors: u32,

    /// Whatever was reported stays listed as unreported for so many milliseconds.
    pub stale_ms: u64,
    /// Of each stream's unreported commitments, `pending` leaves out every second.
    pub holes: bool,
    /// So many entries that are no commitments stand between the good ones in `pending`.
    pub malformed: u32,
    /// So many lists: the JSON ends in the middle, the HTTP message is whole.
    pub truncated: u32,
    /// So many lists: the connection breaks in the middle of the body.
    pub cut_off: u32,
    /// So many lists: 200 with a web page, as from a proxy that asks for a login.
    pub web_pages: u32,
    /// The lists' `Content-Type` instead of `application/json`; the body is the same JSON.
    pub content_type: Option<String>,

    /// So many reports: an empty 504, and the report is recorded.
    pub timeouts_after_write: u32,
    /// So many reports: an empty 504, and the report is not recorded.
    pub timeouts_before_write: u32,
    /// So many reports with another hash than the recorded one: 200, and the new hash is recorded,
    /// as when several come at once.
    pub accepted_conflicts: u32,

    /// Proofs lead to another root: their leaf is not the event's.
    pub false_proofs: bool,

    /// The next batches have these defects, one each.
    pub next_batches: VecDeque<Defect>,
}

/// How often one principal may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// So many requests, GET and POST together …
    pub requests: u32,
    /// … in so many milliseconds.
    pub window_ms: u64,
}

impl Faults {
    /// How far behind the truth readers are.
    pub(super) const fn stale(&self) -> Duration {
        Duration::from_millis(self.stale_ms)
    }

    /// Sets the keys of `changes`, and no other.
    ///
    /// # Errors
    /// Names an unknown key or a value of the wrong type; then nothing is changed.
    pub fn merge(&mut self, changes: Map<String, Value>) -> Result<(), serde_json::Error> {
        let Value::Object(mut all) = serde_json::to_value(&*self)? else {
            unreachable!("a struct is an object");
        };
        all.extend(changes);
        *self = serde_json::from_value(Value::Object(all))?;
        Ok(())
    }
}

/// Counts down; true while the fault strikes.
pub(super) fn strikes(left: &mut u32) -> bool {
    let strikes = *left > 0;
    *left = left.saturating_sub(1);
    strikes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_merge_changes_only_what_it_names() {
        let mut faults = Faults {
            holes: true,
            ..Faults::default()
        };
        faults
            .merge(object(
                r#"{"rate_limited": 3, "next_batches": ["events_root", "duplicate_id"]}"#,
            ))
            .unwrap();
        let expected = Faults {
            holes: true,
            rate_limited: 3,
            next_batches: [Defect::EventsRoot, Defect::DuplicateId].into(),
            ..Faults::default()
        };
        assert_eq!(faults, expected);
        faults.merge(object(r#"{"silence_ms": 5}"#)).unwrap();
        faults.merge(object(r#"{"silence_ms": null}"#)).unwrap();
        assert_eq!(faults, expected);
    }

    #[test]
    fn an_unknown_switch_is_named_and_changes_nothing() {
        let mut faults = Faults::default();
        let error = faults.merge(object(r#"{"holes": true, "wholes": 1}"#)).unwrap_err();
        assert!(error.to_string().contains("wholes"), "{error}");
        assert_eq!(faults, Faults::default());
    }
}
