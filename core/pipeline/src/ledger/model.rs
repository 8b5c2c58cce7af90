//! A model of everything around the ledger, by the registry's own rules: a source, a chain that forks, a
//! transaction manager, an index. What it answers is true at the moment of the answer, or was a little
//! before; what it observes, it asserts.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use set_chain::{BlockRef, ChainView, Head, SettlementTag};
use set_host::Judgement;
use set_index::{Anchored, Synced};
use set_txmgr::{CallId, TxEvent};
use set_types::{
    BatchId, CandidateCall, Commitment, Log, PollResponse, RecordedCommitment, ReportOutcome, ReportStatus,
    SettleOutcome, Settlement, Stage, StreamHead, StreamId, Subject, Timestamp, Verdict,
};

use super::{Event, Failure, Ledger, Plan, ProofFailure, Start, Work};
use crate::{
    clock::Now,
    config::{EventsRootCheck, PipelineConfig},
    status::PendingFilter,
};

/// Commitments that the model's submitter puts into one call.
const PER_CALL: usize = 3;
/// Calls that the model's transaction manager has on their way at once.
const IN_FLIGHT: usize = 4;

/// What is wrong with a commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defect {
    /// The registry would refuse its shape.
    Shape,
    /// The contract refuses it for a reason of its own.
    Refused,
    /// It does not follow from the one before.
    Root,
    /// The source's proofs do not lead to its root.
    Proof,
    /// The submitter cannot express it.
    Excluded,
}

/// A transaction: ours or somebody else's.
#[derive(Debug, Clone)]
struct Tx {
    hash: B256,
    /// Our nonce, where it is ours.
    nonce: Option<u64>,
    commitments: Vec<Commitment>,
}

/// One of our transactions until it is settled.
#[derive(Debug, Clone)]
struct Slot {
    id: CallId,
    tx: Tx,
    /// The block that holds it.
    block: Option<u64>,
    settled: Option<SettlementTag>,
}

#[derive(Debug, Clone)]
struct Block {
    at: BlockRef,
    parent: B256,
    txs: Vec<Tx>,
    /// Whether the registry was paused.
    paused: bool,
}

/// What the registry holds.
#[derive(Debug, Clone, Default)]
struct Registry {
    heads: HashMap<StreamId, StreamHead>,
    records: HashMap<BatchId, (Commitment, B256, BlockRef)>,
}

impl Registry {
    fn commit(&mut self, commitment: &Commitment, refused: &HashSet<BatchId>, tx: B256, at: BlockRef) -> SettleOutcome {
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
        if !commitment.continues(&head) {
            return SettleOutcome::OutOfOrder { reason: "order".into() };
        }
        self.heads.insert(commitment.stream(), commitment.head());
        self.records.insert(commitment.batch_id, (commitment.clone(), tx, at));
        SettleOutcome::Committed
    }

    fn head(&self, stream: StreamId) -> StreamHead {
        self.heads.get(&stream).copied().unwrap_or(StreamHead::unopened(stream))
    }
}

/// Work on its way, and the answer where it was read early.
#[derive(Debug)]
struct Outstanding {
    work: Work,
    early: Option<Event>,
}

/// Everything around the ledger, and the ledger.
pub(super) struct World {
    pub(super) ledger: Ledger,
    config: PipelineConfig,
    now: Now,
    // the source
    made: BTreeMap<StreamId, Vec<(Commitment, Option<Defect>)>>,
    recorded: HashMap<BatchId, B256>,
    hidden: HashSet<BatchId>,
    stale: bool,
    window: usize,
    // the chain
    blocks: Vec<Block>,
    registry: Registry,
    foreign: Vec<Tx>,
    pub(super) paused: bool,
    reachable: bool,
    safe_lag: u64,
    safe: u64,
    indexed: u64,
    // the transaction manager
    slots: BTreeMap<u64, Slot>,
    next_nonce: u64,
    next_id: u64,
    salt: u64,
    outcomes: Vec<Vec<SettleOutcome>>,
    planned: Vec<Vec<Commitment>>,
    // between them and the ledger
    work: VecDeque<Outstanding>,
    events: VecDeque<Event>,
    /// Our calls that are on their way, as far as the ledger was told.
    open: HashSet<CallId>,
    /// The first hash ever reported for a batch.
    claims: HashMap<BatchId, B256>,
    pub(super) submissions: usize,
    pub(super) reports: usize,
}

