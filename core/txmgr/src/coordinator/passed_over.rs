//! Transactions that pay enough and that block after block leaves out.
//!
//! Such a one is too large for whoever makes the blocks, a throttling op-batcher above all. Ever higher bids
//! change nothing; smaller calls do. So it is replaced at its nonce by the empty transaction, its call
//! is given back, and the next ones are planned smaller.

use set_chain::Head;

use super::Coordinator;
use crate::{
    AlarmKind,
    slot::{Passing, Progress, Slot},
};

/// Blocks in a row that say something: after so many the bytes are sent again, in case the node lost
/// them; after as many more they are replaced once, in case its pool has them and forgot to offer them;
/// after as many again, size is what is left as a reason.
const BLOCKS: u32 = 3;
/// Blocks until what cannot be made smaller is renewed; doubled with each time, up to [`LONGEST_PAUSE`].
/// Its price rises each time, up to the ceiling of every replacement; beyond, its bytes go out again.
const FIRST_PAUSE: u32 = 8;
const LONGEST_PAUSE: u32 = 1_024;

impl Coordinator {
    /// Looks whether the newest block could have held the transaction that is first in line.
    pub(super) fn count_passing(&mut self, account_nonce: u64) {
        let Some(block) = self.sweeping.asked.head else {
            return;
        };
        if self.counted_block == Some(block.block.hash) {
            return;
        }
        self.counted_block = Some(block.block.hash);
        let account = self.account;
        let first = self.ledger.get(account_nonce);
        if first.is_none_or(|slot| slot.passing == Passing::default()) {
            self.size_limit.idled(block.block.number, self.config.caps());
        }
        let Some(slot) = self.ledger.get_mut(account_nonce) else {
            return;
        };
        let is_filler = slot.versions.last().is_some_and(|version| version.is_filler(account));
        let to_be_replaced = slot.bump || (slot.cancel && !is_filler);
        if slot.busy || to_be_replaced || slot.progress != Progress::Committed {
            return;
        }
        if !could_hold(&block, slot) {
            if slot.passing.waits.is_none() {
                slot.passing = Passing::default();
            }
            return;
        }
        slot.passing.blocks += 1;
        if let Some(pause) = slot.passing.waits {
            if slot.passing.blocks >= pause {
                slot.passing.blocks = 0;
                slot.passing.waits = Some((pause * 2).min(LONGEST_PAUSE));
                slot.bump = true;
            }
            return;
        }
        if slot.passing.blocks < BLOCKS {
            return;
        }
        slot.passing.blocks = 0;
        if slot.passing.renewed && slot.passing.vouched {
            self.on_passed_over(account_nonce, block.block.number);
        } else if slot.passing.probed && slot.passing.vouched {
            slot.passing.renewed = true;
            slot.bump = true;
        } else {
            slot.passing.probed = true;
            slot.resend = slot.versions.last().map(|version| version.hash);
        }
    }

    fn on_passed_over(&mut self, nonce: u64, block: u64) {
        let account = self.account;
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        let size = slot.size;
        let is_filler = slot.versions.last().is_some_and(|version| version.is_filler(account));
        self.metrics.counter("set_tx_passed_over_total").increment(1);
        if is_filler || !self.size_limit.passed_over(size, block) {
            slot.passing.waits = Some(FIRST_PAUSE);
            self.alarms.raise(
                AlarmKind::PassedOver,
                format!(
                    "blocks pass over the transaction of {account} at nonce {nonce} although it pays enough, and nothing smaller can be sent; it waits and is renewed now and then, ask whoever runs the sequencer and the batcher why"
                ),
            );
            return;
        }
        tracing::warn!(
            nonce,
            gas = size.gas,
            estimated_bytes = size.estimated_bytes,
            "blocks pass over a transaction that pays enough; its call is to be planned anew, in smaller ones"
        );
        for slot in self.ledger.open_mut() {
            if slot.progress == Progress::Committed && slot.size.is_as_large_as(size) {
                slot.cancel = true;
                slot.bump = true;
                slot.passing = Passing::default();
            }
        }
        self.return_what_is_too_large();
    }

    /// Gives back what was planned before the limit was learnt.
    pub(super) fn return_what_is_too_large(&mut self) {
        let Some(limit) = self.size_limit.get() else {
            return;
        };
        const REASON: &str = "blocks pass over calls of its size";
        // Whoever planned it counts a little differently.
        let limit = limit.map(|side| side + side / 8);
        let mut too_large = Vec::new();
        self.queue.retain(|submission| {
            let fits = submission.size.fits(limit);
            if !fits {
                too_large.push(submission.id);
            }
            fits
        });
        self.return_calls(too_large, REASON);
        let front = self.ledger.provisional().filter(|nonce| {
            let slot = self.ledger.get(*nonce);
            slot.is_some_and(|slot| !slot.busy && slot.id.is_some() && !slot.size.fits(limit))
        });
        if let Some(nonce) = front {
            self.return_front(nonce, REASON);
        }
    }
}

/// Whether a block had room for a transaction that paid for it, or none can have.
fn could_hold(block: &Head, slot: &Slot) -> bool {
    let paid = slot
        .versions
        .last()
        .is_some_and(|version| version.terms().paid_for(block));
    let fits = |used: u64, takes: u64| takes > block.gas_limit || used.saturating_add(takes) <= block.gas_limit;
    let footprint = block
        .da_footprint_scalar
        .unwrap_or(0)
        .saturating_mul(slot.size.estimated_bytes);
    paid && fits(block.gas_used, slot.size.gas) && fits(block.da_footprint.unwrap_or(0), footprint)
}
