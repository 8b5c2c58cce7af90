//! Commitments that the chain holds, until their block is settled enough to report.

use set_chain::SettlementTag;
use set_index::{Anchored, QuarantineCause, ReportConflict};
use set_types::{BatchId, StreamHead};

use super::{
    Ledger,
    calls::Call,
    entry::{Anchor, Fault, Lookup, OnChain, Place, ReportStep},
    work::Failure,
};
use crate::{
    clock::{Backoff, Now},
    status::AlarmKind,
};

/// What an alarm says after a reorg undid what had been reported.
pub(super) const REORG_AFTER_REPORT: &str = "a reorg undid commitments after they were reported, which no report can \
    take back; they are committed again. If they end up in other transactions, correct the source's records by hand";

/// What an alarm says of reports that the source will never take.
const REPORT_CONFLICT: &str = "the source does not record for these commitments what the chain holds: compare its \
    records with the chain, and correct them by hand";

/// What an alarm says of commitments whose transaction nobody knows.
const UNLOCATED: &str = "the chain holds these commitments, but neither the index nor a node says in which transactions: \
    nodes have dropped their logs and blocks. They cannot be reported until one is named in `chain.rpc_urls` that has \
    kept them; they are looked for ever more seldom";

/// Searches in vain before that alarm.
const UNLOCATED_ALARM: u32 = 3;

impl Ledger {
    /// A waiting commitment turned out to be on chain; the index must say where.
    pub(super) fn found_on_chain(&mut self, batch_id: BatchId, now: Now) {
        self.place_on_chain(batch_id, None, None, now);
    }

    /// Notes that the chain holds a commitment.
    pub(super) fn place_on_chain(
        &mut self,
        batch_id: BatchId,
        anchor: Option<Anchor>,
        settled: Option<SettlementTag>,
        now: Now,
    ) {
        self.leave_chain(batch_id);
        for kind in [AlarmKind::ChainConflict, AlarmKind::BoundElsewhere] {
            self.alarms.clear_for(kind, batch_id);
        }
        if anchor.is_some() {
            self.alarms.clear_for(AlarmKind::Unlocated, batch_id);
        }
        let watched = self.is_watched(anchor);
        let closed = self.closed.get(&batch_id).map(|conflict| conflict.reason.clone());
        let report_at = self.config.report_at;
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        entry.fault = None;
        entry.lookup = Lookup::Unasked;
        entry.strikes = 0;
        entry.pause.clear();
        let Some(anchor) = anchor else {
            entry.move_to(Place::OnChain(OnChain::new(None, None, now)), now);
            self.unsettled.insert((0, batch_id));
            return;
        };
        entry.unlocated.clear();
        if let Some(reason) = closed {
            entry.move_to(Place::Closed { anchor, reason }, now);
            return;
        }
        match (entry.recorded, entry.claimed) {
            (Some(recorded), _) if recorded == anchor.tx_hash => {
                entry.move_to(Place::Reported { anchor, at: now.at }, now);
                self.reported.push_back(batch_id);
                self.alarms.clear_for(AlarmKind::ReorgAfterReport, batch_id);
                return;
            }
            (_, Some(claimed)) if claimed != anchor.tx_hash => {
                let reason = format!(
                    "it was reported in transaction {claimed}, which a reorg undid; the chain now holds it in {}",
                    anchor.tx_hash
                );
                entry.move_to(
                    Place::Closed {
                        anchor,
                        reason: reason.clone(),
                    },
                    now,
                );
                self.close(batch_id, anchor.tx_hash, Some(claimed), reason, now);
                // From now on the conflict names it.
                self.alarms.clear_for(AlarmKind::ReorgAfterReport, batch_id);
                return;
            }
            _ => {}
        }
        let due = settled.is_some_and(|tag| tag >= report_at);
        let mut on_chain = OnChain::new(Some(anchor), settled, now);
        if due {
            on_chain.report = ReportStep::Due(now.at);
            self.due.insert((now.at, batch_id));
        } else if !watched {
            // Of the others the transaction manager will say so.
            self.unsettled.insert((anchor.block.number, batch_id));
        }
        if let Some(entry) = self.entry_mut(batch_id) {
            entry.move_to(Place::OnChain(on_chain), now);
        }
    }

