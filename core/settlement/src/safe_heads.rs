//! Which L1 block made an L2 block safe: the steps of op-node's safe head, followed and kept.
//!
//! op-node tells the step that was in force at an L1 block (`optimism_safeHeadAtL1Block`), where it was started with
//! `--safedb.path`. New L1 blocks are asked about as they come, and older ones behind them, in batches, until every
//! block of interest is covered. A block that is older than what has been read is searched for.

use std::future::Future;

use set_chain::{ChainError, OpNode, SafeHead, SafeHeads};
use set_index::StoreError;

use crate::store::{SettlementStore, Step};

/// L1 blocks asked about in one batch.
const BATCH: u64 = 64;
/// L1 blocks asked about in one batch of a search: four or five batches find one among millions.
const WAYS: u64 = 24;
/// Newest steps that are compared at once where the newest one is no longer true.
const COMPARED: usize = 32;
/// Steps that are kept, of about 100 bytes each.
const MAX_STEPS: u64 = 500_000;

/// Whom steps are asked of.
pub(crate) trait StepSource: Send + Sync {
    /// As [`OpNode::safe_heads`].
    fn safe_heads(&self, l1_blocks: &[u64]) -> impl Future<Output = Result<SafeHeads, ChainError>> + Send;
}

impl StepSource for OpNode {
    fn safe_heads(&self, l1_blocks: &[u64]) -> impl Future<Output = Result<SafeHeads, ChainError>> + Send {
        Self::safe_heads(self, l1_blocks)
    }
}

/// Why steps are not followed for now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    OpNode(#[from] ChainError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What one turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There is more to ask at once.
    More,
    /// Everything that op-node remembers, as far as it matters, is known.
    Done,
    /// op-node remembers nothing.
    NotKept,
}

/// Follows the steps, one batch or two a turn.
#[derive(Debug, Clone)]
pub(crate) struct SafeHeadSteps<S> {
    source: S,
    store: SettlementStore,
    /// The first L2 block whose L1 block anybody will ask for.
    first_block: u64,
}

impl<S: StepSource> SafeHeadSteps<S> {
    pub(crate) const fn new(source: S, store: SettlementStore, first_block: u64) -> Self {
        Self {
            source,
            store,
            first_block,
        }
    }

    /// Goes on: first to `tip`, the L1 block that op-node has come to, then back to the first block.
    pub(crate) async fn turn(&self, tip: u64) -> Result<Turn, StepError> {
        let newest = self.store.newest_steps(COMPARED).await?;
        let Some(&last) = newest.first() else {
            return self.begin(tip).await;
        };
        let end = tip.min(last.l1_block.number + BATCH).max(last.l1_block.number);
        let mut heights: Vec<_> = (last.l1_block.number..=end).collect();
        heights.extend((end < tip).then_some(tip));
        let SafeHeads::Kept(mut answers) = self.source.safe_heads(&heights).await? else {
            return Ok(Turn::NotKept);
        };
        let at_tip = if end < tip { answers.pop().flatten() } else { None };
        let mut found = distinct(&answers);
        match found.first().copied() {
            // The safe head may have moved on within the L1 block.
            Some(first) if first.l1_block == last.l1_block && first.safe_head.number >= last.safe.number => {}
            _ => {
                self.take_back(&newest).await?;
                return Ok(Turn::More);
            }
        }
        let at_end = found.last().copied();
        if found.first().is_some_and(|first| first.safe_head == last.safe) {
            found.remove(0);
        }
        let more = at_tip.filter(|at_tip| Some(*at_tip) != at_end);
        if found.is_empty() && more.is_some() {
            // Nothing for long: the batcher was away.
            found.extend(self.next_after(end, at_end, tip).await?);
        }
        if !found.is_empty() {
            // A step of the same L1 block takes the place of the last one.
            let grown = found.first().is_some_and(|first| first.l1_block == last.l1_block);
            let behind = if grown { last.behind } else { last.safe.number };
            self.store.extend(chained(behind, &found), MAX_STEPS).await?;
        }
        if more.is_some() {
            Ok(Turn::More)
        } else {
            self.go_back().await
        }
    }

