//! A model of everything around the ledger, by the registry's own rules: a source, a chain that forks, a
//! transaction manager, an index. What it answers is true at the moment of the answer, or was a little
//! before; what it observes, it asserts.

mod answers;
mod chain;
mod expectations;
mod source;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use alloy_primitives::{Address, B256};
use set_chain::SettlementTag;
use set_index::{QuarantineEntry, ReportConflict};
use set_txmgr::{CallId, TxEvent};
use set_types::{BatchId, Commitment, Malformed, ReportStatus, SettleOutcome, StreamId, Timestamp, Verdict};

use self::chain::{Block, Registry, Seat, Slot, Tx, block_ref};
pub(super) use self::source::{Defect, stream_id};
use super::{Event, Failure, Ledger, Plan, ProofFailure, Room, Start, Work};
use crate::{
    clock::Now,
    config::{EventsRootCheck, PipelineConfig},
};

/// Calls that one of the model's transaction managers has on their way at once.
const IN_FLIGHT: usize = 4;

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
    /// How much of a commitment was proven when the source failed.
    proven: HashMap<BatchId, u32>,
    stale: bool,
    pub(super) window: usize,
    // the chain
    blocks: Vec<Block>,
    registry: Registry,
    foreign: Vec<Tx>,
    pub(super) paused: bool,
    reachable: bool,
    pub(super) safe_lag: u64,
    safe: u64,
    indexed: u64,
    /// Whether nodes have dropped what says where commitments are.
    pub(super) dropped: bool,
    // the accounts, their transaction managers and the lease
    accounts: Vec<Address>,
    retired: HashSet<Address>,
    unauthorised: HashSet<Address>,
    /// Streams that the registry takes from one account only.
    bound: HashMap<StreamId, Address>,
    /// The lease's term, while it is ours.
    term: Option<u64>,
    terms: u64,
    /// Streams whose heads were asked for in this term.
    read_in_term: HashSet<StreamId>,
    slots: BTreeMap<Seat, Slot>,
    next_nonce: HashMap<Address, u64>,
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
    /// What the policies say of everything.
    pub(super) verdict: Verdict,
    /// What the source says to every report, where that is not the truth.
    pub(super) report_answer: Option<ReportStatus>,
    /// Entries of the list that cannot be read.
    pub(super) malformed: Vec<Malformed>,
    /// What it lists besides, before or behind everything else.
    pub(super) strays: Vec<Commitment>,
    pub(super) strays_first: bool,
    /// Commitments that the submitter puts into one call, at most.
    pub(super) per_call: usize,
    /// Commitments that it refuses to plan, and whatever is asked for together with them.
    pub(super) unplannable: HashSet<BatchId>,
    pub(super) plans: usize,
    /// Accounts that sent something, in the order of the calls.
    pub(super) senders: Vec<Address>,
    /// Conflicts that are written down.
    pub(super) conflicts: HashMap<BatchId, ReportConflict>,
    pub(super) readings: usize,
    pub(super) submissions: usize,
    pub(super) polls: usize,
    pub(super) searches: usize,
    pub(super) judgements: usize,
    /// What is written down as quarantined.
    pub(super) kept: HashMap<BatchId, QuarantineEntry>,
    /// How often something was written down.
    pub(super) records: usize,
    /// Whether nothing can be written down.
    pub(super) records_fail: bool,
    /// Whether the source answers no poll.
    polls_fail: bool,
    pub(super) reports: usize,
    /// The gas of the receipts, in their order.
    pub(super) gas: Vec<Option<u64>>,
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
            ledger: Ledger::new(config.clone(), start(vec![account(0)], Vec::new(), Vec::new()), now),
            config,
            now,
            made: BTreeMap::new(),
            recorded: HashMap::new(),
            hidden: HashSet::new(),
            proven: HashMap::new(),
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
            dropped: false,
            accounts: vec![account(0)],
            retired: HashSet::new(),
            unauthorised: HashSet::new(),
            bound: HashMap::new(),
            term: Some(1),
            terms: 1,
            read_in_term: HashSet::new(),
            slots: BTreeMap::new(),
            next_nonce: HashMap::new(),
            next_id: 0,
            salt: 0,
            outcomes: Vec::new(),
            planned: Vec::new(),
            work: VecDeque::new(),
            events: VecDeque::new(),
            open: HashSet::new(),
            claims: HashMap::new(),
            verdict: Verdict::Allow,
            report_answer: None,
            malformed: Vec::new(),
            strays: Vec::new(),
            strays_first: false,
            per_call: 3,
            unplannable: HashSet::new(),
            plans: 0,
            senders: Vec::new(),
            conflicts: HashMap::new(),
            readings: 0,
            submissions: 0,
            polls: 0,
            searches: 0,
            judgements: 0,
            kept: HashMap::new(),
            records: 0,
            records_fail: false,
            polls_fail: false,
            reports: 0,
            gas: Vec::new(),
        }
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
    pub(super) fn begin(&mut self) {
        let rooms = self.rooms();
        let work = self.ledger.next_work(&rooms, self.term, self.now);
        for work in work {
            self.observe(&work);
            // Every second answer is read when the question arrives, the others when they leave.
            self.salt += 1;
            let early = (self.salt.is_multiple_of(2)).then(|| self.read(&work)).flatten();
            self.work.push_back(Outstanding { work, early });
        }
    }

    fn rooms(&self) -> Vec<Room> {
        let room = |account: &Address| Room {
            account: *account,
            calls: IN_FLIGHT.saturating_sub(self.open_seats().filter(|(of, _)| of == account).count()),
            watch_until: SettlementTag::Finalized,
        };
        self.accounts.iter().map(room).collect()
    }

    /// One more account, or one that was retired comes back.
    pub(super) fn admit(&mut self, which: u8) {
        let account = account(which);
        if !self.accounts.contains(&account) {
            self.accounts.push(account);
        }
        self.retired.remove(&account);
        self.ledger.admit(account, Vec::new(), self.now);
        self.begin();
    }

    /// An account is not to be used any more.
    pub(super) fn retire(&mut self, which: u8) {
        let account = account(which);
        if self.accounts.contains(&account) {
            self.retired.insert(account);
            self.ledger.retire(account);
        }
    }

    /// The registry's owner authorises an account, or does not any more.
    pub(super) fn authorise(&mut self, which: u8, authorised: bool) {
        if authorised {
            self.unauthorised.remove(&account(which));
        } else {
            self.unauthorised.insert(account(which));
        }
    }

    /// The registry's owner binds a stream to an account.
    pub(super) fn bind(&mut self, stream: u8, which: u8) {
        self.bound.insert(stream_id(stream), account(which));
    }

    /// The lease is won or lost.
    pub(super) fn lead(&mut self, leading: bool) {
        if leading != self.term.is_some() {
            self.terms += 1;
            self.term = leading.then_some(self.terms);
            self.read_in_term.clear();
            self.begin();
        }
    }

    /// Lets retired accounts go, as the coordinator does.
    fn release_accounts(&mut self) {
        for account in self.retired.clone() {
            if !self.ledger.is_retired(account) {
                continue;
            }
            for (seat, slot) in &self.slots {
                let open = self.open.contains(&slot.id) && !slot.id.is_recovered();
                assert!(seat.0 != account || !open, "what is retired has nothing on its way");
            }
            if !self.slots.keys().any(|(of, _)| *of == account) && self.ledger.forget_account(account) {
                self.retired.remove(&account);
                self.accounts.retain(|known| *known != account);
            }
        }
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
        let fails = match work {
            Work::Poll { .. } => fails || self.polls_fail,
            Work::Record(_) => fails || self.records_fail,
            _ => fails,
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
        self.release_accounts();
        self.begin();
    }

    /// The next word of the chain or of the transaction manager arrives.
    pub(super) fn deliver(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.tell(event);
            self.begin();
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
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

    /// The program starts anew with a shorter recheck of what is quarantined.
    pub(super) fn recheck_after(&mut self, pause: Duration) {
        self.config.quarantine_recheck = pause;
        self.restart(true);
    }

    /// The program starts anew with another configuration.
    pub(super) fn reconfigure(&mut self, change: impl FnOnce(&mut PipelineConfig)) {
        change(&mut self.config);
        self.restart(true);
    }

    /// What is asked now is answered by how things are now, though it may arrive later.
    pub(super) fn read_now(&mut self) {
        for index in 0..self.work.len() {
            let answer = self.read(&self.work[index].work);
            self.work[index].early = answer;
        }
    }

    /// The first piece of work of a kind is done.
    pub(super) fn finish(&mut self, wanted: impl Fn(&Work) -> bool) {
        let which = self.work.iter().position(|outstanding| wanted(&outstanding.work));
        self.finish_work(which.expect("it was asked for"), false);
    }

    /// Everything that was said arrives; no work is done.
    pub(super) fn deliver_all(&mut self) {
        while !self.events.is_empty() {
            self.deliver();
        }
    }

    /// The program is killed and started again; with its journal, or without.
    pub(super) fn restart(&mut self, journal: bool) {
        self.work.clear();
        self.events.clear();
        self.open.clear();
        self.proven.clear();
        let mut recovered = Vec::new();
        let slots = std::mem::take(&mut self.slots);
        for (seat, mut slot) in slots {
            if journal {
                slot.id = recovered_id(seat);
                if slot.block.is_none() {
                    recovered.push(slot.id);
                }
                self.slots.insert(seat, slot);
            } else if slot.block.is_none() {
                // The node's pool still has it.
                self.foreign.push(Tx { seat: None, ..slot.tx });
            }
        }
        if !journal {
            for tx in self.blocks.iter_mut().flat_map(|block| &mut block.txs) {
                tx.seat = None;
            }
        }
        let quarantined = self.kept.values().cloned().collect();
        self.retired.clear();
        self.read_in_term.clear();
        let start = Start {
            conflicts: self.conflicts.values().cloned().collect(),
            ..start(self.accounts.clone(), recovered, quarantined)
        };
        self.ledger = Ledger::new(self.config.clone(), start, self.now);
        self.show_chain();
        self.events.push_back(Event::Indexed(self.synced()));
    }
}

fn start(accounts: Vec<Address>, recovered: Vec<CallId>, quarantined: Vec<QuarantineEntry>) -> Start {
    Start {
        chain_id: 1,
        accounts,
        quarantined,
        conflicts: Vec::new(),
        recovered,
    }
}

pub(super) fn account(which: u8) -> Address {
    Address::repeat_byte(which + 1)
}

fn recovered_id((account, nonce): Seat) -> CallId {
    CallId::Recovered { account, nonce }
}
