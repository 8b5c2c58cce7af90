//! The chain, the account's transactions on it, and what others do there.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use set_chain::{BlockRef, ChainView, Head, SettlementTag};
use set_index::Synced;
use set_txmgr::{CallId, TxEvent};
use set_types::{BatchId, Commitment, Log, SettleOutcome, StreamHead, StreamId};

use super::{
    Event, World,
    source::{Defect, stream_id},
};

/// A transaction: ours or somebody else's.
#[derive(Debug, Clone)]
pub(super) struct Tx {
    pub(super) hash: B256,
    /// Our account and its nonce, where it is ours.
    pub(super) seat: Option<Seat>,
    pub(super) commitments: Vec<Commitment>,
    /// Whether the registry refused its sender.
    pub(super) refused: bool,
    /// Streams that the registry did not take from its sender.
    pub(super) shut_out: Vec<StreamId>,
}

/// An account and one of its nonces.
pub(super) type Seat = (Address, u64);

/// One of our transactions until it is settled.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) id: CallId,
    pub(super) tx: Tx,
    /// The block that holds it.
    pub(super) block: Option<u64>,
    pub(super) settled: Option<SettlementTag>,
}

#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) at: BlockRef,
    pub(super) parent: B256,
    pub(super) txs: Vec<Tx>,
    /// Whether the registry was paused.
    pub(super) paused: bool,
}

/// What the registry holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Registry {
    pub(super) heads: HashMap<StreamId, StreamHead>,
    pub(super) records: HashMap<BatchId, (Commitment, B256, BlockRef)>,
}

impl Registry {
    pub(super) fn commit(
        &mut self,
        commitment: &Commitment,
        refused: &HashSet<BatchId>,
        out_of_order: &HashSet<BatchId>,
        tx: B256,
        at: BlockRef,
    ) -> SettleOutcome {
        if let Some((held, _, _)) = self.records.get(&commitment.batch_id) {
            return if held == commitment {
                SettleOutcome::AlreadyCommitted
            } else {
                SettleOutcome::Conflict { reason: "held".into() }
            };
        }
        if refused.contains(&commitment.batch_id) || commitment.check_shape().is_err() {
            return SettleOutcome::Refused {
                reason: "refused".into(),
            };
        }
        let head = self.head(commitment.stream());
        if out_of_order.contains(&commitment.batch_id) {
            return SettleOutcome::OutOfOrder { reason: "order".into() };
        }
        if !commitment.continues(&head) {
            return SettleOutcome::OutOfOrder { reason: "order".into() };
        }
        self.heads.insert(commitment.stream(), commitment.head());
        self.records.insert(commitment.batch_id, (commitment.clone(), tx, at));
        SettleOutcome::Committed
    }

    pub(super) fn head(&self, stream: StreamId) -> StreamHead {
        self.heads.get(&stream).copied().unwrap_or(StreamHead::unopened(stream))
    }
}

impl World {
    /// A block with at most `most` of our transactions, and what others sent.
    pub(in crate::ledger) fn mine(&mut self, most: usize) {
        self.salt += 1;
        let parent = self.blocks.last().unwrap().at;
        let at = block_ref(parent.number + 1, self.salt);
        let mut txs: Vec<Tx> = std::mem::take(&mut self.foreign);
        let mut ours: Vec<Seat> = Vec::new();
        for account in self.accounts.clone() {
            ours.extend(self.open_seats().filter(|(of, _)| *of == account).take(most));
        }
        txs.extend(ours.iter().map(|seat| self.slots[seat].tx.clone()));
        for tx in &mut txs {
            tx.refused = tx.seat.is_some_and(|(account, _)| self.unauthorised.contains(&account));
            tx.shut_out.clear();
            let mut outcomes = Vec::new();
            let (refused, out_of_order) = (self.defects(Defect::Refused), self.defects(Defect::Order));
            for commitment in &tx.commitments {
                let bound = self.bound.get(&commitment.stream()).copied();
                let other = bound.filter(|bound| tx.seat.is_some_and(|(account, _)| account != *bound));
                let outcome = if let Some(account) = other.filter(|_| !tx.refused && !self.paused) {
                    tx.shut_out.push(commitment.stream());
                    SettleOutcome::Bound {
                        account,
                        reason: format!("bound to {account}"),
                    }
                } else if tx.refused {
                    SettleOutcome::NotAuthorised {
                        reason: "not authorised".into(),
                    }
                } else if self.paused {
                    SettleOutcome::Unavailable {
                        reason: "paused".into(),
                    }
                } else {
                    self.registry.commit(commitment, &refused, &out_of_order, tx.hash, at)
                };
                outcomes.push(outcome);
            }
            let Some(seat) = tx.seat else { continue };
            let Some(slot) = self.slots.get_mut(&seat) else {
                continue;
            };
            slot.block = Some(at.number);
            let log = Log {
                address: Address::ZERO,
                topics: vec![B256::from(U256::from(self.outcomes.len()))],
                data: Bytes::new(),
            };
            self.outcomes.push(outcomes);
            self.events.push_back(Event::Tx(TxEvent::Included {
                id: slot.id,
                nonce: seat.1,
                hash: tx.hash,
                block: at,
                succeeded: true,
                gas_used: 1_000,
                logs: vec![log],
            }));
        }
        self.blocks.push(Block {
            at,
            parent: parent.hash,
            txs,
            paused: self.paused,
        });
        self.safe = self.safe.max(at.number.saturating_sub(self.safe_lag));
        self.show_chain();
        self.settle_slots();
    }

