//! What readers see.

use std::{
    iter,
    ops::{Bound, Deref},
};

use alloy_primitives::B256;
use set_chain::SettlementTag;
use set_index::StreamPosition;
use set_types::{BatchId, PendingCommitment, PendingCursor, Stage, StreamId};

use super::{
    CallKey, Ledger,
    entry::{Anchor, Entry, OnChain, Place, ReportStep, Standing},
    resting::Resting,
    stream::Stream,
    tally::Tally,
};
use crate::status::{Hold, HoldKind, PendingFilter, PipelineStatus};

/// Why nothing goes while another process may send.
const STANDBY: &str = "this sidecar stands by, because it does not hold the lease; `set_status` shows who does";

/// A commitment to be shown.
enum Shown<'a> {
    Awake(&'a Entry),
    Resting(Box<Entry>),
}

impl Deref for Shown<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        match self {
            Self::Awake(entry) => entry,
            Self::Resting(entry) => entry,
        }
    }
}

/// A stream's commitments by sequence, whether or not they rest.
fn in_order(stream: &Stream) -> impl Iterator<Item = (StreamPosition, Shown<'_>)> {
    let mut awake = stream.entries.iter().peekable();
    let mut resting = stream
        .resting
        .iter()
        .map(|(start, resting)| (*start, &**resting))
        .peekable();
    iter::from_fn(move || {
        let position = |(start, resting): &(u64, &Resting)| StreamPosition {
            sequence_start: *start,
            batch_id: resting.batch_id,
        };
        let first = match (awake.peek(), resting.peek()) {
            (Some((awake, _)), Some(rests)) => **awake <= position(rests),
            (awake, _) => awake.is_some(),
        };
        if first {
            return awake.next().map(|(position, entry)| (*position, Shown::Awake(entry)));
        }
        let next = resting.next()?;
        let entry = next.1.entry(stream.id, next.0);
        Some((position(&next), Shown::Resting(Box::new(entry))))
    })
}

impl Ledger {
    /// Commitments behind `after`, in order of stream and sequence, at most `limit`.
    pub(crate) fn pending(
        &self,
        filter: PendingFilter,
        after: Option<PendingCursor>,
        limit: usize,
    ) -> Vec<PendingCommitment> {
        let from = match (filter.stream, after) {
            (Some(stream), Some(after)) if after.stream < stream => Bound::Included(stream),
            (_, Some(after)) => Bound::Included(after.stream),
            (Some(stream), None) => Bound::Included(stream),
            (None, None) => Bound::Unbounded,
        };
        let holding = self.holding();
        let behind = |stream: &Stream, position: &StreamPosition| {
            after.is_none_or(|after| {
                (stream.id, position.sequence_start, position.batch_id)
                    > (after.stream, after.sequence_start, after.batch_id)
            })
        };
        self.streams
            .range((from, Bound::Unbounded))
            .map(|(_, stream)| stream)
            .take_while(|stream| filter.stream.is_none_or(|id| id == stream.id))
            .flat_map(|stream| in_order(stream).map(move |(position, entry)| (stream, position, entry)))
            .filter(|(stream, position, _)| behind(stream, position))
            .map(|(stream, _, entry)| self.show(stream, &entry, holding.as_deref()))
            .filter(|pending| filter.stage.is_none_or(|wanted| wanted == pending.stage))
            .take(limit)
            .collect()
    }

    /// One commitment.
    pub(crate) fn get(&self, batch_id: BatchId) -> Option<PendingCommitment> {
        let (id, position) = self.place(batch_id)?;
        let stream = self.streams.get(&id)?;
        let entry = match stream.entries.get(&position) {
            Some(entry) => Shown::Awake(entry),
            None => {
                let start = position.sequence_start;
                Shown::Resting(Box::new(stream.resting(start, batch_id)?.entry(id, start)))
            }
        };
        Some(self.show(stream, &entry, self.holding().as_deref()))
    }

    /// Everything at a glance.
    pub(crate) fn status(&self) -> PipelineStatus {
        PipelineStatus {
            stages: self.stages().present(),
            streams: self.streams.len(),
            calls: self.open.len(),
            holds: self.holds(),
            alarms: self.alarms.list(),
            window: self.window.clone(),
            source: self.source.clone(),
            malformed: self.malformed.clone(),
            leading: self.leading(),
            draining: self.draining,
        }
    }

