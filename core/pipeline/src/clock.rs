//! Time: one reading for deadlines, one for people and policies.

use std::time::{Duration, Instant};

use set_types::Timestamp;

/// A moment. Deadlines compare `at`, which never jumps; `wall` is for what people and policies read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// The monotonic clock.
    pub(crate) at: Instant,
    /// The wall clock.
    pub(crate) wall: Timestamp,
}

impl Now {
    /// This moment.
    pub(crate) fn read() -> Self {
        Self {
            at: Instant::now(),
            wall: Timestamp::now(),
        }
    }
}

/// A pause that doubles with each failure.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// Counts a failure; the pause begins now.
    pub(crate) fn fail(&mut self, now: Now, first: Duration, longest: Duration) {
        let pause = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now.at + pause);
    }

    /// Forgets all failures.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether the pause is over, or there is none.
    pub(crate) fn is_over(&self, now: Now) -> bool {
        self.until.is_none_or(|until| until <= now.at)
    }

    /// When the pause ends.
    pub(crate) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Failures since the last success.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether nothing has failed since the last success.
    pub(crate) const fn is_clear(&self) -> bool {
        self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_its_longest() {
        let now = Now::read();
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(5));
        let mut backoff = Backoff::default();
        assert!(backoff.is_over(now));
        for seconds in [1, 2, 4, 5, 5] {
            backoff.fail(now, first, longest);
            assert_eq!(backoff.until(), Some(now.at + Duration::from_secs(seconds)));
            assert!(!backoff.is_over(now));
        }
        backoff.clear();
        assert!(backoff.is_over(now) && backoff.is_clear());
    }
}
