//! One stream: its head, its queue, and how each commitment in it stands.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use alloy_primitives::Address;

use set_index::{QuarantineCause, StreamPosition};
use set_types::{Stage, StreamHead, StreamId, Timestamp};

use super::{
    CallKey,
    calls::Call,
    entry::{Entry, Fault, Lookup, Place, Proofs, QUARANTINED, Standing},
    resting::Resting,
    tally::Tally,
};
use crate::clock::Now;

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    /// Where it stands on chain, as read last and advanced by what was seen to be committed.
    pub(super) head: Option<StreamHead>,
    pub(super) reading: HeadReading,
    /// Counts readings of the head.
    pub(super) epoch: u64,
    /// Number of the last listing before the head was read.
    pub(super) read_listing: u64,
    pub(super) read_at: Option<Instant>,
    /// Whether what was found on chain may be undone.
    pub(super) suspect: bool,
    /// What is on its way.
    pub(super) entries: BTreeMap<StreamPosition, Entry>,
    /// What the chain holds and only waits, by its first sequence number.
    pub(super) resting: BTreeMap<u64, Box<Resting>>,
    /// How many of `entries` are in which stage, as of the last walk.
    pub(super) tally: Tally,
    /// Under which key the stream is in [`Ledger::ready`](super::Ledger).
    pub(super) ready_key: Option<(Timestamp, StreamId)>,
    /// Its id, for those who keep many.
    pub(super) shared_id: Arc<StreamId>,
    /// What can go, in order.
    pub(super) ready: Vec<StreamPosition>,
    /// The head that the first of `ready` continues.
    pub(super) ready_head: StreamHead,
    /// At whose nonces its commitments are on their way.
    pub(super) custody: Custody,
    /// What a policy said against it.
    pub(super) held: Option<HeldStream>,
}

/// Whether a stream's head must be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadReading {
    /// It is known.
    Known,
    /// It must be read before anything of the stream can go.
    Needed,
    /// It is being read.
    Running {
        /// Something happened that a reading begun before it cannot show.
        again: bool,
    },
}

/// Which accounts may take a stream's next commitments: only one account's nonces keep them in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Custody {
    /// Any: nothing of it is on its way.
    Anybody,
    /// The one that has something of it on its way.
    Account(Address),
    /// None, until less is on its way: a reorg put back what several accounts had sent.
    Nobody,
}

impl Custody {
    pub(super) fn allows(self, account: Address) -> bool {
        match self {
            Self::Anybody => true,
            Self::Account(holder) => holder == account,
            Self::Nobody => false,
        }
    }

    fn add(&mut self, account: Address) {
        *self = if self.allows(account) {
            Self::Account(account)
        } else {
            Self::Nobody
        };
    }
}

/// What a policy said against a stream's next commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldStream {
    pub(super) position: StreamPosition,
    pub(super) reason: String,
    /// When the policy wants to be asked again.
    pub(super) until: Option<Timestamp>,
    /// Not to be asked before.
    pub(super) next: Instant,
    /// What waited then: commitments and events.
    pub(super) backlog: (u32, u64),
}

/// What the walk over a stream found to be done.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// To be asked of the chain.
    pub(super) look_up: Vec<StreamPosition>,
    /// To be proven by the source.
    pub(super) prove: Vec<StreamPosition>,
    /// When a pause or a recheck ends.
    pub(super) wake: Option<Instant>,
}

impl Stream {
    pub(super) fn new(id: StreamId) -> Self {
        Self {
            id,
            head: None,
            reading: HeadReading::Needed,
            epoch: 0,
            read_listing: 0,
            read_at: None,
            suspect: false,
            entries: BTreeMap::new(),
            resting: BTreeMap::new(),
            tally: Tally::default(),
            ready_key: None,
            shared_id: Arc::new(id),
            ready: Vec::new(),
            ready_head: StreamHead::unopened(id),
            custody: Custody::Anybody,
            held: None,
        }
    }

    /// Takes a commitment out. Emptied, the map would keep room for eleven, some 5 kB a stream.
    pub(super) fn remove_entry(&mut self, position: &StreamPosition) {
        self.entries.remove(position);
        if self.entries.is_empty() {
            self.entries = BTreeMap::new();
        }
    }

