//! The largest call that blocks take, learnt from those that they pass over.
//!
//! A throttling op-batcher has its sequencer pass over transactions above a size that it does not tell.
//! So the limit is halved when that happens, and raised by a quarter whenever a block takes a call near
//! it: at first only up to three quarters of what was refused, later beyond. Time raises it too, or what
//! was learnt from a fault that had nothing to do with size would stay where calls are small.

use crate::CallSize;

/// Blocks for which a size that was passed over is not tried again; doubled with each time, up to
/// [`LONGEST_HOLD`].
const FIRST_HOLD: u64 = 64;
const LONGEST_HOLD: u64 = 4_096;

/// Blocks after which the limit is raised by time alone, once nothing holds it.
const RAISED_EVERY: u64 = 16;

/// What was learnt.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SizeLimit {
    limit: Option<CallSize>,
    /// The smallest call that was passed over.
    refused: CallSize,
    /// The block until which nothing as large is tried.
    hold_until: u64,
    hold: u64,
    /// The block at which the limit changed last.
    changed_at: u64,
}

impl SizeLimit {
    /// The limit; `None` where none is known.
    pub(crate) const fn get(&self) -> Option<CallSize> {
        self.limit
    }

    /// Blocks up to `block` passed over a call. Gives whether a smaller one can be made.
    pub(crate) fn passed_over(&mut self, size: CallSize, block: u64) -> bool {
        self.hold = (self.hold * 2).clamp(FIRST_HOLD, LONGEST_HOLD);
        self.hold_until = block + self.hold;
        self.changed_at = block;
        if size.fits(CallSize::SMALLEST) {
            self.limit = Some(CallSize::SMALLEST);
            self.refused = CallSize::SMALLEST;
            return false;
        }
        let half = size.map(|side| side / 2);
        let limit = self.limit.map_or(half, |limit| limit.zip(half, u64::min));
        self.limit = Some(limit.zip(CallSize::SMALLEST, u64::max));
        self.refused = size;
        true
    }

    /// A block took a call. `caps` is what the configuration allows.
    pub(crate) fn included(&mut self, size: CallSize, block: u64, caps: CallSize) {
        let Some(limit) = self.limit else {
            if self.refused.fits(size) {
                *self = Self::default();
            }
            return;
        };
        let near = limit.map(|side| side / 4 * 3);
        if size.gas < near.gas && size.estimated_bytes < near.estimated_bytes {
            return;
        }
        let mut raised = limit.map(a_quarter_more);
        if block < self.hold_until {
            let held = self.refused.map(|side| side / 4 * 3);
            raised = raised.zip(held, u64::min).zip(limit, u64::max);
        }
        self.changed_at = block;
        self.limit = (!caps.fits(raised)).then_some(raised);
        if self.limit.is_none() {
            *self = Self::default();
        }
    }

    /// Blocks up to `block` passed over nothing. How long a refusal counts is remembered, until a block
    /// takes what was refused.
    pub(crate) fn idled(&mut self, block: u64, caps: CallSize) {
        let Some(limit) = self.limit else {
            return;
        };
        if block < self.hold_until.max(self.changed_at + RAISED_EVERY) {
            return;
        }
        let raised = limit.map(a_quarter_more);
        self.changed_at = block;
        self.limit = (!caps.fits(raised)).then_some(raised);
    }

    /// A block took a call that was too small to be made smaller, and that others had passed over: what
    /// they had against it, size or not, is over.
    pub(crate) const fn resumed(&mut self, block: u64) {
        self.hold = 0;
        self.hold_until = block;
    }
}

const fn a_quarter_more(side: u64) -> u64 {
    side + side / 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPS: CallSize = CallSize {
        gas: 15_000_000,
        estimated_bytes: 19_000,
    };

    /// Sends calls as large as is allowed through blocks that take only `bytes`; gives how often a block
    /// passed one over.
    fn run(limit: &mut SizeLimit, bytes: u64, blocks: std::ops::Range<u64>) -> u64 {
        let mut passed_over = 0;
        for block in blocks {
            limit.idled(block, CAPS);
            let size = limit.get().unwrap_or(CAPS).zip(CAPS, u64::min);
            if size.estimated_bytes > bytes {
                passed_over += 1;
                limit.passed_over(size, block);
            } else {
                limit.included(size, block, CAPS);
            }
        }
        passed_over
    }

    #[test]
    fn finds_what_blocks_take_and_recovers_when_they_take_all() {
        let mut limit = SizeLimit::default();
        let found = run(&mut limit, 5_000, 0..1_000);
        assert!((2..10).contains(&found), "{found}");
        assert!(limit.get().unwrap().estimated_bytes >= 2_000);
        assert_eq!(run(&mut limit, u64::MAX, 1_000..6_000), 0);
        assert_eq!(limit.get(), None);
    }

    #[test]
    fn a_call_of_one_commitment_cannot_be_made_smaller() {
        let mut limit = SizeLimit::default();
        assert!(!limit.passed_over(CallSize::SMALLEST, 1));
        assert!(limit.passed_over(CAPS, 2));
    }

    #[test]
    fn small_calls_say_nothing_about_large_ones() {
        let mut limit = SizeLimit::default();
        limit.passed_over(CAPS, 1);
        let before = limit.get();
        limit.included(CallSize::SMALLEST, 10_000, CAPS);
        assert_eq!(limit.get(), before);
    }

    #[test]
    fn time_alone_lifts_it_once_nothing_holds_it() {
        let mut limit = SizeLimit::default();
        limit.passed_over(CAPS, 1);
        let learnt = limit.get();
        (1..=FIRST_HOLD).for_each(|block| limit.idled(block, CAPS));
        assert_eq!(limit.get(), learnt);
        (FIRST_HOLD..4 * FIRST_HOLD).for_each(|block| limit.idled(block, CAPS));
        assert_eq!(limit.get(), None);
        // Nothing showed that blocks take as much again, so a second refusal counts for longer.
        limit.passed_over(CAPS, 1_000);
        assert_eq!(limit.hold, 2 * FIRST_HOLD);
        (1_000..2_000).for_each(|block| limit.idled(block, CAPS));
        limit.included(CAPS, 2_000, CAPS);
        assert_eq!((limit.get(), limit.hold), (None, 0));
    }

    #[test]
    fn what_waited_at_the_smallest_size_ends_the_hold() {
        let mut limit = SizeLimit::default();
        for block in 0..6 {
            limit.passed_over(limit.get().unwrap_or(CAPS), block);
        }
        assert_eq!(limit.get(), Some(CallSize::SMALLEST));
        limit.idled(1_000, CAPS);
        assert_eq!(limit.get(), Some(CallSize::SMALLEST));
        limit.resumed(1_000);
        limit.idled(1_000, CAPS);
        assert_eq!(limit.get(), Some(CallSize::SMALLEST.map(a_quarter_more)));
    }

    proptest! {
        #[test]
        fn one_commitment_always_fits(steps in proptest::collection::vec((0u8..4, 1u64..1 << 30, 1u64..1 << 20), 0..60)) {
            let mut limit = SizeLimit::default();
            for (block, (step, gas, estimated_bytes)) in steps.into_iter().enumerate() {
                let size = CallSize { gas, estimated_bytes };
                let block = 20 * block as u64;
                match step {
                    0 => limit.included(size, block, CAPS),
                    1 => limit.idled(block, CAPS),
                    2 => limit.resumed(block),
                    _ => _ = limit.passed_over(size, block),
                }
                prop_assert!(limit.get().is_none_or(|limit| CallSize::SMALLEST.fits(limit)));
            }
        }
    }
}