    /// Takes a commitment out of every list that waits for its settlement or report.
    pub(super) fn leave_chain(&mut self, batch_id: BatchId) {
        self.rouse(batch_id);
        let Some(entry) = self.entry(batch_id) else {
            return;
        };
        let Place::OnChain(on_chain) = &entry.place else {
            return;
        };
        let block = on_chain.anchor.map_or(0, |anchor| anchor.block.number);
        let due = match on_chain.report {
            ReportStep::Due(at) => Some(at),
            _ => None,
        };
        self.unsettled.remove(&(block, batch_id));
        if let Some(at) = due {
            self.due.remove(&(at, batch_id));
        }
    }

    /// A commitment's block is settled at least at `tag`.
    pub(super) fn settled_at(&mut self, batch_id: BatchId, tag: SettlementTag, now: Now) {
        let report_at = self.config.report_at;
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        let Place::OnChain(on_chain) = &mut entry.place else {
            return;
        };
        if on_chain.settled.is_none_or(|known| known < tag) {
            on_chain.settled = Some(tag);
            entry.since = now.wall;
        }
        let Place::OnChain(on_chain) = &mut entry.place else {
            return;
        };
        if tag >= report_at && on_chain.report == ReportStep::NotYet {
            on_chain.report = ReportStep::Due(now.at);
            let block = on_chain.anchor.map_or(0, |anchor| anchor.block.number);
            self.unsettled.remove(&(block, batch_id));
            self.due.insert((now.at, batch_id));
        }
    }

    /// After a reorg, or a head that went back: what was found on chain must be found again.
    pub(super) fn recheck_anchors(&mut self, head: StreamHead, now: Now) {
        let Some(stream) = self.streams.get(&head.stream) else {
            return;
        };
        let mut again = Vec::new();
        for entry in stream.entries.values() {
            let above = entry.commitment.sequence_end > head.sequence;
            match &entry.place {
                Place::OnChain(on_chain) if !self.is_watched(on_chain.anchor) => {
                    again.push((entry.batch_id(), false));
                }
                Place::Reported { anchor, .. } if above && !self.is_watched(Some(*anchor)) => {
                    again.push((entry.batch_id(), true))
                }
                _ => {}
            }
        }
        for resting in stream.resting.values() {
            let reported = resting.reported().is_some();
            let concerned = !reported || resting.sequence_end() > head.sequence;
            if concerned && !self.is_watched(Some(*resting.anchor)) {
                again.push((resting.batch_id, reported));
            }
        }
        for (batch_id, reported) in again {
            self.leave_chain(batch_id);
            if reported {
                self.alarms
                    .raise(AlarmKind::ReorgAfterReport, Some(batch_id), REORG_AFTER_REPORT, now);
            }
            if let Some(entry) = self.entry_mut(batch_id) {
                entry.requeue(true, now);
            }
        }
    }

    /// Whether the index and the view speak of the same chain: the index stands at the head of the view or
    /// at its parent. Only then do the view's tags hold for what the index says.
    fn index_agrees(&self) -> bool {
        let (Some(followed), Some(head)) = (self.synced.block, self.view.latest) else {
            return false;
        };
        followed.hash == head.block.hash || followed.hash == head.parent_hash
    }