    /// The first step that is another than `known`, which is in force at the L1 block `low`; another one is at `high`.
    async fn next_after(
        &self,
        mut low: u64,
        known: Option<SafeHead>,
        mut high: u64,
    ) -> Result<Option<SafeHead>, StepError> {
        loop {
            let heights = spread(low, high);
            let SafeHeads::Kept(answers) = self.source.safe_heads(&heights).await? else {
                return Ok(None);
            };
            let Some(position) = answers.iter().position(|answer| *answer != known) else {
                return Ok(None);
            };
            if let Some(before) = position.checked_sub(1) {
                low = heights[before];
            }
            high = heights[position];
            if high == low + 1 {
                return Ok(answers[position]);
            }
        }
    }

    /// The first step of all that is entered: the newest.
    async fn begin(&self, tip: u64) -> Result<Turn, StepError> {
        let step = match self.source.safe_heads(&[tip]).await? {
            SafeHeads::NotKept => return Ok(Turn::NotKept),
            SafeHeads::Kept(answers) => answers.first().copied().flatten(),
        };
        // Before op-node's first step, or before its first L1 block.
        let Some(step) = step else { return Ok(Turn::Done) };
        let behind = self.before(&step).await?;
        self.store.extend(chained(behind, &[step]), MAX_STEPS).await?;
        Ok(Turn::More)
    }

    /// The number of the safe block before a step; the step's own where op-node does not remember.
    async fn before(&self, step: &SafeHead) -> Result<u64, StepError> {
        let own = step.safe_head.number;
        let Some(height) = step.l1_block.number.checked_sub(1) else {
            return Ok(own);
        };
        Ok(match self.source.safe_heads(&[height]).await? {
            SafeHeads::Kept(answers) => match answers.first().copied().flatten() {
                Some(before) => before.safe_head.number.min(own),
                None => own,
            },
            SafeHeads::NotKept => own,
        })
    }

    /// An L1 reorg took steps away: finds the newest that is still true.
    async fn take_back(&self, newest: &[Step]) -> Result<(), StepError> {
        let heights: Vec<_> = newest.iter().map(|step| step.l1_block.number).collect();
        let SafeHeads::Kept(answers) = self.source.safe_heads(&heights).await? else {
            return Ok(());
        };
        let is_true = |(step, answer): &(&Step, &Option<SafeHead>)| {
            answer.is_some_and(|answer| answer.l1_block == step.l1_block && answer.safe_head == step.safe)
        };
        let kept = newest
            .iter()
            .zip(&answers)
            .find(is_true)
            .map(|(step, _)| step.safe.number);
        // None of them is: those before are compared in the next turn.
        let oldest = newest.last().map(|step| step.behind);
        self.store.take_back(kept.or(oldest)).await?;
        tracing::info!(
            last = kept,
            "l1 was reorganised: steps of the safe head were taken back"
        );
        Ok(())
    }

    /// Enters what comes before the oldest step.
    async fn go_back(&self) -> Result<Turn, StepError> {
        let (oldest, count) = self.store.oldest_step().await?;
        let Some(oldest) = oldest else { return Ok(Turn::Done) };
        let complete = oldest.behind < self.first_block || oldest.behind == oldest.safe.number;
        if complete || count >= MAX_STEPS || oldest.l1_block.number == 0 {
            return Ok(Turn::Done);
        }
        let first = oldest.l1_block.number.saturating_sub(BATCH);
        let heights: Vec<_> = (first..oldest.l1_block.number).collect();
        let SafeHeads::Kept(answers) = self.source.safe_heads(&heights).await? else {
            return Ok(Turn::NotKept);
        };
        let found = distinct(&answers);
        if found.last().is_none_or(|last| last.safe_head.number != oldest.behind) {
            // op-node changed its mind in between: the next turn sees it at the newest step.
            return Ok(Turn::Done);
        }
        let steps = match found.as_slice() {
            [] => return Ok(Turn::Done),
            // It may have been in force since long before.
            [only] => chained(self.before(only).await?, &[*only]),
            // What was before the first one is known only where that was asked for too.
            [first, rest @ ..] if answers.first().is_some_and(Option::is_some) => chained(first.safe_head.number, rest),
            all @ [first, ..] => chained(first.safe_head.number, all),
        };
        self.store.prepend(steps).await?;
        Ok(Turn::More)
    }

