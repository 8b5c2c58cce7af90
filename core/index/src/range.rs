//! How many blocks to ask a node for at once.

/// Calls without a refusal after which a larger range is tried again.
const CALM: u32 = 32;

/// Doubles while the node answers and halves when it refuses. Nodes limit `eth_getLogs` by blocks, by
/// results or by time, each in words of its own, so any refusal counts; the size that was refused is
/// not asked for again until [`CALM`] answers have come.
#[derive(Debug, Clone)]
pub(crate) struct RangeSize {
    size: u64,
    max: u64,
    refused: Option<u64>,
    calm: u32,
}

impl RangeSize {
    /// Starts with `max` blocks, which is at least one.
    pub(crate) fn new(max: u64) -> Self {
        let max = max.max(1);
        Self {
            size: max,
            max,
            refused: None,
            calm: 0,
        }
    }

    pub(crate) const fn blocks(&self) -> u64 {
        self.size
    }

    /// The node answered.
    pub(crate) fn grow(&mut self) {
        self.calm = self.calm.saturating_add(1);
        if self.calm >= CALM {
            self.refused = None;
        }
        let ceiling = self
            .refused
            .map_or(self.max, |refused| (refused - refused / 4).min(self.max));
        self.size = self.size.saturating_mul(2).min(ceiling).max(self.size);
    }

    /// So many blocks were too many: the node refused or gave no answer, or they held too much. Says whether
    /// there is less to ask for.
    pub(crate) fn shrink(&mut self, asked: u64) -> bool {
        self.calm = 0;
        if asked <= 1 {
            return false;
        }
        self.refused = Some(asked);
        self.size = asked / 2;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_limit_and_stays_below_it() {
        let mut range = RangeSize::new(10_000);
        let (limit, mut refusals) = (1_000, 0);
        for _ in 0..CALM {
            if range.blocks() > limit {
                assert!(range.shrink(range.blocks()));
                refusals += 1;
            } else {
                range.grow();
            }
        }
        assert!(range.blocks() > limit / 2, "{}", range.blocks());
        assert!(refusals <= 5, "{refusals} refusals");
    }

    #[test]
    fn tries_more_once_it_was_calm() {
        let mut range = RangeSize::new(8);
        range.shrink(8);
        for _ in 0..CALM - 1 {
            range.grow();
        }
        assert_eq!(range.blocks(), 6);
        range.grow();
        assert_eq!(range.blocks(), 8);
    }

    #[test]
    fn one_block_is_the_least() {
        let mut range = RangeSize::new(0);
        assert_eq!(range.blocks(), 1);
        assert!(!range.shrink(1));
        assert_eq!(range.blocks(), 1);
    }
}
