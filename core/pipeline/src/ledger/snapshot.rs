//! What readers see.

use std::{collections::BTreeMap, ops::Bound};

use alloy_primitives::B256;
use set_chain::SettlementTag;
use set_index::StreamPosition;
use set_types::{BatchId, PendingCommitment, PendingCursor, Stage};

use super::{
    Ledger,
    entry::{Anchor, Entry, OnChain, Place, ReportStep, Standing},
    stream::Stream,
};
use crate::status::{Hold, HoldKind, PendingFilter, PipelineStatus};

/// Why nothing goes while another process may send.
const STANDBY: &str = "this sidecar stands by, because it does not hold the lease; `set_status` shows who does";

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
            .flat_map(|stream| {
                stream
                    .entries
                    .iter()
                    .map(move |(position, entry)| (stream, position, entry))
            })
            .filter(|(stream, position, _)| behind(stream, position))
            .map(|(stream, _, entry)| (stream, entry, self.stage(stream, entry, holding.as_deref())))
            .filter(|(_, _, (stage, _))| filter.stage.is_none_or(|wanted| wanted == *stage))
            .take(limit)
            .map(|(_, entry, (stage, reason))| self.show(entry, stage, reason))
            .collect()
    }

    /// One commitment.
    pub(crate) fn get(&self, batch_id: BatchId) -> Option<PendingCommitment> {
        let (id, position) = self.places.get(&batch_id)?;
        let stream = self.streams.get(id)?;
        let entry = stream.entries.get(position)?;
        let (stage, reason) = self.stage(stream, entry, self.holding().as_deref());
        Some(self.show(entry, stage, reason))
    }

    /// Everything at a glance.
    pub(crate) fn status(&self) -> PipelineStatus {
        PipelineStatus {
            stages: self.stages(),
            streams: self.streams.len(),
            calls: self.calls.values().filter(|call| call.is_unsettled()).count(),
            holds: self.holds(),
            alarms: self.alarms.list(),
            source: self.source.clone(),
            malformed: self.malformed.clone(),
            leading: self.leading(),
            draining: self.draining,
        }
    }

    fn stages(&self) -> BTreeMap<Stage, usize> {
        let holding = self.holding();
        let mut stages = BTreeMap::new();
        for stream in self.streams.values() {
            for entry in stream.entries.values() {
                *stages
                    .entry(self.stage(stream, entry, holding.as_deref()).0)
                    .or_default() += 1;
            }
        }
        stages
    }

    pub(super) fn show_gauges(&self) {
        let stages = self.stages();
        for stage in [
            Stage::Found,
            Stage::Held,
            Stage::Blocked,
            Stage::Quarantined,
            Stage::Planned,
            Stage::Sent,
            Stage::Included,
            Stage::Safe,
            Stage::Finalized,
            Stage::Reported,
        ] {
            let count = stages.get(&stage).copied().unwrap_or(0);
            metrics::gauge!("set_pipeline_commitments", "stage" => stage_label(stage)).set(count as f64);
        }
        metrics::gauge!("set_pipeline_holds").set(self.holds().len() as f64);
    }

    fn show(&self, entry: &Entry, stage: Stage, reason: Option<String>) -> PendingCommitment {
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
    fn stage(&self, stream: &Stream, entry: &Entry, holding: Option<&str>) -> (Stage, Option<String>) {
        match &entry.place {
            Place::Waiting(standing) => self.waiting_stage(stream, entry, standing, holding),
            Place::Planning(_) => (Stage::Planned, None),
            Place::InFlight(call) => {
                let sent = self.calls.get(call).is_some_and(|call| call.hash.is_some());
                (if sent { Stage::Sent } else { Stage::Planned }, None)
            }
            Place::OnChain(on_chain) => {
                if let Some(dispute) = &entry.disputed {
                    return (Stage::Quarantined, Some(dispute.clone()));
                }
                (settled_stage(on_chain.settled), self.report_reason(on_chain))
            }
            Place::Reported { .. } | Place::Closed { .. } if entry.disputed.is_some() => {
                (Stage::Quarantined, entry.disputed.clone())
            }
            Place::Reported { .. } => (Stage::Reported, None),
            Place::Closed { reason, .. } => (Stage::Included, Some(reason.clone())),
        }
    }

    fn waiting_stage(
        &self,
        stream: &Stream,
        entry: &Entry,
        standing: &Standing,
        holding: Option<&str>,
    ) -> (Stage, Option<String>) {
        match standing {
            Standing::Unknown => {
                let reason = (!self.heads.reason.is_empty() && !self.heads.backoff.is_clear())
                    .then(|| format!("its stream's head cannot be read: {}", self.heads.reason));
                (Stage::Found, reason)
            }
            Standing::LookingUp => (Stage::Found, Some("being looked up on chain".to_owned())),
            Standing::Proving => (
                Stage::Found,
                Some("being checked against the source's inclusion proofs".to_owned()),
            ),
            Standing::Blocked(reason) => (Stage::Blocked, Some(reason.clone())),
            Standing::Paused(reason) => (Stage::Held, Some(reason.clone())),
            Standing::Quarantined(_, reason) => (Stage::Quarantined, Some(reason.clone())),
            Standing::Ready => {
                let held = stream.held.as_ref().filter(|held| held.position <= entry.position());
                if let Some(held) = held {
                    return (Stage::Held, Some(held.reason.clone()));
                }
                match holding {
                    Some(reason) => (Stage::Held, Some(reason.to_owned())),
                    None => (Stage::Found, None),
                }
            }
        }
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
        for account in self.accounts.values() {
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
        if self.calls.values().any(|call| !call.pause.is_clear()) {
            hold(HoldKind::Settlement, &self.settle_reason, self.held_back_since);
        }
        holds
    }
}

impl Entry {
    fn anchor(&self) -> Option<&Anchor> {
        match &self.place {
            Place::OnChain(on_chain) => on_chain.anchor.as_ref(),
            Place::Reported { anchor, .. } | Place::Closed { anchor, .. } => Some(anchor),
            _ => None,
        }
    }
}

const fn settled_stage(tag: Option<SettlementTag>) -> Stage {
    match tag {
        None | Some(SettlementTag::Included) => Stage::Included,
        Some(SettlementTag::Safe) => Stage::Safe,
        Some(SettlementTag::Finalized) => Stage::Finalized,
    }
}

const fn stage_label(stage: Stage) -> &'static str {
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