    /// A reorg that the tags did not rule out.
    pub(in crate::ledger) fn reorg_past_safe(&mut self, depth: usize) {
        let height = self.blocks.last().unwrap().at.number;
        self.safe = height - depth as u64;
        self.reorg(depth, false);
    }

    /// The last blocks are no longer canonical: our bytes go out again, others' are lost or not. What is
    /// safe stays.
    pub(in crate::ledger) fn reorg(&mut self, depth: usize, keep_foreign: bool) {
        let height = self.blocks.last().unwrap().at.number;
        let depth = (depth as u64).min(height - self.safe);
        if depth == 0 {
            return;
        }
        let undone = self.blocks.split_off((height - depth + 1) as usize);
        for tx in undone.into_iter().flat_map(|block| block.txs) {
            match tx.seat {
                Some(seat) => {
                    if let Some(slot) = self.slots.get_mut(&seat) {
                        slot.block = None;
                        slot.settled = None;
                        self.events.push_back(Event::Tx(TxEvent::Reorged {
                            id: slot.id,
                            nonce: seat.1,
                            hash: tx.hash,
                        }));
                    }
                }
                None if keep_foreign => self.foreign.push(tx),
                None => {}
            }
        }
        self.replay();
        self.indexed = self.indexed.min(self.blocks.last().unwrap().at.number);
        // The new branch is longer.
        for _ in 0..=depth {
            self.mine(0);
        }
        self.events.push_back(Event::Indexed(self.synced()));
    }

    /// Somebody else commits the next commitment of a stream.
    pub(in crate::ledger) fn race(&mut self, stream: u8) {
        let id = stream_id(stream);
        let head = self.registry.head(id);
        let next = self
            .made
            .get(&id)
            .into_iter()
            .flatten()
            .find(|(commitment, defect)| defect.is_none() && commitment.continues(&head))
            .map(|(commitment, _)| commitment.clone());
        if let Some(commitment) = next {
            self.salt += 1;
            self.foreign.push(Tx {
                hash: keccak256(self.salt.to_be_bytes()),
                seat: None,
                commitments: vec![commitment],
                refused: false,
                shut_out: Vec::new(),
            });
        }
    }

    /// Puts another content under the id of the next commitment of a stream.
    pub(in crate::ledger) fn squat(&mut self, stream: u8) {
        let id = stream_id(stream);
        let head = self.registry.head(id);
        let next = self.made[&id]
            .iter()
            .find(|(commitment, _)| commitment.continues(&head))
            .map(|(commitment, _)| Commitment {
                events_root: B256::repeat_byte(0xee),
                ..commitment.clone()
            });
        self.salt += 1;
        self.foreign.extend(next.map(|commitment| Tx {
            hash: keccak256(self.salt.to_be_bytes()),
            seat: None,
            commitments: vec![commitment],
            refused: false,
            shut_out: Vec::new(),
        }));
    }

    /// Somebody else uses the nonce of our oldest transaction; with `commits`, for the same commitments.
    pub(in crate::ledger) fn supersede(&mut self, commits: bool) {
        let Some(seat) = self.open_seat() else { return };
        let slot = self.slots.remove(&seat).unwrap();
        self.events.push_back(Event::Tx(TxEvent::Superseded {
            id: slot.id,
            nonce: seat.1,
        }));
        if commits {
            self.salt += 1;
            self.foreign.push(Tx {
                hash: keccak256(self.salt.to_be_bytes()),
                seat: None,
                commitments: slot.tx.commitments,
                refused: false,
                shut_out: Vec::new(),
            });
        }
    }

