//! What the pipeline knows, and what to do next: a state machine without I/O.
//!
//! [`Ledger::handle`] takes in what happened, [`Ledger::next_work`] says what is to be done. Whoever
//! does the work hands back an [`Event`] for each piece of it; nothing here waits, and no clock is read.

mod accounts;
mod alarms;
mod anchors;
mod bound;
mod calls;
mod contract;
mod entry;
mod heads;
mod listing;
mod outcomes;
mod plans;
mod policy;
mod quarantine;
mod reading_on;
mod reports;
mod resting;
mod schedule;
mod snapshot;
mod stream;
mod tally;
mod window;
mod work;

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenarios;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use alloy_primitives::Address;
use set_chain::ChainView;
use set_index::{QuarantineEntry, ReportConflict, StreamPosition, Synced};
use set_txmgr::{CallId, TxEvent};
use set_types::{BatchId, StreamId, Timestamp};

use self::{accounts::Account, alarms::Alarms, calls::Call, entry::Entry, heads::Queue, stream::Stream};
pub(crate) use self::{
    accounts::Room,
    entry::CallKey,
    work::{Event, Failure, Plan, ProofFailure, Record, Work},
};
use crate::{
    clock::{Backoff, Now},
    config::PipelineConfig,
    status::{MalformedEntry, SourceStatus, Window},
};

/// What a run begins with.
#[derive(Debug)]
pub(crate) struct Start {
    /// Chain id of the L2.
    pub(crate) chain_id: u64,
    /// The sending accounts.
    pub(crate) accounts: Vec<Address>,
    /// What was quarantined.
    pub(crate) quarantined: Vec<QuarantineEntry>,
    /// Reports that the source will never take.
    pub(crate) conflicts: Vec<ReportConflict>,
    /// Transactions of the run before that are not resolved.
    pub(crate) recovered: Vec<CallId>,
}

/// The state of the pipeline.
#[derive(Debug)]
pub(crate) struct Ledger {
    config: PipelineConfig,
    chain_id: u64,
    accounts: BTreeMap<Address, Account>,
    /// The term of the lease in which this process may send.
    term: Option<u64>,
    /// The chain as it was seen last.
    view: Arc<ChainView>,
    synced: Synced,
    streams: BTreeMap<StreamId, Stream>,
    /// Each commitment's stream and first sequence number.
    places: HashMap<BatchId, (Arc<StreamId>, u64)>,
    /// How many rest.
    resting: usize,
    /// Commitments that were changed, and may rest from now on.
    touched: Vec<BatchId>,
    /// How many commitments are in which stage.
    tally: tally::Tally,
    /// Streams whose commitments must be looked through anew.
    dirty: BTreeSet<StreamId>,
    draining: bool,

    // listing
    listing: u64,
    polling: bool,
    next_poll: Option<Instant>,
    poll_backoff: Backoff,
    source: SourceStatus,
    malformed: Vec<MalformedEntry>,
    reading_on: reading_on::ReadingOn,
    /// What the last list showed.
    shown: HashSet<BatchId>,
    /// How far the round through all commitments, for those that the source lists no more, has come.
    swept: Option<StreamId>,
    window: Option<Window>,
    /// Reports that got through since the last poll began.
    reported_since_poll: usize,

    // the chain
    heads: Queue<StreamId>,
    lookups: Queue<BatchId>,
    recovered: BTreeSet<CallId>,
    recovery_ends: Option<Instant>,
    recovery_since: Option<Timestamp>,

    // proofs
    unproven: VecDeque<BatchId>,
    proving: usize,

    // policies and plans
    /// Streams with something that can go, by the age of its oldest.
    ready: BTreeSet<(Timestamp, StreamId)>,
    /// Since when something can go and did not.
    ready_since: Option<Instant>,
    judging: bool,
    caution: plans::Caution,
    plan_backoff: Backoff,
    plan_reason: String,
    held_back_since: Timestamp,
    /// Streams that the contract takes from one account only, as far as it said so.
    bound: HashMap<StreamId, Address>,
    /// Set while the contract takes nothing from anybody.
    unavailable: Option<contract::Hold>,
    settle_reason: String,
    next_call: CallKey,
    to_submit: Vec<CallKey>,
    calls: BTreeMap<CallKey, Call>,
    /// Those whose outcome is not known yet.
    open: BTreeSet<CallKey>,
    call_keys: HashMap<CallId, CallKey>,
    /// Events about calls whose ids are not known yet.
    early: Vec<TxEvent>,