    fn stages(&self) -> Tally {
        let mut tally = self.tally;
        if self.holding().is_some() {
            tally.shift(tally.ready, Stage::Found, Stage::Held);
        }
        let sent = |key: &CallKey| {
            let call = self.calls.get(key).filter(|call| call.hash.is_some())?;
            let batches = call.candidate.batches.iter();
            let of_call = batches.filter(|batch_id| {
                matches!(self.entry(**batch_id).map(|entry| &entry.place), Some(Place::InFlight(of)) if of == key)
            });
            Some(of_call.count())
        };
        let sent = self.open.iter().filter_map(sent).sum();
        tally.shift(sent, Stage::Planned, Stage::Sent);
        tally
    }

    /// Counts a stream's commitments anew, after a walk.
    pub(super) fn count_stages(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        let mut tally = Tally::default();
        for entry in stream.entries.values() {
            let stage = entry.stage(stream);
            tally.add(stage);
            let ready = stage == Stage::Found && matches!(entry.place, Place::Waiting(Standing::Ready));
            tally.ready += usize::from(ready);
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            self.tally.replace(&stream.tally, &tally);
            stream.tally = tally;
        }
    }

    pub(super) fn show_gauges(&self) {
        for (stage, count) in self.stages().all() {
            metrics::gauge!("set_pipeline_commitments", "stage" => stage_label(stage)).set(count as f64);
        }
        metrics::gauge!("set_pipeline_holds").set(self.holds().len() as f64);
    }

    fn show(&self, stream: &Stream, entry: &Entry, holding: Option<&str>) -> PendingCommitment {
        let (stage, reason) = self.stage(stream, entry, holding);
        PendingCommitment {
            commitment: (*entry.commitment).clone(),
            stage,
            reason,
            since: entry.since,
            tx_hash: self.tx_hash(entry),
            block_number: entry.anchor().map(|anchor| anchor.block.number),
        }
    }

    fn tx_hash(&self, entry: &Entry) -> Option<B256> {
        match &entry.place {
            Place::InFlight(call) => self.calls.get(call)?.hash,
            _ => entry.anchor().map(|anchor| anchor.tx_hash),
        }
    }

    /// Where a commitment stands, and what hinders it.
    pub(super) fn stage(&self, stream: &Stream, entry: &Entry, holding: Option<&str>) -> (Stage, Option<String>) {
        let reason = match &entry.place {
            Place::Waiting(standing) => return self.waiting_stage(stream, entry, standing, holding),
            Place::InFlight(call) if self.calls.get(call).is_some_and(|call| call.hash.is_some()) => {
                return (Stage::Sent, None);
            }
            Place::Planning(_) | Place::InFlight(_) => None,
            _ if entry.disputed.is_some() => entry.disputed.clone(),
            Place::OnChain(on_chain) => self.report_reason(on_chain),
            Place::Reported { .. } => None,
            Place::Closed { reason, .. } => Some(reason.clone()),
        };
        (entry.stage(stream), reason)
    }

    fn waiting_stage(
        &self,
        stream: &Stream,
        entry: &Entry,
        standing: &Standing,
        holding: Option<&str>,
    ) -> (Stage, Option<String>) {
        let reason = match standing {
            Standing::Unknown => (!self.heads.reason.is_empty() && !self.heads.backoff.is_clear())
                .then(|| format!("its stream's head cannot be read: {}", self.heads.reason)),
            Standing::LookingUp => Some("being looked up on chain".to_owned()),
            Standing::Proving => Some("being checked against the source's inclusion proofs".to_owned()),
            Standing::Blocked(reason) | Standing::Paused(reason) | Standing::Quarantined(_, reason) => {
                Some(reason.clone())
            }
            Standing::Ready => match (entry.held_by(stream), holding) {
                (Some(reason), _) | (None, Some(reason)) => return (Stage::Held, Some(reason.to_owned())),
                (None, None) => None,
            },
        };
        (entry.stage(stream), reason)
    }

    fn report_reason(&self, on_chain: &OnChain) -> Option<String> {
        if on_chain.anchor.is_none() {
            return Some("the chain holds it; the index has not found its transaction yet".to_owned());
        }
        match on_chain.report {
            ReportStep::NotYet => Some(format!("is reported once its block is {}", self.config.report_at)),
            ReportStep::Due(_) | ReportStep::Running => on_chain.reason.clone(),
        }
    }

