//! What the chain made of everything that was sent.

use alloy_primitives::U256;
use set_chain::{BlockRef, SettlementTag};
use tokio::time::Instant;

use super::Coordinator;
use crate::{
    AlarmKind, TxEvent, Wei,
    fees::FeeTerms,
    slot::{Progress, Slot},
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

    /// Takes in what the chain says.
    pub(super) fn on_swept(&mut self, answer: Answer) {
        self.sweeping.answered();
        self.alarms.clear(AlarmKind::Unobserved);
        self.account_nonce = Some(answer.account_nonce);
        self.balance = Some(answer.balance);
        self.ledger.sync(answer.account_nonce);
        if let Some(term) = self.sweeping.asked.term {
            self.lead.read(term);
        }
        for nonce in &answer.reorged {
            self.on_reorged(*nonce);
        }
        let mut gone = Vec::new();
        for (nonce, sighting) in answer.open {
            match sighting {
                Sighting::Included(inclusion) => self.on_included(nonce, *inclusion),
                Sighting::Absent => {
                    let Some(slot) = self.ledger.get_mut(nonce) else {
                        continue;
                    };
                    if nonce >= answer.account_nonce {
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
        self.check_balance(answer.balance);
        self.check_stuck();
        if !self.ledger.slots().values().any(Slot::is_open) {
            // Whatever hindered sending, there is nothing left that it hinders.
            self.clear_refusals();
            self.alarms.clear(AlarmKind::FeeCeiling);
            self.alarms.clear(AlarmKind::Signer);
        }
    }

    fn on_included(&mut self, nonce: u64, inclusion: Inclusion) {
        let account = self.account;
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        let Inclusion {
            hash,
            block,
            succeeded,
            gas_used,
            logs,
        } = inclusion;
        slot.progress = Progress::Included {
            hash,
            block,
            told: SettlementTag::Included,
        };
        slot.place = None;
        slot.share = None;
        slot.resend = None;
        slot.bump = false;
        slot.absence = Default::default();
        let waited = slot.created.elapsed();
        let is_filler = slot.version(hash).is_some_and(|version| version.is_filler(account));
        let Some(id) = slot.id else {
            return;
        };
        if is_filler {
            // The empty transaction that replaced the call was included, so the call never will be.
            slot.id = None;
            return self.emit(TxEvent::Superseded { id, nonce });
        }
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

    fn on_reorged(&mut self, nonce: u64) {
        let Some(slot) = self.ledger.get_mut(nonce) else {
            return;
        };
        let Progress::Included { hash, block, .. } = slot.progress else {
            return;
        };
        self.metrics.counter("set_tx_reorged_total").increment(1);
        tracing::warn!(nonce, %hash, block = block.number, "a reorg took the transaction's block away");
        slot.progress = Progress::Committed;
        slot.touched = Instant::now();
        slot.first_in_line = None;
        slot.absence = Default::default();
        // The very bytes that were included go first: a hash that was told stays true.
        slot.resend = Some(hash);
        self.sweeping.wanted = true;
        if let Some(id) = slot.id {
            self.emit(TxEvent::Reorged { id, nonce, hash });
        }
    }

    fn on_superseded(&mut self, nonce: u64) {
        self.metrics.counter("set_tx_superseded_total").increment(1);
        let slot = self.ledger.remove(nonce);
        if let Some(id) = slot.and_then(|slot| slot.id) {
            tracing::warn!(nonce, %id, "another transaction used the nonce; its call is to be planned anew");
            self.emit(TxEvent::Superseded { id, nonce });
        }
    }

    /// Tells what is settled, and lets go what is settled enough.
    fn settle(&mut self) {
        let mut events = Vec::new();
        let mut done = Vec::new();
        let included = self
            .ledger
            .slots()
            .iter()
            .filter_map(|(nonce, slot)| match slot.progress {
                Progress::Included { hash, block, told } => Some((*nonce, slot.id, hash, block, told)),
                _ => None,
            });
        let settled: Vec<_> = included
            .map(|(nonce, id, hash, block, told)| (nonce, id, hash, block, told, self.settlement(block)))
            .filter(|(.., told, now)| now > told)
            .collect();
        for (nonce, id, hash, block, told, now) in settled {
            for tag in [SettlementTag::Safe, SettlementTag::Finalized] {
                if tag > told
                    && tag <= now
                    && let Some(id) = id
                {
                    events.push(TxEvent::Settled { id, hash, tag, block });
                }
            }
            if now >= self.config.watch_until {
                self.ledger.remove(nonce);
                done.push(nonce);
            } else if let Some(slot) = self.ledger.get_mut(nonce) {
                slot.progress = Progress::Included { hash, block, told: now };
            }
        }
        self.outbox.extend(events);
        self.forget(done);
    }

    /// Lets go what is in a block, where that is settled enough.
    fn release_included(&mut self) -> Vec<u64> {
        let slots = self.ledger.slots().iter();
        let included: Vec<_> = slots
            .filter(|(_, slot)| !slot.is_open())
            .map(|(nonce, _)| *nonce)
            .collect();
        for nonce in &included {
            self.ledger.remove(*nonce);
        }
        included
    }

    /// Frees nonces that two heads agree nobody has used.
    fn find_gaps(&mut self, head: BlockRef, account_nonce: u64) {
        let gaps: Vec<_> = self.ledger.gaps(account_nonce).collect();
        if gaps != self.gaps {
            self.gaps = gaps;
            self.gaps_seen = Default::default();
        }
        if !self.gaps.is_empty() && self.gaps_seen.count(head.hash) {
            tracing::info!(nonces = ?self.gaps, account = %self.account, "nonces that nobody used are given out again");
            self.ledger.free(self.gaps.drain(..));
        }
    }

    /// Notes from when on only price or size can keep a transaction out of a block.
    fn mark_first_in_line(&mut self, account_nonce: u64) {
        let nonces: Vec<u64> = self.ledger.slots().keys().copied().collect();
        for nonce in nonces {
            let Some(slot) = self.ledger.get_mut(nonce).filter(|slot| slot.is_open()) else {
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

    /// Counts the fees beside gas too: neither has a cap in the transaction, and the pool asks for both.
    fn check_balance(&mut self, balance: U256) {
        self.metrics.gauge("set_tx_balance_wei").set(f64::from(balance));
        let fresh = self.view.latest.and_then(|head| FeeTerms::fresh(&head, &self.config));
        let gas_price = fresh.map_or(self.config.max_fee.0, |terms| terms.cap);
        let largest = U256::from(gas_price)
            .saturating_mul(U256::from(self.config.max_gas))
            .saturating_add(self.data_fees.total());
        let floor = U256::from(self.config.balance_alarm.0).max(largest);
        if balance < floor {
            let shown = |wei: U256| Wei(u128::try_from(wei).unwrap_or(u128::MAX));
            self.alarms.raise(
                AlarmKind::LowBalance,
                format!(
                    "{} holds {}, below {}; send ether to it",
                    self.account,
                    shown(balance),
                    shown(floor)
                ),
            );
        } else {
            self.alarms.clear(AlarmKind::LowBalance);
        }
    }

    fn check_stuck(&mut self) {
        let mut open = self.ledger.slots().iter();
        let stuck = open.find(|(_, slot)| slot.is_open() && slot.created.elapsed() >= self.config.stuck_after);
        match stuck.map(|(nonce, slot)| (*nonce, slot.versions.len())) {
            Some((nonce, versions)) => self.alarms.raise(
                AlarmKind::Stuck,
                format!("the transaction at nonce {nonce} is in no block yet, after {versions} versions of it"),
            ),
            None => self.alarms.clear(AlarmKind::Stuck),
        }
    }
}