    /// Our newest transaction, which was not sent yet, is given back: no later nonce may be in use.
    pub(in crate::ledger) fn give_back(&mut self) {
        let accounts = self.accounts.iter();
        let newest = accounts.filter_map(|account| self.slots.range(..=(*account, u64::MAX)).next_back());
        let unsent = newest.filter(|(seat, slot)| slot.block.is_none() && self.accounts.contains(&seat.0));
        let Some(seat) = unsent.map(|(seat, _)| *seat).next() else {
            return;
        };
        if let Some(slot) = self.slots.remove(&seat) {
            self.next_nonce.insert(seat.0, seat.1);
            self.events.push_back(Event::Tx(TxEvent::Returned {
                id: slot.id,
                reason: "the lease was lost",
            }));
        }
    }

    /// The node refuses our oldest transaction for good.
    pub(in crate::ledger) fn drop_call(&mut self) {
        let Some(seat) = self.open_seat() else { return };
        let slot = self.slots.remove(&seat).unwrap();
        self.events.push_back(Event::Tx(TxEvent::Dropped {
            id: slot.id,
            reason: "no".into(),
        }));
    }

    /// The places of our transactions that are in no block.
    pub(super) fn open_seats(&self) -> impl Iterator<Item = Seat> + '_ {
        let open = self.slots.iter().filter(|(_, slot)| slot.block.is_none());
        open.map(|(seat, _)| *seat)
    }

    /// One account's oldest of these.
    fn open_seat(&self) -> Option<Seat> {
        let which = (self.salt as usize).checked_rem(self.accounts.len())?;
        let preferred = self.accounts[which];
        let of_account = self.open_seats().find(|(account, _)| *account == preferred);
        of_account.or_else(|| self.open_seats().next())
    }

    /// The index follows the chain by some blocks.
    pub(in crate::ledger) fn index(&mut self, blocks: u64) {
        let height = self.blocks.last().unwrap().at.number;
        self.indexed = height.min(self.indexed + blocks);
        self.events.push_back(Event::Indexed(self.synced()));
    }

    /// The node goes away or comes back.
    pub(in crate::ledger) fn set_reachable(&mut self, reachable: bool) {
        self.reachable = reachable;
        self.show_chain();
    }

    pub(in crate::ledger) fn replay(&mut self) {
        let (refused, out_of_order) = (self.defects(Defect::Refused), self.defects(Defect::Order));
        self.registry = Registry::default();
        for block in self.blocks.iter().filter(|block| !block.paused) {
            for tx in block.txs.iter().filter(|tx| !tx.refused) {
                for commitment in &tx.commitments {
                    if tx.shut_out.contains(&commitment.stream()) {
                        continue;
                    }
                    self.registry
                        .commit(commitment, &refused, &out_of_order, tx.hash, block.at);
                }
            }
        }
    }

    pub(in crate::ledger) fn show_chain(&mut self) {
        let tip = self.blocks.last().unwrap();
        let safe = self.blocks[self.safe as usize].at;
        let view = ChainView {
            latest: Some(Head {
                block: tip.at,
                parent_hash: tip.parent,
                gas_limit: 30_000_000,
                gas_target: 15_000_000,
                gas_used: 0,
                base_fee: 1,
                next_base_fee: 1,
                suggested_tip: 1,
                da_footprint: None,
                da_footprint_scalar: None,
            }),
            safe: Some(safe),
            finalized: Some(safe),
            reachable: self.reachable,
            error: (!self.reachable).then(|| "down".to_owned()),
            endpoint: None,
            endpoints: Vec::new(),
            op_node: None,
            updated: self.now.wall,
        };
        self.events.push_back(Event::Chain(Arc::new(view)));
    }

    pub(in crate::ledger) fn settle_slots(&mut self) {
        let mut gone = Vec::new();
        for (seat, slot) in &mut self.slots {
            let Some(number) = slot.block.filter(|number| *number <= self.safe) else {
                continue;
            };
            slot.settled = Some(SettlementTag::Finalized);
            let block = self.blocks[number as usize].at;
            for tag in [SettlementTag::Safe, SettlementTag::Finalized] {
                self.events.push_back(Event::Tx(TxEvent::Settled {
                    id: slot.id,
                    hash: slot.tx.hash,
                    tag,
                    block,
                }));
            }
            gone.push(*seat);
        }
        for seat in gone {
            self.slots.remove(&seat);
        }
    }

    pub(in crate::ledger) fn synced(&self) -> Synced {
        let height = self.blocks.last().unwrap().at.number;
        let indexed = self.indexed.min(height);
        Synced {
            block: Some(self.blocks[indexed as usize].at),
            from: Some(0),
            head: Some(height),
            error: None,
        }
    }
}

pub(super) fn block_ref(number: u64, salt: u64) -> BlockRef {
    BlockRef {
        number,
        hash: keccak256([number.to_be_bytes(), salt.to_be_bytes()].concat()),
        timestamp: number * 2,
    }
}