    /// How many of its commitments are known.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.resting.len()
    }

    /// How many of its commitments are not on their way yet.
    pub(super) const fn waiting(&self) -> usize {
        let tally = &self.tally;
        tally.count(Stage::Found)
            + tally.count(Stage::Held)
            + tally.count(Stage::Blocked)
            + tally.count(Stage::Quarantined)
    }

    /// The sequence behind which the source is asked for more.
    pub(super) fn listed_until(&self) -> u64 {
        let awake = self
            .entries
            .last_key_value()
            .map(|(position, _)| position.sequence_start);
        let resting = self.resting.last_key_value().map(|(start, _)| *start);
        let committed = self.head.map(|head| head.sequence);
        awake.max(resting).max(committed).unwrap_or(0)
    }

    /// Asks for the head to be read; says whether that is new.
    pub(super) fn reread(&mut self) -> bool {
        match &mut self.reading {
            HeadReading::Known => {
                self.reading = HeadReading::Needed;
                true
            }
            HeadReading::Running { again } => {
                *again = true;
                false
            }
            HeadReading::Needed => false,
        }
    }

    /// The head moved to what this run committed.
    pub(super) fn advance(&mut self, head: StreamHead) {
        if self.head.is_some_and(|known| known.sequence >= head.sequence) {
            return;
        }
        match &mut self.reading {
            // A reading that began before may answer with less.
            HeadReading::Running { again } => *again = true,
            HeadReading::Needed => return,
            HeadReading::Known => {}
        }
        self.head = Some(head);
        for entry in self.entries.values_mut() {
            entry.strikes = 0;
        }
    }

    /// Works out how every waiting commitment stands.
    pub(super) fn walk(&mut self, calls: &BTreeMap<CallKey, Call>, now: Now) -> Findings {
        let mut findings = Findings::default();
        self.ready.clear();
        self.custody = Custody::Anybody;
        let head = match self.reading {
            HeadReading::Known => self.head,
            _ => None,
        };
        let mut walk = Walk {
            head,
            tail: head,
            stop: None,
            epoch: self.epoch,
        };
        let mut reread = false;
        let mut ready_head = None;
        for (position, entry) in &mut self.entries {
            match entry.place {
                Place::Waiting(_) => {}
                Place::Planning(_) | Place::InFlight(_) => {
                    let account = match entry.place {
                        Place::Planning(account) => Some(account),
                        _ => entry.call().and_then(|key| calls.get(&key)).map(|call| call.account),
                    };
                    if let Some(account) = account {
                        self.custody.add(account);
                    }
                    walk.passes(entry);
                    walk.stop_behind_refused(entry);
                    if !self.ready.is_empty() && walk.stop.is_none() {
                        walk.stop = Some("an earlier commitment is being committed anew".to_owned());
                    }
                    continue;
                }
                Place::OnChain(_) | Place::Reported { .. } | Place::Closed { .. } => continue,
            }
            lift_fault(entry, now, &mut findings);
            let standing = walk.judge(entry, now);
            match &standing {
                Standing::Ready => {
                    ready_head = ready_head.or(walk.tail);
                    self.ready.push(*position);
                    walk.tail = Some(entry.commitment.head());
                    walk.stop_behind_refused(entry);
                }
                Standing::LookingUp => {
                    if !matches!(entry.lookup, Lookup::Running(_)) {
                        findings.look_up.push(*position);
                    }
                    walk.stop(entry.asked("is being looked up on chain"), entry);
                }
                Standing::Proving => {
                    if entry.proofs == Proofs::Unchecked {
                        entry.proofs = Proofs::Running;
                        findings.prove.push(*position);
                    }
                    walk.stop(entry.asked("is being checked against the source's proofs"), entry);
                }
                Standing::Paused(_) => {
                    wake(&mut findings.wake, entry.pause.until());
                    walk.stop("failed and is tried again", entry);
                }
                Standing::Quarantined(cause, _) => {
                    reread |= entry.first_seen > self.read_listing && derives_from_head(*cause);
                    let passed = walk
                        .head
                        .is_some_and(|head| entry.commitment.sequence_end <= head.sequence);
                    if !passed || *cause == QuarantineCause::Conflict {
                        walk.stop(QUARANTINED, entry);
                    }
                }
                Standing::Blocked(reason) => {
                    reread |= entry.first_seen > self.read_listing && walk.stop.is_none();
                    if walk.stop.is_none() {
                        walk.stop = Some(reason.clone());
                    }
                }
                Standing::Unknown => {}
            }
            let stands = matches!(
                &entry.place,
                Place::Waiting(before) if *before == standing || before.is_verdict() && standing.is_question()
            );
            if !stands {
                entry.move_to(Place::Waiting(standing), now);
            }
        }
        self.ready_head = ready_head.unwrap_or(StreamHead::unopened(self.id));
        if reread && self.reading == HeadReading::Known {
            self.reading = HeadReading::Needed;
            // What is marked as being proven must be: nothing asks for it again.
            return Findings {
                prove: findings.prove,
                ..self.walk(calls, now)
            };
        }
        findings
    }

    /// Whether the head is worth reading again, because something waits for it to move; on `standby`,
    /// everything waits for somebody else to move it.
    pub(super) fn waits_for_head(&self, standby: bool) -> bool {
        self.reading == HeadReading::Known
            && self.entries.values().any(|entry| match &entry.place {
                Place::Waiting(Standing::Ready) => standby,
                Place::Waiting(Standing::Blocked(_)) => true,
                Place::Waiting(Standing::Quarantined(cause, _)) => {
                    derives_from_head(*cause) || *cause == QuarantineCause::OutOfOrder
                }
                _ => false,
            })
    }
}