    /// Looks for the step that made `block` safe, below those that are entered.
    pub(crate) async fn search(&self, block: u64) -> Result<Option<Step>, StepError> {
        let (Some(oldest), _) = self.store.oldest_step().await? else {
            return Ok(None);
        };
        // The step is at an L1 block behind `low`, and before or at `high`; the first L1 block is nobody's.
        let (mut low, mut high) = (0, oldest.l1_block.number.saturating_sub(1));
        if block > oldest.behind {
            return Ok(None);
        }
        while low < high {
            let heights = spread(low, high);
            let SafeHeads::Kept(answers) = self.source.safe_heads(&heights).await? else {
                return Ok(None);
            };
            let covers = |answer: &Option<SafeHead>| answer.is_some_and(|step| step.safe_head.number >= block);
            let Some(position) = answers.iter().position(covers) else {
                return Ok(None);
            };
            if let Some(before) = position.checked_sub(1) {
                low = heights[before];
            }
            let Some(step) = answers[position] else { return Ok(None) };
            if step.l1_block.number <= low {
                return Ok(None);
            }
            let behind = self.before(&step).await?;
            let found = Step {
                behind,
                safe: step.safe_head,
                l1_block: step.l1_block,
            };
            if found.covers(block) {
                self.store.enter_searched(found).await?;
                return Ok(Some(found));
            }
            if behind == step.safe_head.number {
                // op-node's first step: what is before it is unknown.
                return Ok(None);
            }
            high = step.l1_block.number - 1;
        }
        Ok(None)
    }
}

/// Heights behind `low`, evenly up to `high`; every one of them where there are few.
fn spread(low: u64, high: u64) -> Vec<u64> {
    let stride = high.saturating_sub(low).div_ceil(WAYS).max(1);
    let ways = (1..=WAYS).map(|way| low + way * stride);
    ways.take_while(|height| *height < high).chain([high]).collect()
}

/// The steps among answers for ascending heights, each once.
fn distinct(answers: &[Option<SafeHead>]) -> Vec<SafeHead> {
    let mut found: Vec<SafeHead> = answers.iter().flatten().copied().collect();
    found.dedup();
    found
}

