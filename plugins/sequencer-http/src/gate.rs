//! The rate limit, which all requests share.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The longest time that a `retry-after` can stop everything; one that says more is taken for this.
const LONGEST: Duration = Duration::from_secs(3600);

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Polls and reports.
    Anchoring,
    /// Proofs: they stay away twice as long, so that whoever asks for many cannot keep the gate closed
    /// to the others.
    Proof,
}

/// Closed for a while after each 429: no request goes out before the sequencer allows it again.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Option<Closed>>);

#[derive(Debug, Clone, Copy)]
struct Closed {
    until: Instant,
    until_for_proofs: Instant,
}

impl Gate {
    /// Closes it for `wait` from `now`, unless it is closed for longer already. Returns for how long.
    pub(crate) fn close(&self, now: Instant, wait: Duration) -> Duration {
        let wait = wait.min(LONGEST);
        let closed = Closed {
            until: now + wait,
            until_for_proofs: now + 2 * wait,
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_none_or(|state| state.until < closed.until) {
            *state = Some(closed);
        }
        wait
    }

    /// How long it stays closed; `None` where it is open.
    pub(crate) fn closed_for(&self, now: Instant, urgency: Urgency) -> Option<Duration> {
        let closed = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let until = match urgency {
            Urgency::Anchoring => closed.until,
            Urgency::Proof => closed.until_for_proofs,
        };
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_opens_to_anchoring_first_and_never_early() {
        let (gate, start) = (Gate::default(), Instant::now());
        assert_eq!(gate.closed_for(start, Urgency::Anchoring), None);
        gate.close(start, 60 * SECOND);
        gate.close(start + SECOND, 5 * SECOND);
        let left = |after: u32, urgency| gate.closed_for(start + after * SECOND, urgency);
        assert_eq!(left(1, Urgency::Anchoring), Some(59 * SECOND));
        assert_eq!(left(59, Urgency::Anchoring), Some(SECOND));
        assert_eq!(left(60, Urgency::Anchoring), None);
        assert_eq!(left(60, Urgency::Proof), Some(60 * SECOND));
        assert_eq!(left(120, Urgency::Proof), None);
    }

    #[test]
    fn an_absurd_time_stops_nothing_for_ever() {
        let (gate, start) = (Gate::default(), Instant::now());
        assert_eq!(gate.close(start, Duration::MAX), LONGEST);
        assert_eq!(gate.closed_for(start, Urgency::Anchoring), Some(LONGEST));
    }
}