    /// Commitments whose place on chain is worth asking the index now.
    pub(super) fn batches_to_locate(&mut self, limit: usize, now: Now) -> Vec<BatchId> {
        if self.locating || self.unsettled.is_empty() || !self.index_agrees() {
            return Vec::new();
        }
        let tag = self.view.settled(self.config.report_at).map(|block| block.number);
        let followed = self.synced.block.map(|block| block.number);
        let mark = (tag, followed);
        if self.located_at == Some(mark) {
            return Vec::new();
        }
        self.locate_view = self.view.clone();
        // What is not found yet stands first; then what lies below the tag.
        let last = tag.map_or((0, BatchId::from(alloy_primitives::B256::repeat_byte(0xff))), |block| {
            (block, BatchId::from(alloy_primitives::B256::repeat_byte(0xff)))
        });
        let from = match self.locate_after {
            Some(after) => std::ops::Bound::Excluded(after),
            None => std::ops::Bound::Unbounded,
        };
        let found: Vec<(u64, BatchId)> = if self.locate_after.is_some_and(|after| after >= last) {
            Vec::new()
        } else {
            self.unsettled
                .range((from, std::ops::Bound::Included(last)))
                .take(limit)
                .copied()
                .collect()
        };
        if found.len() < limit {
            self.locate_after = None;
            self.located_at = Some(mark);
        } else {
            self.locate_after = found.last().copied();
        }
        let batches = found.into_iter().map(|(_, batch_id)| batch_id);
        let due = |batch_id: &BatchId| self.entry(*batch_id).is_none_or(|entry| entry.unlocated.is_over(now));
        let batches: Vec<_> = batches.filter(due).collect();
        self.locating = !batches.is_empty();
        batches
    }

    /// The index answered where commitments are, or did not.
    pub(super) fn located(&mut self, batches: Vec<BatchId>, answer: Result<Vec<Option<Anchored>>, Failure>, now: Now) {
        self.locating = false;
        match answer {
            Ok(found) => {
                for (batch_id, anchored) in batches.into_iter().zip(found) {
                    match anchored {
                        Some(anchored) => self.located_one(batch_id, &anchored, now),
                        None => self.not_located(batch_id, now),
                    }
                }
            }
            Err(failure) => tracing::warn!(error = %failure.message, "the index cannot be read"),
        }
    }

    /// The index, which has followed the chain to its head, does not know a commitment. Either it came to
    /// the chain just now, or a reorg took it away: after a while the chain is asked again. Or nodes have
    /// dropped its logs and its block: then only an older node knows, and it is asked ever more seldom.
    fn not_located(&mut self, batch_id: BatchId, now: Now) {
        let (patience, longest) = (self.config.blocked_recheck, self.config.quarantine_recheck);
        self.rouse(batch_id);
        let Some(entry) = self.entry(batch_id) else {
            return;
        };
        let Place::OnChain(on_chain) = &entry.place else {
            return;
        };
        if self.is_watched(on_chain.anchor) || now.at.saturating_duration_since(on_chain.seen) < patience {
            return;
        }
        let stream = entry.commitment.stream();
        self.leave_chain(batch_id);
        if let Some(entry) = self.entry_mut(batch_id) {
            entry.requeue(true, now);
            entry.unlocated.fail(now, patience, longest.max(patience));
            if entry.unlocated.failures() >= UNLOCATED_ALARM {
                self.alarms.raise(AlarmKind::Unlocated, Some(batch_id), UNLOCATED, now);
            }
        }
        self.reread(stream, false);
    }

    /// A commitment was located, or is not on chain after all.
    pub(super) fn end_search(&mut self, batch_id: BatchId) {
        self.alarms.clear_for(AlarmKind::Unlocated, batch_id);
        if let Some(entry) = self.entry_mut(batch_id) {
            entry.unlocated.clear();
        }
    }

    /// Whether the transaction manager will say so if this anchor is undone.
    fn is_watched(&self, anchor: Option<Anchor>) -> bool {
        anchor
            .and_then(|anchor| anchor.call)
            .and_then(|call| self.calls.get(&call))
            .is_some_and(Call::is_watched)
    }