impl World {
    pub(super) fn new() -> Self {
        let config = PipelineConfig {
            poll_interval: Duration::from_secs(1),
            poll_limit: 8,
            max_pending: 500,
            report_at: SettlementTag::Safe,
            report_batch: 3,
            report_concurrency: 2,
            verify_events_root: EventsRootCheck::Sample,
            retry_pause_max: Duration::from_secs(4),
            recovery_wait: Duration::from_secs(5),
            blocked_recheck: Duration::from_secs(5),
            // Looking again at what is quarantined would go on for ever.
            quarantine_recheck: Duration::from_secs(1_000_000),
            ..PipelineConfig::default()
        };
        let now = Now {
            at: std::time::Instant::now(),
            wall: Timestamp::from_second(1_700_000_000).unwrap(),
        };
        let genesis = Block {
            at: block_ref(0, 0),
            parent: B256::ZERO,
            txs: Vec::new(),
            paused: false,
        };
        Self {
            ledger: Ledger::new(config.clone(), start(Vec::new()), now),
            config,
            now,
            made: BTreeMap::new(),
            recorded: HashMap::new(),
            hidden: HashSet::new(),
            stale: false,
            window: 8,
            blocks: vec![genesis],
            registry: Registry::default(),
            foreign: Vec::new(),
            paused: false,
            reachable: true,
            safe_lag: 2,
            safe: 0,
            indexed: 0,
            slots: BTreeMap::new(),
            next_nonce: 0,
            next_id: 0,
            salt: 0,
            outcomes: Vec::new(),
            planned: Vec::new(),
            work: VecDeque::new(),
            events: VecDeque::new(),
            open: HashSet::new(),
            claims: HashMap::new(),
            submissions: 0,
            reports: 0,
        }
    }

    // ------------------------------------------------------------------ what may happen

    /// The source makes a commitment in a stream.
    pub(super) fn make(&mut self, stream: u8, events: u32, defect: Option<Defect>) {
        let id = stream_id(stream);
        let made = self.made.entry(id).or_default();
        let (start, prev) = made.last().map_or((1, B256::ZERO), |(last, _)| {
            (last.sequence_end + 1, last.new_state_root)
        });
        let number = made.len() as u8;
        let total: i64 = self.made.values().map(|made| made.len() as i64).sum();
        let mut commitment = Commitment {
            batch_id: keccak256([0, stream, number]).into(),
            tenant_id: id.tenant_id,
            store_id: id.store_id,
            events_root: keccak256([1, stream, number]),
            prev_state_root: prev,
            new_state_root: keccak256([2, stream, number]),
            sequence_start: start,
            sequence_end: start + u64::from(events) - 1,
            event_count: events,
            committed_at: Timestamp::from_second(1_700_000_000 + total).unwrap(),
        };
        match defect {
            Some(Defect::Shape) => commitment.event_count += 1,
            Some(Defect::Root) if number > 0 => commitment.prev_state_root = B256::repeat_byte(0xbb),
            _ => {}
        }
        let defect = defect.filter(|defect| *defect != Defect::Root || number > 0);
        self.made.entry(id).or_default().push((commitment, defect));
    }

    /// The source loses something: it lists a batch with other content.
    pub(super) fn time_passes(&mut self, milliseconds: u64) {
        let passed = Duration::from_millis(milliseconds);
        self.now = Now {
            at: self.now.at + passed,
            wall: self.now.wall + passed,
        };
        self.begin();
    }

    /// The ledger says what is to be done.
    fn begin(&mut self) {
        let room = self.room();
        let work = self.ledger.next_work(room, Address::ZERO, self.now);
        for work in work {
            self.observe(&work);
            // Every second answer is read when the question arrives, the others when they leave.
            self.salt += 1;
            let early = (self.salt % 2 == 0).then(|| self.read(&work)).flatten();
            self.work.push_back(Outstanding { work, early });
        }
    }

