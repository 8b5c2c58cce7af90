//! What the chain made of everything that was sent.

use std::collections::HashSet;

use set_chain::{BlockRef, SettlementTag};
use tokio::time::Instant;

use super::Coordinator;
use crate::{
    AlarmKind, TxEvent,
    slot::{Included, Slot},
    sweep::{Answer, Inclusion, Sighting},
};

impl Coordinator {
    /// How settled a canonical block is, by the tags of the question that runs; never more than is watched for.
    pub(super) fn settlement(&self, block: BlockRef) -> SettlementTag {
        let reached = |tag: Option<BlockRef>| tag.is_some_and(|tag| tag.number >= block.number);
        let settled = if reached(self.sweeping.asked.finalized) {
            SettlementTag::Finalized
        } else if reached(self.sweeping.asked.safe) {
            SettlementTag::Safe
        } else {
            SettlementTag::Included
        };
        settled.min(self.config.watch_until)
    }

    /// Whether there is something to tell of an included transaction, or it can be let go.
    pub(super) fn settles(&self, included: &Included) -> bool {
        self.settlement(included.block) > included.told || included.told >= self.config.watch_until
    }

    /// Takes in what the chain says.
    pub(super) fn on_swept(&mut self, answer: Answer) {
        self.sweeping.answered();
        self.alarms.clear(AlarmKind::Unobserved);
        self.account_nonce = Some(answer.account_nonce);
        self.balance = Some(answer.balance);
        self.has_code = answer.has_code;
        self.ledger.sync(answer.account_nonce);
        if let Some(term) = self.sweeping.asked.term {
            self.lead.read(term);
        }
        self.on_reorged(&answer.reorged);
        let mut gone = Vec::new();
        for (nonce, sighting) in answer.open {
            match sighting {
                Sighting::Included(inclusion) => self.on_included(nonce, *inclusion),
                Sighting::Absent => {
                    let Some(slot) = self.ledger.get_mut(nonce) else {
                        continue;
                    };
                    // The chain used the nonce for something else, or is so far from it that it can only
                    // have been named by mistake.
                    let lost = nonce < answer.account_nonce || nonce - answer.account_nonce > Self::REACH;
                    if !lost {
                        slot.absence = Default::default();
                    } else if slot.absence.count(answer.head.hash) {
                        gone.push(nonce);
                    }
                }
                Sighting::Unclear => {}
            }
        }
        for nonce in &gone {
            self.on_superseded(*nonce);
        }
        if answer.tag_holds {
            self.settle();
        }
        if self.config.watch_until == SettlementTag::Included {
            gone.extend(self.release_included());
        }
        self.forget(gone);
        self.find_gaps(answer.head, answer.account_nonce);
        self.mark_first_in_line(answer.account_nonce);
        self.count_passing(answer.account_nonce);
        self.check_balance(answer.balance);
        self.check_code();
        self.check_journal();
        self.check_stuck();
        if self.ledger.open().is_empty() {
            // Whatever hindered sending, there is nothing left that it hinders.
            self.clear_refusals();
            for kind in [
                AlarmKind::FeeCeiling,
                AlarmKind::Signer,
                AlarmKind::PassedOver,
                AlarmKind::SpendingCap,
            ] {
                self.alarms.clear(kind);
            }
        }
    }

