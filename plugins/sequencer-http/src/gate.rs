//! The rate limit, which all requests share.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The longest time that a `retry-after` can stop everything; one that says more is taken for this.
const LONGEST: Duration = Duration::from_secs(3600);

/// Proofs in a second, at most, while the sequencer does not complain; and at least, however often it does.
const FASTEST: f64 = 200.0;
const SLOWEST: f64 = 1.0;

/// What a 429 divides the rate of proofs by.
const CUT: f64 = 4.0;

/// A cut is made up for in so many times the wait that came with it, so that trying out how many proofs
/// the sequencer allows costs polls and reports little of their time.
const RECOVERY: u32 = 60;

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Polls and reports.
    Anchoring,
    /// Proofs: they stay away twice as long, and then come more slowly, so that whoever asks for many
    /// cannot keep the gate closed to the others.
    Proof,
}

/// Closed for a while after each 429: no request goes out before the sequencer allows it again.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed: Option<Closed>,
    cut: Option<Cut>,
    /// When the next proof may be asked for.
    next_proof: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Closed {
    until: Instant,
    until_for_proofs: Instant,
}

/// The rate of proofs after a 429.
#[derive(Debug, Clone, Copy)]
struct Cut {
    at: Instant,
    /// Proofs in a second, then.
    rate: f64,
    /// How long until the rate is as before.
    recovery: Duration,
}

impl State {
    /// Proofs in a second that may be asked for now.
    fn rate(&self, now: Instant) -> f64 {
        self.cut.map_or(FASTEST, |cut| {
            let passed = now.saturating_duration_since(cut.at).as_secs_f64() / cut.recovery.as_secs_f64();
            (cut.rate * CUT.powf(passed)).min(FASTEST)
        })
    }
}

impl Gate {
    /// Closes it for `wait` from `now`, unless it is closed for longer already. Returns for how long.
    pub(crate) fn close(&self, now: Instant, wait: Duration) -> Duration {
        let wait = wait.min(LONGEST);
        let closed = Closed {
            until: now + wait,
            until_for_proofs: now + 2 * wait,
        };
        let mut state = self.state();
        // Requests that were under way together are refused together: they count once.
        if state.closed.is_none_or(|before| before.until <= now) {
            state.cut = Some(Cut {
                at: now,
                rate: (state.rate(now) / CUT).max(SLOWEST),
                recovery: wait.max(Duration::from_secs(1)) * RECOVERY,
            });
        }
        if state.closed.is_none_or(|before| before.until < closed.until) {
            state.closed = Some(closed);
        }
        wait
    }

    /// How long it stays closed; `None` where it is open.
    pub(crate) fn closed_for(&self, now: Instant, urgency: Urgency) -> Option<Duration> {
        let closed = self.state().closed?;
        let until = match urgency {
            Urgency::Anchoring => closed.until,
            Urgency::Proof => closed.until_for_proofs,
        };
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// When the next proof may be asked for, not before `now`; that moment is then taken.
    pub(crate) fn proof_turn(&self, now: Instant) -> Instant {
        let mut state = self.state();
        let turn = state.next_proof.map_or(now, |next| next.max(now));
        state.next_proof = Some(turn + Duration::from_secs_f64(1.0 / state.rate(turn)));
        turn
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Seconds that `count` proofs take from `now` on.
    fn taken(gate: &Gate, now: Instant, count: u32) -> f64 {
        let turns: Vec<_> = (0..=count).map(|_| gate.proof_turn(now)).collect();
        turns[count as usize].duration_since(turns[0]).as_secs_f64()
    }

    #[test]
    fn each_429_slows_proofs_down_once_and_time_makes_up_for_it() {
        let (gate, start) = (Gate::default(), Instant::now());
        let close = |after: Duration| gate.close(start + after, SECOND);
        assert!((taken(&gate, start, 200) - 1.0).abs() < 0.01);
        close(10 * SECOND);
        close(10 * SECOND + SECOND / 2);
        let slow = taken(&gate, start + 12 * SECOND, 50);
        assert!(
            (0.9..=1.0).contains(&slow),
            "a quarter as fast, and a little less slow by now: {slow}"
        );
        let fast = taken(&gate, start + 75 * SECOND, 200);
        assert!((fast - 1.0).abs() < 0.01, "as before after 60 waits: {fast}");
        for again in 10..20 {
            close(again * 10 * SECOND);
        }
        let least = taken(&gate, start + 190 * SECOND + SECOND, 10);
        assert!(
            (8.5..=10.0).contains(&least),
            "not under one a second, and a little more by now: {least}"
        );
    }
}
