//! Streams that the registry's owner bound to one account: the contract says so when another sends.
//!
//! Where that account sends here, the stream is planned for it alone. Where it does not, the stream waits with
//! an alarm that names it, and one commitment tries now and then: whether the stream is still bound is seen
//! only by sending, which costs gas.

use alloy_primitives::Address;
use set_types::{BatchId, StreamId};

use super::{CallKey, Ledger, stream::Stream};
use crate::{clock::Now, status::AlarmKind};

impl Ledger {
    /// Whether a stream's next commitments may be planned for an account.
    pub(super) fn may_carry(&self, stream: &Stream, account: Address) -> bool {
        let bound = self.bound.get(&stream.id).filter(|bound| self.sends_from(**bound));
        stream.custody.allows(account) && bound.is_none_or(|bound| *bound == account)
    }

    fn sends_from(&self, account: Address) -> bool {
        let account = self.accounts.get(&account);
        account.is_some_and(super::accounts::Account::is_active)
    }

    /// The contract takes a commitment's stream from `account` alone.
    pub(super) fn bound_to(&mut self, batch_id: BatchId, account: Address, reason: &str, now: Now) {
        // What comes behind it waits for it.
        let is_first = !self.has_open_predecessor(batch_id);
        let sends = self.sends_from(account);
        let (first, longest) = self.refusal_pauses();
        let Some(entry) = self.entry_mut(batch_id) else {
            return;
        };
        entry.requeue(false, now);
        let stream = entry.commitment.stream();
        if is_first && !sends {
            // It goes alone the next time, too.
            entry.refused = true;
            entry.pause.fail(now, first, longest);
            entry.pause_reason = format!("{reason}, which sends nothing here");
            let message = format!(
                "the registry takes these streams only from accounts that send nothing here, the newest from {account}: \
                 name its signer in `sidecar.signers`, or have the registry's owner call setStreamSequencer; they wait, and \
                 are tried again"
            );
            self.alarms
                .raise(AlarmKind::BoundElsewhere, Some(batch_id), &message, now);
        }
        if self.bound.insert(stream, account) != Some(account) {
            tracing::warn!(%stream, %account, sends_here = sends, "the registry takes the stream from one account only");
        }
    }

    /// A call committed something of a stream: it is bound to nobody but the call's account.
    pub(super) fn took_stream(&mut self, key: CallKey, stream: StreamId) {
        let account = self.calls.get(&key).map(|call| call.account);
        if self.bound.get(&stream).copied() != account {
            self.bound.remove(&stream);
        }
    }

    /// An account sends from now on: what waits for it waits no more.
    pub(super) fn release_bound(&mut self, account: Address) {
        let waiting = self.bound.iter().filter(|(_, bound)| **bound == account);
        let streams: Vec<StreamId> = waiting.map(|(stream, _)| *stream).collect();
        for id in streams {
            let Some(stream) = self.streams.get_mut(&id) else {
                continue;
            };
            for entry in stream.entries.values_mut().filter(|entry| entry.refused) {
                entry.pause.clear();
                self.alarms.clear_for(AlarmKind::BoundElsewhere, entry.batch_id());
            }
            self.dirty.insert(id);
        }
    }
}