    /// Why nothing is sent at present.
    fn holding(&self) -> Option<String> {
        if !self.leading() {
            return Some(STANDBY.to_owned());
        }
        let mut active = self.accounts.values().filter(|account| account.is_active()).peekable();
        if active.peek().is_none() {
            return Some("every sending account is being retired".to_owned());
        }
        let nobody_may = active.all(|account| account.not_authorised.is_some());
        let hold = self.holds().into_iter().find(|hold| match hold.kind {
            HoldKind::Reports | HoldKind::Settlement => false,
            HoldKind::Account => nobody_may,
            _ => true,
        })?;
        Some(hold.reason)
    }

    /// What keeps everything back.
    fn holds(&self) -> Vec<Hold> {
        let mut holds = Vec::new();
        let mut hold = |kind, reason: &str, since| {
            holds.push(Hold {
                kind,
                reason: reason.to_owned(),
                since,
            });
        };
        if !self.view.reachable {
            let reason = self.view.error.as_deref().unwrap_or("the chain cannot be reached");
            hold(HoldKind::Chain, reason, self.view.updated);
        }
        if let Some(since) = self.recovery_since.filter(|_| self.recovery_ends.is_some()) {
            let reason = format!(
                "{} transactions of the run before are not resolved yet",
                self.recovered.len()
            );
            hold(HoldKind::Recovery, &reason, since);
        }
        if let Some(unavailable) = &self.unavailable {
            hold(HoldKind::Contract, &unavailable.reason, unavailable.since);
        }
        for account in self.accounts.values().filter(|account| account.is_active()) {
            if let Some(refused) = &account.not_authorised {
                hold(HoldKind::Account, &refused.reason, refused.since);
            }
        }
        for (backoff, kind, reason) in [
            (&self.plan_backoff, HoldKind::Submitter, &self.plan_reason),
            (&self.heads.backoff, HoldKind::Heads, &self.heads.reason),
            (&self.lookups.backoff, HoldKind::Heads, &self.lookups.reason),
            (&self.report_backoff, HoldKind::Reports, &self.report_reason),
        ] {
            if !backoff.is_clear() {
                hold(kind, reason, self.held_back_since);
            }
        }
        if self.open_calls().any(|call| !call.pause.is_clear()) {
            hold(HoldKind::Settlement, &self.settle_reason, self.held_back_since);
        }
        holds
    }
}

impl Entry {
    /// Where it stands, as far as its stream tells: what holds everything back makes `Found` to `Held`, and a
    /// sent call `Planned` to `Sent`.
    pub(super) fn stage(&self, stream: &Stream) -> Stage {
        match &self.place {
            Place::Waiting(Standing::Ready) if self.held_by(stream).is_some() => Stage::Held,
            Place::Waiting(Standing::Unknown | Standing::LookingUp | Standing::Proving | Standing::Ready) => {
                Stage::Found
            }
            Place::Waiting(Standing::Blocked(_)) => Stage::Blocked,
            Place::Waiting(Standing::Paused(_)) => Stage::Held,
            Place::Waiting(Standing::Quarantined(..)) => Stage::Quarantined,
            Place::Planning(_) | Place::InFlight(_) => Stage::Planned,
            _ if self.disputed.is_some() => Stage::Quarantined,
            Place::OnChain(on_chain) => settled_stage(on_chain.settled),
            Place::Reported { .. } => Stage::Reported,
            Place::Closed { .. } => Stage::Included,
        }
    }

    /// What a policy said against it, or against one before it in its stream.
    fn held_by<'a>(&self, stream: &'a Stream) -> Option<&'a str> {
        let held = stream.held.as_ref().filter(|held| held.position <= self.position());
        held.map(|held| held.reason.as_str())
    }

    fn anchor(&self) -> Option<&Anchor> {
        match &self.place {
            Place::OnChain(on_chain) => on_chain.anchor.as_ref(),
            Place::Reported { anchor, .. } | Place::Closed { anchor, .. } => Some(anchor),
            _ => None,
        }
    }
}

pub(super) const fn settled_stage(tag: Option<SettlementTag>) -> Stage {
    match tag {
        None | Some(SettlementTag::Included) => Stage::Included,
        Some(SettlementTag::Safe) => Stage::Safe,
        Some(SettlementTag::Finalized) => Stage::Finalized,
    }
}

pub(super) const fn stage_label(stage: Stage) -> &'static str {
    match stage {
        Stage::Found => "found",
        Stage::Held => "held",
        Stage::Blocked => "blocked",
        Stage::Quarantined => "quarantined",
        Stage::Planned => "planned",
        Stage::Sent => "sent",
        Stage::Included => "included",
        Stage::Safe => "safe",
        Stage::Finalized => "finalized",
        Stage::Reported => "reported",
    }
}