    // anchors and reports
    /// Commitments on chain whose block is not known to be settled enough, by that block's number.
    unsettled: BTreeSet<(u64, BatchId)>,
    locating: bool,
    /// The chain as it was seen when the index was asked.
    locate_view: Arc<ChainView>,
    locate_after: Option<(u64, BatchId)>,
    /// The chain and the index as of the last round through `unsettled`.
    located_at: Option<(Option<u64>, Option<u64>)>,
    due: BTreeSet<(Instant, BatchId)>,
    reporting: usize,
    report_backoff: Backoff,
    report_reason: String,
    reported: VecDeque<BatchId>,
    /// Reports that the source will never take.
    closed: HashMap<BatchId, ReportConflict>,

    // what is kept
    kept: HashMap<BatchId, QuarantineEntry>,
    to_record: quarantine::Unrecorded,
    recording: bool,
    record_backoff: Backoff,
    alarms: Alarms,
    /// When a pause inside a stream ends.
    wakes: BTreeSet<(Instant, StreamId)>,
    next_sweep: Option<Instant>,
}

impl Ledger {
    pub(crate) fn new(config: PipelineConfig, start: Start, now: Now) -> Self {
        let mut ledger = Self {
            config,
            chain_id: start.chain_id,
            accounts: BTreeMap::new(),
            term: None,
            view: Arc::new(ChainView::unknown()),
            synced: Synced::default(),
            streams: BTreeMap::new(),
            places: HashMap::new(),
            resting: 0,
            touched: Vec::new(),
            tally: tally::Tally::default(),
            dirty: BTreeSet::new(),
            draining: false,
            listing: 0,
            polling: false,
            next_poll: None,
            poll_backoff: Backoff::default(),
            source: SourceStatus::default(),
            malformed: Vec::new(),
            reading_on: reading_on::ReadingOn::default(),
            shown: HashSet::new(),
            swept: None,
            window: None,
            reported_since_poll: 0,
            heads: Queue::default(),
            lookups: Queue::default(),
            recovered: BTreeSet::new(),
            recovery_ends: None,
            recovery_since: None,
            unproven: VecDeque::new(),
            proving: 0,
            ready: BTreeSet::new(),
            ready_since: None,
            judging: false,
            caution: plans::Caution::default(),
            plan_backoff: Backoff::default(),
            plan_reason: String::new(),
            held_back_since: now.wall,
            bound: HashMap::new(),
            unavailable: None,
            settle_reason: String::new(),
            next_call: 0,
            to_submit: Vec::new(),
            calls: BTreeMap::new(),
            open: BTreeSet::new(),
            call_keys: HashMap::new(),
            early: Vec::new(),
            unsettled: BTreeSet::new(),
            locating: false,
            locate_view: Arc::new(ChainView::unknown()),
            locate_after: None,
            located_at: None,
            due: BTreeSet::new(),
            reporting: 0,
            report_backoff: Backoff::default(),
            report_reason: String::new(),
            reported: VecDeque::new(),
            closed: HashMap::new(),
            kept: start
                .quarantined
                .into_iter()
                .map(|entry| (entry.batch_id, entry))
                .collect(),
            to_record: quarantine::Unrecorded::default(),
            recording: false,
            record_backoff: Backoff::default(),
            alarms: Alarms::default(),
            wakes: BTreeSet::new(),
            next_sweep: None,
        };
        for account in start.accounts {
            ledger.admit(account, Vec::new(), now);
        }
        ledger.expect(start.recovered, now);
        ledger.remember_conflicts(start.conflicts, now);
        ledger
    }