/// Whether a quarantine follows from the stream's head alone, and ends with it.
fn derives_from_head(cause: QuarantineCause) -> bool {
    matches!(cause, QuarantineCause::Discontinuous | QuarantineCause::Absent)
}

pub(super) fn wake(earliest: &mut Option<Instant>, candidate: Option<Instant>) {
    *earliest = match (*earliest, candidate) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}

/// Takes back a fault that is to be checked again.
fn lift_fault(entry: &mut Entry, now: Now, findings: &mut Findings) {
    let Some(recheck) = entry.fault.as_ref().and_then(|fault| fault.recheck) else {
        return;
    };
    if recheck > now.at {
        wake(&mut findings.wake, Some(recheck));
        return;
    }
    match entry.fault.take().map(|fault| fault.cause) {
        Some(QuarantineCause::EventsRoot) => entry.proofs = Proofs::Unchecked,
        Some(QuarantineCause::Conflict) => entry.lookup = Lookup::Needed,
        Some(QuarantineCause::Refused) => entry.refused = true,
        _ => {}
    }
}

/// How far a walk has come.
struct Walk {
    /// The head on chain; `None` while it is being read.
    head: Option<StreamHead>,
    /// The head once everything before has been committed.
    tail: Option<StreamHead>,
    /// Why nothing further can go.
    stop: Option<String>,
    epoch: u64,
}

impl Walk {
    fn passes(&mut self, entry: &Entry) {
        if let Some(tail) = &mut self.tail
            && entry.commitment.sequence_end > tail.sequence
        {
            *tail = entry.commitment.head();
        }
    }

    fn stop(&mut self, what: &str, entry: &Entry) {
        if self.stop.is_none() {
            self.stop = Some(format!("waiting for batch {}, which {what}", entry.batch_id()));
        }
    }

    /// What the contract may refuse again takes nothing with it that could only fail behind it.
    fn stop_behind_refused(&mut self, entry: &Entry) {
        if entry.refused {
            self.stop("the contract refused and is asked about again", entry);
        }
    }

    fn judge(&self, entry: &Entry, now: Now) -> Standing {
        let quarantined = |fault: &Fault| Standing::Quarantined(fault.cause, fault.reason.clone());
        if let Some(dispute) = &entry.disputed {
            return Standing::Quarantined(QuarantineCause::Changed, dispute.clone());
        }
        let (Some(head), Some(tail)) = (&self.head, &self.tail) else {
            return entry.fault.as_ref().map_or(Standing::Unknown, quarantined);
        };
        let commitment = &entry.commitment;
        let passed = head.is_opened() && commitment.sequence_start <= head.sequence;
        let asked = entry.lookup == Lookup::Absent(self.epoch);
        let malformed = matches!(&entry.fault, Some(fault) if fault.cause == QuarantineCause::Malformed);
        let settled_conflict = matches!(&entry.fault, Some(fault) if fault.cause == QuarantineCause::Conflict);
        if !malformed && !settled_conflict {
            let must_ask = matches!(entry.lookup, Lookup::Needed | Lookup::Running(_));
            if must_ask || passed && !asked {
                return Standing::LookingUp;
            }
        }
        if let Some(fault) = &entry.fault {
            return quarantined(fault);
        }
        if passed {
            return Standing::Quarantined(
                QuarantineCause::Absent,
                format!(
                    "the stream's head on chain is at sequence {}, past this range, and the chain does not hold this \
                     batch: compare the source's database with the chain",
                    head.sequence
                ),
            );
        }
        if let Some(stop) = &self.stop {
            return Standing::Blocked(stop.clone());
        }
        if !commitment.continues(tail) {
            return self.discontinuity(entry, tail);
        }
        if !entry.pause.is_over(now) {
            return Standing::Paused(entry.pause_reason.clone());
        }
        if entry.proofs != Proofs::Fine {
            return Standing::Proving;
        }
        Standing::Ready
    }

    /// Why a commitment does not continue `tail`.
    fn discontinuity(&self, entry: &Entry, tail: &StreamHead) -> Standing {
        let commitment = &entry.commitment;
        if !tail.is_opened() {
            return Standing::Blocked(
                "waiting for the stream's first commitment: the chain holds none, and the `prev_state_root` of this \
                 one is not zero"
                    .to_owned(),
            );
        }
        let next = tail.sequence.saturating_add(1);
        if commitment.sequence_start > next {
            return Standing::Blocked(format!("waiting for sequence {next}, which the source does not list"));
        }
        if commitment.sequence_start < next {
            return Standing::Blocked(format!(
                "its range overlaps one that is on its way, which ends at sequence {}",
                tail.sequence
            ));
        }
        let reason = format!(
            "`prev_state_root` is {}, but the state root before sequence {next} is {}",
            commitment.prev_state_root, tail.state_root
        );
        if self.head.as_ref() == Some(tail) {
            Standing::Quarantined(QuarantineCause::Discontinuous, reason)
        } else {
            // What is on its way may yet fail; only the chain's own head convicts.
            Standing::Blocked(reason)
        }
    }
}
