//! When batches were committed: forward only, in the three precisions that the database shows.

use std::time::Duration;

use jiff::{Timestamp, Unit};

use super::batch::floor;

/// Gives each batch a later time than the one before.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Timestamp,
    ticks: usize,
}

impl Clock {
    /// The next time: `time` rounded down to whole seconds, milliseconds or microseconds by turns, or to
    /// the coarsest finer unit that is still later than the last.
    pub(super) fn tick(&mut self, time: Timestamp) -> Timestamp {
        let units = [Unit::Second, Unit::Millisecond, Unit::Microsecond];
        let last = self.last;
        self.last = units[self.ticks % units.len()..]
            .iter()
            .map(|unit| floor(time, *unit))
            .find(|rounded| *rounded > last)
            .unwrap_or_else(|| last.checked_add(Duration::from_micros(1)).unwrap_or(last));
        self.ticks += 1;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::batch::rfc3339, *};

    #[test]
    fn times_rise_and_come_in_every_precision() {
        let start: Timestamp = "2026-11-22T10:58:10.049435Z".parse().unwrap();
        let mut clock = Clock::default();
        let times: Vec<_> = (0..4000)
            .map(|step| clock.tick(start + Duration::from_micros(step * 431)))
            .collect();
        assert!(times.is_sorted_by(|a, b| a < b));
        let lengths: BTreeSet<_> = times.iter().map(|time| rfc3339(*time).len()).collect();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [20, 24, 27]);
    }
}