    fn room(&self) -> usize {
        let open = self.slots.values().filter(|slot| slot.block.is_none()).count();
        IN_FLIGHT.saturating_sub(open)
    }

    /// A piece of work is done, or fails.
    pub(super) fn finish_work(&mut self, which: usize, fails: bool) {
        if self.work.is_empty() {
            return;
        }
        let which = which % self.work.len();
        let Some(Outstanding { work, early }) = self.work.remove(which) else {
            return;
        };
        let event = if fails {
            self.fail(work)
        } else {
            match early {
                Some(event) => event,
                None => self.answer(work),
            }
        };
        self.ledger.handle(event, self.now);
        self.begin();
    }

    /// The next word of the chain or of the transaction manager arrives.
    pub(super) fn deliver(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.tell(event);
            self.begin();
        }
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::Tx(TxEvent::Sent { id, .. } | TxEvent::Reorged { id, .. }) => {
                self.open.insert(*id);
            }
            Event::Tx(event) => {
                self.open.remove(&event.id());
            }
            _ => {}
        }
        self.ledger.handle(event, self.now);
    }

    /// A block with at most `most` of our transactions, and what others sent.
    pub(super) fn mine(&mut self, most: usize) {
        self.salt += 1;
        let parent = self.blocks.last().unwrap().at;
        let at = block_ref(parent.number + 1, self.salt);
        let mut txs: Vec<Tx> = std::mem::take(&mut self.foreign);
        let ours: Vec<u64> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.block.is_none())
            .map(|(nonce, _)| *nonce)
            .take(most)
            .collect();
        txs.extend(ours.iter().map(|nonce| self.slots[nonce].tx.clone()));
        for tx in &txs {
            let mut outcomes = Vec::new();
            let refused = self.refused();
            for commitment in &tx.commitments {
                let outcome = if self.paused {
                    SettleOutcome::Unavailable {
                        reason: "paused".into(),
                    }
                } else {
                    self.registry.commit(commitment, &refused, tx.hash, at)
                };
                outcomes.push(outcome);
            }
            let Some(nonce) = tx.nonce else { continue };
            let Some(slot) = self.slots.get_mut(&nonce) else {
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
                nonce,
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

    /// The last blocks are no longer canonical: our bytes go out again, others' are lost or not. What is
    /// safe stays.
    pub(super) fn reorg(&mut self, depth: usize, keep_foreign: bool) {
        let height = self.blocks.last().unwrap().at.number;
        let depth = (depth as u64).min(height - self.safe);
        if depth == 0 {
            return;
        }
        let undone = self.blocks.split_off((height - depth + 1) as usize);
        for tx in undone.into_iter().flat_map(|block| block.txs) {
            match tx.nonce {
                Some(nonce) => {
                    if let Some(slot) = self.slots.get_mut(&nonce) {
                        slot.block = None;
                        slot.settled = None;
                        self.events.push_back(Event::Tx(TxEvent::Reorged {
                            id: slot.id,
                            nonce,
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
    pub(super) fn race(&mut self, stream: u8) {
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
                nonce: None,
                commitments: vec![commitment],
            });
        }
    }

    /// Somebody else uses the nonce of our oldest transaction; with `commits`, for the same commitments.
    pub(super) fn supersede(&mut self, commits: bool) {
        let Some(nonce) = self.open_slot() else { return };
        let slot = self.slots.remove(&nonce).unwrap();
        self.events
            .push_back(Event::Tx(TxEvent::Superseded { id: slot.id, nonce }));
        if commits {
            self.salt += 1;
            self.foreign.push(Tx {
                hash: keccak256(self.salt.to_be_bytes()),
                nonce: None,
                commitments: slot.tx.commitments,
            });
        }
    }

    /// The node refuses our oldest transaction for good.
    pub(super) fn drop_call(&mut self) {
        let Some(nonce) = self.open_slot() else { return };
        let slot = self.slots.remove(&nonce).unwrap();
        self.events.push_back(Event::Tx(TxEvent::Dropped {
            id: slot.id,
            reason: "no".into(),
        }));
    }

    fn open_slot(&self) -> Option<u64> {
        let (nonce, _) = self.slots.iter().find(|(_, slot)| slot.block.is_none())?;
        Some(*nonce)
    }

    /// Another sidecar reports what is anchored.
    pub(super) fn report_elsewhere(&mut self, stream: u8) {
        let id = stream_id(stream);
        let next = self
            .registry
            .records
            .values()
            .filter(|(commitment, _, at)| commitment.stream() == id && at.number <= self.safe)
            .find(|(commitment, _, _)| !self.recorded.contains_key(&commitment.batch_id))
            .map(|(commitment, tx, _)| (commitment.batch_id, *tx));
        if let Some((batch_id, tx)) = next {
            self.record(batch_id, tx);
        }
    }

    /// The source's list goes stale: what is reported stays listed.
    pub(super) fn set_stale(&mut self, stale: bool) {
        self.stale = stale;
        if !stale {
            self.hidden = self.recorded.keys().copied().collect();
        }
    }

    /// The node goes away or comes back.
    pub(super) fn set_reachable(&mut self, reachable: bool) {
        self.reachable = reachable;
        self.show_chain();
    }

    /// The index follows the chain by some blocks.
    pub(super) fn index(&mut self, blocks: u64) {
        let height = self.blocks.last().unwrap().at.number;
        self.indexed = height.min(self.indexed + blocks);
        self.events.push_back(Event::Indexed(self.synced()));
    }

    /// The program is killed and started again; with its journal, or without.
    pub(super) fn restart(&mut self, journal: bool) {
        self.work.clear();
        self.events.clear();
        self.open.clear();
        let mut recovered = Vec::new();
        let slots = std::mem::take(&mut self.slots);
        for (nonce, mut slot) in slots {
            if journal {
                slot.id = CallId::Recovered(nonce);
                if slot.block.is_none() {
                    recovered.push(slot.id);
                }
                self.slots.insert(nonce, slot);
            } else if slot.block.is_none() {
                // The node's pool still has it.
                self.foreign.push(Tx { nonce: None, ..slot.tx });
            }
        }
        if !journal {
            for tx in self.blocks.iter_mut().flat_map(|block| &mut block.txs) {
                tx.nonce = None;
            }
        }
        self.ledger = Ledger::new(self.config.clone(), start(recovered), self.now);
        self.show_chain();
        self.events.push_back(Event::Indexed(self.synced()));
    }

    // ------------------------------------------------------------------ the parts

    fn refused(&self) -> HashSet<BatchId> {
        self.defects(Defect::Refused)
    }

    fn defects(&self, wanted: Defect) -> HashSet<BatchId> {
        self.made
            .values()
            .flatten()
            .filter(|(_, defect)| *defect == Some(wanted))
            .map(|(commitment, _)| commitment.batch_id)
            .collect()
    }

    fn replay(&mut self) {
        let refused = self.refused();
        self.registry = Registry::default();
        for block in self.blocks.iter().filter(|block| !block.paused) {
            for tx in &block.txs {
                for commitment in &tx.commitments {
                    self.registry.commit(commitment, &refused, tx.hash, block.at);
                }
            }
        }
    }

    fn show_chain(&mut self) {
        let tip = self.blocks.last().unwrap();
        let safe = self.blocks[self.safe as usize].at;
        let view = ChainView {
            latest: Some(Head {
                block: tip.at,
                parent_hash: tip.parent,
                gas_limit: 30_000_000,
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
            updated: self.now.wall,
        };
        self.events.push_back(Event::Chain(Arc::new(view)));
    }

    fn settle_slots(&mut self) {
        let mut gone = Vec::new();
        for (nonce, slot) in &mut self.slots {
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
            gone.push(*nonce);
        }
        for nonce in gone {
            self.slots.remove(&nonce);
        }
    }

    fn synced(&self) -> Synced {
        let height = self.blocks.last().unwrap().at.number;
        let indexed = self.indexed.min(height);
        Synced {
            block: Some(self.blocks[indexed as usize].at),
            head: Some(height),
            error: None,
        }
    }

    fn record(&mut self, batch_id: BatchId, tx: B256) {
        self.recorded.insert(batch_id, tx);
        if !self.stale {
            self.hidden.insert(batch_id);
        }
    }

    fn listed(&self) -> Vec<Commitment> {
        let mut listed: Vec<_> = self
            .made
            .values()
            .flatten()
            .map(|(commitment, _)| commitment)
            .filter(|commitment| !self.hidden.contains(&commitment.batch_id))
            .cloned()
            .collect();
        listed.sort_by_key(|commitment| commitment.committed_at);
        listed
    }

    // ------------------------------------------------------------------ answers

    /// What must hold of the work itself.
    fn observe(&mut self, work: &Work) {
        match work {
            Work::Plan { commitments, heads, .. } => {
                let mut tails: HashMap<StreamId, StreamHead> = heads.iter().map(|head| (head.stream, *head)).collect();
                for commitment in commitments {
                    commitment.check_shape().expect("what is malformed is never planned");
                    assert!(
                        !self.defects(Defect::Proof).contains(&commitment.batch_id),
                        "what the source cannot prove is never planned"
                    );
                    let tail = tails.get_mut(&commitment.stream()).expect("each stream has its head");
                    assert!(
                        commitment.continues(tail),
                        "what is planned continues its stream: {commitment:?} after {tail:?}"
                    );
                    *tail = commitment.head();
                }
            }
            Work::Submit { calls } => {
                let open: HashSet<BatchId> = self
                    .slots
                    .values()
                    .filter(|slot| self.open.contains(&slot.id) && !slot.id.is_recovered())
                    .flat_map(|slot| slot.tx.commitments.iter().map(|commitment| commitment.batch_id))
                    .collect();
                for (_, call) in calls {
                    for batch_id in &call.batches {
                        assert!(!open.contains(batch_id), "{batch_id} is on its way already");
                    }
                }
                self.submissions += calls.len();
            }
            Work::Report { receipts } => {
                assert!(receipts.len() <= self.config.report_batch);
                self.reports += receipts.len();
                for receipt in receipts {
                    let (_, tx, at) = self
                        .registry
                        .records
                        .get(&receipt.batch_id)
                        .expect("what is reported is on chain");
                    assert_eq!(*tx, receipt.tx_hash, "the transaction is the one that committed it");
                    assert!(at.number <= self.safe, "what is reported is safe");
                    let first = *self.claims.entry(receipt.batch_id).or_insert(receipt.tx_hash);
                    assert_eq!(first, receipt.tx_hash, "one commitment, one hash");
                }
            }
            _ => {}
        }
    }

    /// An answer that depends on the moment it is read and changes nothing.
    fn read(&self, work: &Work) -> Option<Event> {
        Some(match work {
            Work::Poll { listing, .. } => {
                let mut commitments = self.listed();
                let more = commitments.len() >= self.window;
                commitments.truncate(self.window);
                Event::Polled {
                    listing: *listing,
                    answer: Ok(PollResponse {
                        commitments,
                        malformed: Vec::new(),
                        more,
                    }),
                }
            }
            Work::ReadOn { stream, after, limit } => {
                let mut commitments = self.listed();
                commitments.retain(|commitment| commitment.stream() == *stream && commitment.sequence_start > *after);
                commitments.truncate(*limit as usize);
                Event::ReadOn {
                    stream: *stream,
                    answer: Ok(PollResponse {
                        commitments,
                        malformed: Vec::new(),
                        more: false,
                    }),
                }
            }
            Work::ReadHeads { streams } => Event::Heads {
                streams: streams.clone(),
                answer: Ok(streams.iter().map(|stream| self.registry.head(*stream)).collect()),
            },
            Work::LookUp { batches } => Event::LookedUp {
                batches: batches.clone(),
                answer: Ok(batches
                    .iter()
                    .map(|batch_id| self.recorded_commitment(*batch_id))
                    .collect()),
            },
            Work::Locate { batches } => Event::Located {
                batches: batches.clone(),
                answer: Ok(batches.iter().map(|batch_id| self.locate(*batch_id)).collect()),
            },
            _ => return None,
        })
    }

    fn recorded_commitment(&self, batch_id: BatchId) -> Option<RecordedCommitment> {
        let (commitment, _, _) = self.registry.records.get(&batch_id)?;
        Some(RecordedCommitment {
            batch_id,
            events_root: commitment.events_root,
            prev_state_root: None,
            new_state_root: commitment.new_state_root,
            sequence_start: commitment.sequence_start,
            sequence_end: commitment.sequence_end,
            event_count: commitment.event_count,
            timestamp: 0,
        })
    }

    fn locate(&self, batch_id: BatchId) -> Option<Anchored> {
        let (commitment, tx, at) = self.registry.records.get(&batch_id)?;
        (at.number <= self.indexed).then(|| Anchored {
            batch_id,
            stream_key: commitment.stream().key(),
            stream: None,
            events_root: commitment.events_root,
            new_state_root: commitment.new_state_root,
            sequence_start: commitment.sequence_start,
            sequence_end: commitment.sequence_end,
            event_count: commitment.event_count,
            tx_hash: *tx,
            block: *at,
            log_index: 0,
            reported: false,
        })
    }

    fn answer(&mut self, work: Work) -> Event {
        if let Some(event) = self.read(&work) {
            return event;
        }
        match work {
            Work::Prove { commitment } => {
                let bad = self.defects(Defect::Proof).contains(&commitment.batch_id);
                Event::Proved {
                    batch_id: commitment.batch_id,
                    answer: if bad {
                        Err(ProofFailure::Mismatch("elsewhere".into()))
                    } else {
                        Ok(())
                    },
                }
            }
            Work::Judge { subjects } => Event::Judged {
                asked: subjects.iter().filter_map(Subject::batch_id).collect(),
                answer: subjects
                    .iter()
                    .map(|_| Judgement {
                        verdict: Verdict::Allow,
                        policy: None,
                    })
                    .collect(),
            },
            Work::Plan { commitments, calls, .. } => self.plan(commitments, calls),
            Work::Submit { calls } => self.submit(calls),
            Work::Settle {
                call,
                inclusion,
                request,
            } => {
                let which = U256::from_be_bytes(request.logs[0].topics[0].0).to::<usize>();
                let outcomes = self.outcomes[which].clone();
                let settlements = std::iter::zip(request.call.batches, outcomes)
                    .map(|(batch_id, outcome)| Settlement { batch_id, outcome })
                    .collect();
                Event::Outcomes {
                    call,
                    inclusion,
                    answer: Ok(settlements),
                }
            }
            Work::Report { receipts } => {
                let mut outcomes = Vec::new();
                for receipt in &receipts {
                    let status = match self.recorded.get(&receipt.batch_id) {
                        None => {
                            self.record(receipt.batch_id, receipt.tx_hash);
                            ReportStatus::Recorded
                        }
                        Some(hash) if *hash == receipt.tx_hash => ReportStatus::AlreadyRecorded,
                        Some(hash) => ReportStatus::Conflict {
                            recorded: Some(*hash),
                            reason: "other".into(),
                        },
                    };
                    outcomes.push(ReportOutcome {
                        batch_id: receipt.batch_id,
                        status,
                    });
                }
                Event::Reported {
                    batches: receipts.iter().map(|receipt| receipt.batch_id).collect(),
                    answer: Ok(outcomes),
                }
            }
            Work::Record(record) => Event::Recorded { record, answer: Ok(()) },
            read => unreachable!("{read:?} is answered by reading"),
        }
    }

    fn plan(&mut self, commitments: Vec<Commitment>, calls: u32) -> Event {
        let asked = commitments.iter().map(|commitment| commitment.batch_id).collect();
        let inexpressible = self.defects(Defect::Excluded);
        let mut plan = Plan::default();
        let mut stopped = HashSet::new();
        let mut sendable = Vec::new();
        for commitment in commitments {
            if stopped.contains(&commitment.stream()) {
                continue;
            }
            if inexpressible.contains(&commitment.batch_id) {
                stopped.insert(commitment.stream());
                plan.excluded.push(set_types::Exclusion {
                    batch_id: commitment.batch_id,
                    reason: "no".into(),
                });
                continue;
            }
            sendable.push(commitment);
        }
        for chunk in sendable.chunks(PER_CALL).take(calls as usize) {
            plan.calls.push(CandidateCall {
                to: Address::ZERO,
                data: Bytes::from((self.planned.len() as u64).to_be_bytes().to_vec()),
                value: U256::ZERO,
                gas_limit: 1_000_000,
                batches: chunk.iter().map(|commitment| commitment.batch_id).collect(),
            });
            self.planned.push(chunk.to_vec());
        }
        Event::Planned {
            asked,
            answer: Ok(plan),
        }
    }

    fn submit(&mut self, calls: Vec<(super::CallKey, CandidateCall)>) -> Event {
        let mut results = Vec::new();
        for (key, call) in calls {
            let which = u64::from_be_bytes(call.data[..].try_into().unwrap()) as usize;
            let (nonce, id) = (self.next_nonce, CallId::Submitted(self.next_id));
            self.next_nonce += 1;
            self.next_id += 1;
            self.salt += 1;
            let tx = Tx {
                hash: keccak256(self.salt.to_be_bytes()),
                nonce: Some(nonce),
                commitments: self.planned[which].clone(),
            };
            self.events.push_back(Event::Tx(TxEvent::Sent {
                id,
                nonce,
                hash: tx.hash,
            }));
            self.slots.insert(
                nonce,
                Slot {
                    id,
                    tx,
                    block: None,
                    settled: None,
                },
            );
            results.push((key, Ok(id)));
        }
        // Whoever hands calls over hears of them late: events come first.
        while matches!(self.events.front(), Some(Event::Tx(TxEvent::Sent { .. }))) && self.salt % 3 == 0 {
            let event = self.events.pop_front().unwrap();
            self.tell(event);
        }
        Event::Submitted { results }
    }

    /// The work fails; where that leaves open what happened, it may have happened.
    fn fail(&mut self, work: Work) -> Event {
        let failure = || Failure::new("failed");
        match work {
            Work::Poll { listing, .. } => Event::Polled {
                listing,
                answer: Err(failure()),
            },
            Work::ReadOn { stream, .. } => Event::ReadOn {
                stream,
                answer: Err(failure()),
            },
            Work::ReadHeads { streams } => Event::Heads {
                streams,
                answer: Err(failure()),
            },
            Work::LookUp { batches } => Event::LookedUp {
                batches,
                answer: Err(failure()),
            },
            Work::Prove { commitment } => Event::Proved {
                batch_id: commitment.batch_id,
                answer: Err(ProofFailure::Unavailable("down".into())),
            },
            Work::Judge { subjects } => Event::Judged {
                asked: subjects.iter().filter_map(Subject::batch_id).collect(),
                answer: subjects
                    .iter()
                    .map(|_| Judgement {
                        verdict: Verdict::Hold {
                            until: None,
                            reason: "no verdict".into(),
                        },
                        policy: Some("model".into()),
                    })
                    .collect(),
            },
            Work::Plan { commitments, .. } => Event::Planned {
                asked: commitments.iter().map(|commitment| commitment.batch_id).collect(),
                answer: Err(failure()),
            },
            Work::Submit { calls } => Event::Submitted {
                results: calls.into_iter().map(|(key, _)| (key, Err(failure()))).collect(),
            },
            Work::Settle { call, inclusion, .. } => Event::Outcomes {
                call,
                inclusion,
                answer: Err(failure()),
            },
            Work::Locate { batches } => Event::Located {
                batches,
                answer: Err(failure()),
            },
            Work::Report { receipts } => {
                // A timeout does not mean that nothing was written.
                self.salt += 1;
                let batches = receipts.iter().map(|receipt| receipt.batch_id).collect();
                if self.salt % 2 == 0 {
                    self.answer(Work::Report { receipts });
                }
                Event::Reported {
                    batches,
                    answer: Err(failure()),
                }
            }
            Work::Record(record) => Event::Recorded {
                record,
                answer: Err(failure()),
            },
        }
    }

    // ------------------------------------------------------------------ the end

    /// Faults end, and time passes until nothing moves any more.
    pub(super) fn calm(&mut self) {
        self.paused = false;
        self.window = 1_000;
        self.set_stale(false);
        self.set_reachable(true);
        for _ in 0..80 {
            self.round();
        }
    }

    /// A second in which everything works.
    pub(super) fn round(&mut self) {
        self.time_passes(1_000);
        loop {
            while !self.events.is_empty() {
                self.deliver();
            }
            if self.work.is_empty() {
                break;
            }
            self.finish_work(0, false);
        }
        self.mine(IN_FLIGHT);
        self.index(u64::MAX / 2);
    }

    /// After [`World::calm`]: everything that could be anchored is, once, and the source knows where.
    pub(super) fn check(&mut self) {
        let (submissions, reports) = (self.submissions, self.reports);
        for _ in 0..20 {
            self.round();
        }
        assert_eq!(
            (submissions, reports),
            (self.submissions, self.reports),
            "nothing is sent for ever"
        );
        for (id, made) in &self.made {
            let mut stuck = false;
            for (commitment, defect) in made {
                let batch_id = commitment.batch_id;
                stuck |= defect.is_some();
                let record = self.registry.records.get(&batch_id);
                let shown = self.ledger.get(batch_id);
                if stuck {
                    assert!(record.is_none(), "{batch_id} of {id} was committed after a bad one");
                    let stage = shown.map(|pending| pending.stage);
                    let wanted = if defect.is_some() {
                        matches!(stage, Some(Stage::Quarantined | Stage::Blocked))
                    } else {
                        matches!(stage, Some(Stage::Blocked | Stage::Quarantined))
                    };
                    assert!(wanted, "{batch_id} of {id} with {defect:?} is {stage:?}");
                    continue;
                }
                let Some((_, tx, _)) = record else {
                    panic!("{batch_id} of {id} is lost: {shown:?}, {:#?}", self.ledger.status());
                };
                assert_eq!(
                    self.recorded.get(&batch_id),
                    Some(tx),
                    "{batch_id} of {id} is reported with its transaction: {shown:?}"
                );
            }
            let first_bad = made.iter().find(|(_, defect)| defect.is_some());
            if let Some((commitment, _)) = first_bad {
                let stage = self.ledger.get(commitment.batch_id).map(|pending| pending.stage);
                assert_eq!(stage, Some(Stage::Quarantined), "the first bad one of {id}");
            }
        }
        let all = self.ledger.pending(PendingFilter::default(), None, usize::MAX);
        let in_flight = all
            .iter()
            .filter(|pending| matches!(pending.stage, Stage::Planned | Stage::Sent))
            .count();
        assert_eq!(in_flight, 0, "nothing is left on its way");
    }

    /// How many commitments the registry holds.
    pub(super) fn committed(&self) -> usize {
        self.registry.records.len()
    }

    /// Puts another content under the id of the next commitment of a stream.
    pub(super) fn squat(&mut self, stream: u8) {
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
            nonce: None,
            commitments: vec![commitment],
        }));
    }

    /// The commitments made in a stream.
    pub(super) fn made(&self, stream: u8) -> Vec<BatchId> {
        let made = self.made.get(&stream_id(stream)).into_iter().flatten();
        made.map(|(commitment, _)| commitment.batch_id).collect()
    }

    /// Changes what the source lists under an id.
    pub(super) fn rewrite(&mut self, batch: BatchId, change: impl FnOnce(&mut Commitment)) {
        let made = self.made.values_mut().flatten();
        if let Some((commitment, _)) = made.into_iter().find(|(commitment, _)| commitment.batch_id == batch) {
            change(commitment);
        }
    }
}

fn start(recovered: Vec<CallId>) -> Start {
    Start {
        chain_id: 1,
        watched_until: SettlementTag::Finalized,
        quarantined: Vec::new(),
        conflicts: Vec::new(),
        recovered,
    }
}

fn stream_id(stream: u8) -> StreamId {
    StreamId {
        tenant_id: B256::repeat_byte(stream + 1).into(),
        store_id: B256::repeat_byte(0x77).into(),
    }
}

fn block_ref(number: u64, salt: u64) -> BlockRef {
    BlockRef {
        number,
        hash: keccak256([number.to_be_bytes(), salt.to_be_bytes()].concat()),
        timestamp: number * 2,
    }
}