/// Steps that follow each other, the first of them behind a block.
fn chained(behind: u64, steps: &[SafeHead]) -> Vec<Step> {
    let before = std::iter::once(behind).chain(steps.iter().map(|step| step.safe_head.number));
    let steps = before.zip(steps);
    steps
        .map(|(behind, step)| Step {
            behind: behind.min(step.safe_head.number),
            safe: step.safe_head,
            l1_block: step.l1_block,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use alloy_primitives::B256;
    use proptest::prelude::*;
    use set_chain::NumberedHash;

    use super::*;

    /// What op-node keeps: for some L1 blocks the safe head that they led to.
    #[derive(Clone, Default)]
    struct SafeDb(Arc<Mutex<Vec<SafeHead>>>);

    impl SafeDb {
        fn record(&self, l1: u64, safe: u64, fork: u8) {
            let block = |number: u64| NumberedHash {
                number,
                hash: B256::left_padding_from(&[&[fork][..], &number.to_be_bytes()].concat()),
            };
            self.0.lock().unwrap().push(SafeHead {
                l1_block: block(l1),
                safe_head: block(safe),
            });
        }

        /// An L1 reorg: what came from `l1` on is forgotten.
        fn forget_from(&self, l1: u64) {
            self.0.lock().unwrap().retain(|step| step.l1_block.number < l1);
        }

        fn last(&self) -> (u64, u64) {
            let last = *self.0.lock().unwrap().last().unwrap();
            (last.l1_block.number, last.safe_head.number)
        }

        /// By looking at every one of them: the L1 block that made a block safe, unless it is the first of all, of
        /// which nobody knows what was before.
        fn l1_block_of(&self, block: u64) -> Option<NumberedHash> {
            let steps = self.0.lock().unwrap();
            let position = steps.iter().position(|step| step.safe_head.number >= block)?;
            (position > 0).then(|| steps[position].l1_block)
        }
    }

    impl StepSource for SafeDb {
        async fn safe_heads(&self, l1_blocks: &[u64]) -> Result<SafeHeads, ChainError> {
            let steps = self.0.lock().unwrap();
            let at = |height: &u64| steps.iter().rev().find(|step| step.l1_block.number <= *height).copied();
            Ok(SafeHeads::Kept(l1_blocks.iter().map(at).collect()))
        }
    }

    async fn follower(db: &SafeDb, first_block: u64) -> SafeHeadSteps<SafeDb> {
        let store = SettlementStore::open(None, B256::ZERO).await.unwrap();
        SafeHeadSteps::new(db.clone(), store, first_block)
    }

    async fn follow(steps: &SafeHeadSteps<SafeDb>, tip: u64) {
        for _ in 0..1_000 {
            if steps.turn(tip).await.unwrap() == Turn::Done {
                return;
            }
        }
        panic!("it never ends");
    }

    async fn agrees(steps: &SafeHeadSteps<SafeDb>, db: &SafeDb, from: u64) {
        let blocks: Vec<_> = (from..=db.last().1 + 2).collect();
        let known = steps.store.covering(blocks.clone()).await.unwrap();
        for (block, step) in blocks.into_iter().zip(known) {
            assert_eq!(step.map(|step| step.l1_block), db.l1_block_of(block), "block {block}");
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        /// The safe head moves on by so many blocks, so many L1 blocks later; none: within the same L1 block.
        Step { l1: u64, blocks: u64 },
        /// The newest L1 blocks are others now.
        Reorg { depth: u64 },
        /// The follower looks.
        Look { turns: usize },
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            6 => (0u64..90, 1u64..40).prop_map(|(l1, blocks)| Event::Step { l1, blocks }),
            1 => (1u64..300).prop_map(|depth| Event::Reorg { depth }),
            3 => (1usize..6).prop_map(|turns| Event::Look { turns }),
        ];
        prop::collection::vec(event, 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_block_gets_the_l1_block_that_made_it_safe(events in events()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let db = SafeDb::default();
                db.record(100, 0, 0);
                let steps = follower(&db, 1).await;
                let mut fork = 0;
                for event in events {
                    let (l1, safe) = db.last();
                    match event {
                        Event::Step { l1: 0, blocks } if l1 > 100 => {
                            let mut steps = db.0.lock().unwrap();
                            let last = steps.last_mut().unwrap();
                            last.safe_head.number += blocks;
                            last.safe_head.hash = B256::repeat_byte(fork + 1);
                        }
                        Event::Step { l1: later, blocks } => db.record(l1 + later.max(1), safe + blocks, fork),
                        Event::Reorg { depth } => {
                            fork += 1;
                            db.forget_from((l1 + 1).saturating_sub(depth).max(101));
                        }
                        Event::Look { turns } => {
                            for _ in 0..turns {
                                steps.turn(db.last().0 + 3).await.unwrap();
                            }
                        }
                    }
                }
                follow(&steps, db.last().0 + 3).await;
                agrees(&steps, &db, 1).await;
            });
        }

        #[test]
        fn a_search_finds_what_was_not_read(
            distances in prop::collection::vec((1u64..5_000, 1u64..300), 2..40), at in 0.0f64..1.0,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let db = SafeDb::default();
                db.record(7, 0, 0);
                for (l1, blocks) in distances {
                    let last = db.last();
                    db.record(last.0 + l1, last.1 + blocks, 0);
                }
                let (l1, safe) = db.last();
                // Nothing is read but the newest step.
                let steps = follower(&db, safe).await;
                follow(&steps, l1).await;
                let block = 1 + (at * safe as f64) as u64;
                let known = steps.store.covering(vec![block]).await.unwrap()[0];
                let found = match known {
                    Some(step) => Some(step),
                    None => steps.search(block).await.unwrap(),
                };
                assert_eq!(found.map(|step| step.l1_block), db.l1_block_of(block), "block {block}");
                // It is kept.
                assert_eq!(steps.store.covering(vec![block]).await.unwrap()[0], found);
            });
        }
    }

    #[tokio::test]
    async fn what_was_safe_before_op_node_remembers_is_unknown() {
        let db = SafeDb::default();
        db.record(50, 1_000, 0);
        db.record(60, 1_010, 0);
        let steps = follower(&db, 1).await;
        follow(&steps, 70).await;
        let known = steps.store.covering(vec![5, 1_000, 1_001, 1_010, 1_011]).await.unwrap();
        let known: Vec<_> = known.into_iter().map(|step| Some(step?.l1_block.number)).collect();
        assert_eq!(known, [None, None, Some(60), Some(60), None]);
        assert_eq!(steps.search(5).await.unwrap(), None);
    }
}
