//! How many commitments are in which stage, counted as they move.

use std::collections::BTreeMap;

use set_types::Stage;

/// Every stage, in the order in which they come.
const STAGES: [Stage; 10] = [
    Stage::Found,
    Stage::Held,
    Stage::Blocked,
    Stage::Quarantined,
    Stage::Planned,
    Stage::Sent,
    Stage::Included,
    Stage::Safe,
    Stage::Finalized,
    Stage::Reported,
];

/// Commitments by stage.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    stages: [usize; STAGES.len()],
    /// Of those that are found, how many could go at once if nothing held everything back.
    pub(super) ready: usize,
}

impl Tally {
    pub(super) const fn add(&mut self, stage: Stage) {
        self.stages[stage as usize] += 1;
    }

    pub(super) const fn take(&mut self, stage: Stage) {
        let count = &mut self.stages[stage as usize];
        *count = count.saturating_sub(1);
    }

    /// How many are in a stage.
    pub(super) const fn count(&self, stage: Stage) -> usize {
        self.stages[stage as usize]
    }

    /// Moves so many from one stage to another.
    pub(super) fn shift(&mut self, count: usize, from: Stage, to: Stage) {
        let moved = count.min(self.stages[from as usize]);
        self.stages[from as usize] -= moved;
        self.stages[to as usize] += moved;
    }

    /// Puts `after` in the place of `before`, a part of what is counted.
    pub(super) fn replace(&mut self, before: &Self, after: &Self) {
        for (count, (before, after)) in self.stages.iter_mut().zip(before.stages.iter().zip(after.stages)) {
            *count = (*count + after).saturating_sub(*before);
        }
        self.ready = (self.ready + after.ready).saturating_sub(before.ready);
    }

    /// The stages that hold something.
    pub(super) fn present(&self) -> BTreeMap<Stage, usize> {
        let counts = STAGES.into_iter().zip(self.stages);
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Every stage with its count.
    pub(super) fn all(&self) -> impl Iterator<Item = (Stage, usize)> {
        STAGES.into_iter().zip(self.stages)
    }
}