    fn on_included(&mut self, nonce: u64, inclusion: Inclusion) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        let Inclusion {
            hash,
            block,
            succeeded,
            gas_used,
            fees,
            logs,
        } = inclusion;
        let (id, size, waited) = (slot.id, slot.size, slot.created.elapsed());
        let was_too_small = slot.passing.waits.is_some();
        let known: Box<[_]> = slot.all_known(self.account).collect();
        let is_filler = known.iter().any(|known| known.hash == hash && known.filler);
        let version = slot.versions.iter().position(|version| version.hash == hash);
        let version = version.map(|position| slot.versions.swap_remove(position));
        self.spending.paid(nonce, fees, succeeded);
        self.ledger.include(
            nonce,
            Included {
                // Where the empty transaction that replaced a call was included, the call never will be.
                id: id.filter(|_| !is_filler),
                hash,
                block,
                told: SettlementTag::Included,
                known,
                version: version.filter(|_| !self.on_disk),
            },
        );
        self.room_in_the_pool();
        if was_too_small {
            self.size_limit.resumed(block.number);
            self.alarms.clear(AlarmKind::PassedOver);
        }
        let Some(id) = id else {
            return;
        };
        if is_filler {
            self.metrics.counter("set_tx_superseded_total").increment(1);
            return self.emit(TxEvent::Superseded { id, nonce });
        }
        self.alarms.clear(AlarmKind::PassedOver);
        self.size_limit.included(size, block.number, self.config.caps());
        let result = if succeeded { "succeeded" } else { "reverted" };
        self.metrics
            .counter_of("set_tx_included_total", "result", result)
            .increment(1);
        self.metrics
            .histogram("set_tx_inclusion_seconds")
            .record(waited.as_secs_f64());
        tracing::info!(%id, nonce, %hash, block = block.number, gas_used, succeeded, "transaction included");
        self.emit(TxEvent::Included {
            id,
            nonce,
            hash,
            block,
            succeeded,
            gas_used,
            logs,
        });
    }

    fn on_reorged(&mut self, blocks: &[BlockRef]) {
        if blocks.is_empty() {
            return;
        }
        let gone: HashSet<_> = blocks.iter().map(|block| block.hash).collect();
        let included = self.ledger.included().iter();
        let nonces: Vec<u64> = included
            .filter(|(_, included)| gone.contains(&included.block.hash))
            .map(|(nonce, _)| *nonce)
            .collect();
        for nonce in nonces {
            let Some(included) = self.ledger.take_included(nonce) else {
                continue;
            };
            let Included {
                id,
                hash,
                block,
                known,
                version,
                ..
            } = included;
            self.metrics.counter("set_tx_reorged_total").increment(1);
            tracing::warn!(nonce, %hash, block = block.number, "a reorg took the transaction's block away");
            // The very bytes that were included go first: a hash that was told stays true.
            let mut slot = Slot::again(id, known.into_vec(), Some(hash));
            slot.busy = self.runs_for(nonce);
            slot.undone = true;
            self.spending.reopened(nonce);
            self.ledger.reopen(nonce, slot);
            if let Some(version) = version {
                self.at_hand(nonce, version);
            }
            if let Some(id) = id {
                self.emit(TxEvent::Reorged { id, nonce, hash });
            }
        }
        self.sweeping.wanted = true;
    }

    fn on_superseded(&mut self, nonce: u64) {
        self.metrics.counter("set_tx_superseded_total").increment(1);
        let slot = self.ledger.remove(nonce);
        self.spending.closed(nonce);
        if let Some(id) = slot.and_then(|slot| slot.id) {
            tracing::warn!(nonce, %id, "another transaction used the nonce; its call is to be planned anew");
            self.emit(TxEvent::Superseded { id, nonce });
        }
    }

    /// Tells what is settled, and lets go what is settled enough.
    fn settle(&mut self) {
        let included = self.ledger.included().iter();
        let settled: Vec<_> = included
            .filter(|(_, included)| self.settles(included))
            .map(|(nonce, included)| (*nonce, self.settlement(included.block)))
            .collect();
        let mut done = Vec::new();
        for (nonce, now) in settled {
            let Some(included) = self.ledger.included_mut(nonce) else {
                continue;
            };
            let told = included.told;
            included.told = now.max(told);
            let (id, hash, block) = (included.id, included.hash, included.block);
            for tag in [SettlementTag::Safe, SettlementTag::Finalized] {
                if tag > told
                    && tag <= now
                    && let Some(id) = id
                {
                    self.outbox.push_back(TxEvent::Settled { id, hash, tag, block });
                }
            }
            if now.max(told) >= self.config.watch_until {
                self.ledger.take_included(nonce);
                self.spending.closed(nonce);
                done.push(nonce);
            }
        }
        self.forget(done);
    }

    /// Lets go what is in a block, where that is settled enough.
    fn release_included(&mut self) -> Vec<u64> {
        let included: Vec<_> = self.ledger.included().keys().copied().collect();
        for nonce in &included {
            self.ledger.take_included(*nonce);
            self.spending.closed(*nonce);
        }
        included
    }

    /// Notes from when on only price or size can keep a transaction out of a block.
    fn mark_first_in_line(&mut self, account_nonce: u64) {
        let nonces: Vec<u64> = self.ledger.open().keys().copied().collect();
        for nonce in nonces {
            let Some(slot) = self.ledger.get_mut(nonce) else {
                continue;
            };
            if nonce == account_nonce {
                slot.first_in_line.get_or_insert_with(Instant::now);
            } else {
                slot.first_in_line = None;
            }
            if nonce < account_nonce {
                slot.resend = None;
            }
        }
    }
}
