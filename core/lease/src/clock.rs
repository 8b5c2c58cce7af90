//! The clock that leases are counted on.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A clock that runs on while the process is stopped and while the machine sleeps, and that nobody
/// sets: `CLOCK_BOOTTIME`. (Darwin's monotonic clock is one, too.)
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A moment: nanoseconds since the machine started. Means something on one machine only, between two
/// starts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        let time = clock_gettime(CLOCK);
        // Neither part of a time since the start is negative.
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
    }

    /// So much later.
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
    }

    /// So much earlier.
    pub(crate) fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(duration)))
    }

    /// Time from `earlier` until this; zero where that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward_and_stays_in_range() {
        let earlier = Moment::now();
        let later = Moment::now();
        assert!(earlier > Moment(0) && later >= earlier);
        assert_eq!(
            earlier.after(Duration::from_secs(3)).since(earlier),
            Duration::from_secs(3)
        );
        assert_eq!(earlier.since(earlier.after(Duration::MAX)), Duration::ZERO);
        assert_eq!(Moment(5).before(Duration::from_secs(1)), Moment(0));
    }
}