    fn located_one(&mut self, batch_id: BatchId, anchored: &Anchored, now: Now) {
        // By the view as it was when the index was asked: what was settled then has not changed since.
        let settled = anchored.settlement(&self.locate_view);
        let recheck = now.at + self.config.quarantine_recheck;
        self.rouse(batch_id);
        let Some(entry) = self.entry(batch_id) else {
            return;
        };
        let Place::OnChain(on_chain) = &entry.place else {
            return;
        };
        if anchored.stream_key != entry.commitment.stream().key() {
            self.leave_chain(batch_id);
            if let Some(entry) = self.entry_mut(batch_id) {
                entry.requeue(false, now);
            }
            let held = format!("under the stream with key {}", anchored.stream_key);
            self.conflicts_with_chain(batch_id, &held, recheck, now);
            return;
        }
        let known = on_chain
            .anchor
            .is_some_and(|anchor| anchor.tx_hash == anchored.tx_hash && anchor.block.hash == anchored.block.hash);
        if known {
            if let Some(entry) = self.entry_mut(batch_id)
                && let Place::OnChain(on_chain) = &mut entry.place
            {
                on_chain.seen = now.at;
            }
            if let Some(tag) = settled {
                self.settled_at(batch_id, tag, now);
            }
            return;
        }
        if self.is_watched(on_chain.anchor) {
            // The transaction manager follows it; its word comes with the next event.
            return;
        }
        let anchor = Anchor {
            tx_hash: anchored.tx_hash,
            block: anchored.block,
            gas_used: entry
                .moved
                .filter(|(hash, _)| *hash == anchored.tx_hash)
                .map(|(_, gas)| gas),
            call: None,
        };
        self.place_on_chain(batch_id, Some(anchor), settled, now);
    }

    /// The source will never take the report of a commitment.
    pub(super) fn close(
        &mut self,
        batch_id: BatchId,
        tx_hash: alloy_primitives::B256,
        recorded: Option<alloy_primitives::B256>,
        reason: String,
        now: Now,
    ) {
        let conflict = ReportConflict {
            batch_id,
            tx_hash,
            recorded,
            reason,
            since: now.wall,
            dismissed: false,
        };
        self.closed.insert(batch_id, conflict.clone());
        self.to_record.conflict(conflict);
        self.alarms
            .raise(AlarmKind::ReportConflict, Some(batch_id), REPORT_CONFLICT, now);
    }

    /// Recalls which reports the source will never take.
    pub(super) fn remember_conflicts(&mut self, conflicts: Vec<ReportConflict>, now: Now) {
        for conflict in conflicts {
            if !conflict.dismissed {
                self.alarms
                    .raise(AlarmKind::ReportConflict, Some(conflict.batch_id), REPORT_CONFLICT, now);
            }
            self.closed.insert(conflict.batch_id, conflict);
        }
    }

    /// The operator has dealt with a conflict: it raises no alarm any more, and is never reported again while
    /// the source lists it. Says whether there was one.
    pub(crate) fn dismiss_conflict(&mut self, batch_id: BatchId) -> bool {
        let Some(conflict) = self.closed.get_mut(&batch_id) else {
            return false;
        };
        conflict.dismissed = true;
        self.to_record.conflict(conflict.clone());
        for kind in [
            AlarmKind::ReportConflict,
            AlarmKind::ReportRefused,
            AlarmKind::ReorgAfterReport,
        ] {
            self.alarms.clear_for(kind, batch_id);
        }
        true
    }

    /// Forgets dismissed conflicts that a list which shows everything does not show.
    pub(super) fn forget_dismissed(&mut self) {
        let places = &self.places;
        let gone = self
            .closed
            .extract_if(|batch_id, conflict| conflict.dismissed && !places.contains_key(batch_id))
            .map(|(batch_id, _)| batch_id);
        self.to_record.forget_conflicts(gone);
    }

    /// Quarantines a waiting commitment for a reason that looking at heads cannot mend.
    pub(super) fn quarantine(
        &mut self,
        batch_id: BatchId,
        cause: QuarantineCause,
        reason: String,
        recheck: Option<std::time::Instant>,
        now: Now,
    ) {
        self.leave_chain(batch_id);
        if let Some(entry) = self.entry_mut(batch_id) {
            entry.requeue(false, now);
            entry.lookup = Lookup::Unasked;
            entry.fault = Some(Fault { cause, reason, recheck });
        }
    }
}

impl OnChain {
    fn new(anchor: Option<Anchor>, settled: Option<SettlementTag>, now: Now) -> Self {
        Self {
            anchor,
            seen: now.at,
            settled,
            report: ReportStep::NotYet,
            backoff: Backoff::default(),
            reason: None,
        }
    }
}