    /// Takes in what happened.
    pub(crate) fn handle(&mut self, event: Event, now: Now) {
        match event {
            Event::Chain(view) => self.chain_moved(view, now),
            Event::Indexed(synced) => self.synced = synced,
            Event::Tx(event) => self.tx_event(event, now),
            Event::Polled { listing, answer } => self.polled(listing, answer, now),
            Event::ReadOn { stream, answer } => self.read_on(stream, answer, now),
            Event::StreamsListed { after, answer } => self.streams_listed(after, answer, now),
            Event::Heads { streams, answer } => self.heads_read(streams, answer, now),
            Event::LookedUp { batches, answer } => self.looked_up(batches, answer, now),
            Event::Proved { commitment, answer } => self.proved(&commitment, answer, now),
            Event::Judged { asked, answer } => self.judged(asked, answer, now),
            Event::Planned { account, asked, answer } => self.planned(account, asked, answer, now),
            Event::Submitted { account, results } => self.submitted(account, results, now),
            Event::Outcomes {
                call,
                inclusion,
                answer,
            } => self.outcomes(call, inclusion, answer, now),
            Event::Located { batches, answer } => self.located(batches, answer, now),
            Event::Reported { batches, answer } => self.report_answered(batches, answer, now),
            Event::Recorded { record, answer } => self.recorded(record, answer, now),
        }
        self.settle_streams(now);
    }

    /// Begins no poll and no call any more; reports that are on their way are finished.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Walks through every stream that changed.
    fn settle_streams(&mut self, now: Now) {
        while !self.dirty.is_empty() {
            while let Some(id) = self.dirty.pop_first() {
                self.walk(id, now);
            }
            self.lay_to_rest();
        }
        if self.ready.is_empty() {
            self.ready_since = None;
        } else {
            self.ready_since.get_or_insert(now.at);
        }
    }

    /// A commitment's stream and its place in it.
    fn place(&self, batch_id: BatchId) -> Option<(StreamId, StreamPosition)> {
        let (stream, sequence_start) = self.places.get(&batch_id)?;
        let position = StreamPosition {
            sequence_start: *sequence_start,
            batch_id,
        };
        Some((**stream, position))
    }

    /// A commitment that is awake; what may rest is to be roused first.
    fn entry(&self, batch_id: BatchId) -> Option<&Entry> {
        let (stream, position) = self.place(batch_id)?;
        self.streams.get(&stream)?.entries.get(&position)
    }

    /// A commitment to be changed; its stream is walked through afterwards.
    fn entry_mut(&mut self, batch_id: BatchId) -> Option<&mut Entry> {
        self.rouse(batch_id);
        let (stream, position) = self.place(batch_id)?;
        self.dirty.insert(stream);
        self.touched.push(batch_id);
        self.streams.get_mut(&stream)?.entries.get_mut(&position)
    }

    /// Walks through one stream: how do its commitments stand, and what must be asked?
    fn walk(&mut self, id: StreamId, now: Now) {
        let standby = !self.leading();
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let findings = stream.walk(&self.calls, now);
        let held_is_gone = stream
            .held
            .as_ref()
            .is_some_and(|held| stream.ready.binary_search(&held.position).is_err());
        if held_is_gone {
            stream.held = None;
        }
        let mut wake = findings.wake;
        let held_until = policy::held_until(stream, now);
        stream::wake(&mut wake, held_until);
        let ready_key = if held_until.is_some() { None } else { ready_key(stream) };
        if stream.ready_key != ready_key {
            if let Some(key) = stream.ready_key.take() {
                self.ready.remove(&key);
            }
            self.ready.extend(ready_key);
            stream.ready_key = ready_key;
        }
        if stream.waits_for_head(standby)
            && let Some(read_at) = stream.read_at
        {
            let due = read_at + self.config.blocked_recheck;
            if due > now.at {
                stream::wake(&mut wake, Some(due));
            } else if stream.reread() {
                self.dirty.insert(id);
            }
        }
        if stream.reading == stream::HeadReading::Needed {
            self.heads.push(id);
        }
        for position in findings.look_up {
            self.lookups.push(position.batch_id);
        }
        for position in findings.prove {
            self.unproven.push_back(position.batch_id);
        }
        if let Some(wake) = wake {
            self.wakes.insert((wake, id));
        }
        self.keep_quarantine(id, now);
        self.count_stages(id);
        self.forget_idle(id);
    }

    /// Forgets a stream of which nothing is in memory; that it exists is remembered.
    fn forget_idle(&mut self, id: StreamId) {
        let idle = self.streams.get(&id).is_some_and(|stream| stream.len() == 0);
        if idle {
            self.streams.remove(&id);
            self.dirty.remove(&id);
        }
    }
}

/// The key under which a stream is in [`Ledger::ready`]: computed from what its last walk found.
fn ready_key(stream: &Stream) -> Option<(Timestamp, StreamId)> {
    let first = stream.ready.first()?;
    let entry = stream.entries.get(first)?;
    Some((entry.commitment.committed_at, stream.id))
}
