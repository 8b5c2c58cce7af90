//! What to do next, in order of importance, and when to look again.

use std::time::Instant;

use super::{Ledger, Room, work::Work};
use crate::clock::Now;

/// Streams in one reading of heads, and ids in one lookup.
const CHAIN_READ: usize = 500;
/// Ids in one question to the index.
const INDEX_READ: usize = 2_000;

impl Ledger {
    /// What is to be done now, with the `rooms` that the accounts have; `term` is the lease's while this
    /// process may send.
    pub(crate) fn next_work(&mut self, rooms: &[Room], term: Option<u64>, now: Now) -> Vec<Work> {
        self.look_around(rooms, term);
        self.tick(now);
        let mut work = Vec::new();
        if !self.recording && self.record_backoff.is_over(now) && !self.to_record.is_empty() {
            self.recording = true;
            work.push(Work::Record(self.to_record.take()));
        }
        if self.poll_is_due(now) {
            self.listing += 1;
            self.polling = true;
            self.reported_since_poll = 0;
            // A little early, so that polls and blocks keep no phase in which each poll just misses a block.
            self.next_poll = Some(now.at + self.config.poll_interval * 15 / 16);
            work.push(Work::Poll {
                listing: self.listing,
                limit: self.config.poll_limit,
            });
        }
        while !self.draining && self.reporting < self.config.report_concurrency && self.report_backoff.is_over(now) {
            let receipts = self.receipts_due(now);
            if receipts.is_empty() {
                break;
            }
            self.reporting += 1;
            work.push(Work::Report { receipts });
        }
        while let Some((call, inclusion, request)) = self.call_to_settle(now) {
            work.push(Work::Settle {
                call,
                inclusion,
                request,
            });
        }
        while let Some((account, calls)) = self.calls_to_submit() {
            work.push(Work::Submit { account, calls });
        }
        if self.draining {
            self.settle_streams(now);
            return work;
        }
        self.read_chain(&mut work, now);
        self.read_on_streams(&mut work, now);
        self.prove(&mut work, now);
        self.settle_streams(now);
        self.judge_and_plan(&mut work, rooms, now);
        self.settle_streams(now);
        work
    }

    /// Asks the policies about what could go; once all of it is judged, has it planned.
    fn judge_and_plan(&mut self, work: &mut Vec<Work>, rooms: &[Room], now: Now) {
        let free = self.free_accounts(rooms, now);
        let subjects = self.subjects(&free, now);
        if !subjects.is_empty() {
            work.push(Work::Judge { subjects });
            return;
        }
        for room in free {
            if let Some(selection) = self.select(&room, now) {
                work.push(Work::Plan {
                    account: room.account,
                    commitments: selection.commitments,
                    heads: selection.heads,
                    calls: selection.calls,
                });
            }
        }
    }

    /// What time alone brings about.
    fn tick(&mut self, now: Now) {
        if self
            .recovery_ends
            .is_some_and(|ends| ends <= now.at || self.recovered.is_empty())
        {
            self.end_recovery();
        }
        while let Some((at, id)) = self.wakes.first().copied() {
            if at > now.at {
                break;
            }
            self.wakes.pop_first();
            self.dirty.insert(id);
        }
        if self.next_sweep.is_none_or(|at| at <= now.at) {
            self.next_sweep = Some(now.at + self.config.poll_interval);
            self.forget_reported(now);
            self.show_gauges();
        }
        self.settle_streams(now);
    }

    fn poll_is_due(&self, now: Now) -> bool {
        if self.draining || self.polling {
            return false;
        }
        if self.next_poll.is_none_or(|at| at <= now.at) {
            return true;
        }
        // A full window moves on only by reports: look again once they made room.
        let moved = self.reported_since_poll >= (self.config.poll_limit as usize).div_ceil(2)
            || self.reported_since_poll > 0 && self.reporting == 0 && !self.reports_wait(now);
        self.source.healthy && self.source.window_full && moved
    }

    fn read_chain(&mut self, work: &mut Vec<Work>, now: Now) {
        if self.view.reachable {
            let streams = self.heads_to_read(CHAIN_READ, now);
            if !streams.is_empty() {
                work.push(Work::ReadHeads { streams });
            }
            let batches = self.batches_to_look_up(CHAIN_READ, now);
            if !batches.is_empty() {
                work.push(Work::LookUp { batches });
            }
        }
        let batches = self.batches_to_locate(INDEX_READ, now);
        if !batches.is_empty() {
            let places = batches
                .into_iter()
                .filter_map(|batch_id| Some((batch_id, self.place(batch_id)?.0)));
            let (batches, streams) = places.unzip();
            work.push(Work::Locate { batches, streams });
        }
    }

    /// Has events roots proven, behind polls and reports.
    fn prove(&mut self, work: &mut Vec<Work>, now: Now) {
        let limit = if self.reports_wait(now) {
            1
        } else {
            self.config.proof_concurrency
        };
        while self.proving < limit {
            let Some(batch_id) = self.unproven.pop_front() else {
                break;
            };
            let Some(entry) = self.entry(batch_id) else {
                continue;
            };
            if entry.proofs != super::entry::Proofs::Running {
                continue;
            }
            work.push(Work::Prove {
                commitment: entry.commitment.clone(),
                proven: entry.proven,
            });
            self.proving += 1;
        }
    }

    /// When something becomes due by time alone; `None`: only an event brings more.
    pub(crate) fn wake_at(&self, now: Now) -> Option<Instant> {
        let later = |at: Option<Instant>| at.filter(|at| *at > now.at);
        let mut times = vec![
            later(self.wakes.first().map(|(at, _)| *at)),
            later(self.due.first().map(|(at, _)| *at)),
            later(self.report_backoff.until()),
            later(self.record_backoff.until()),
            self.open_calls().filter_map(|call| later(call.pause.until())).min(),
        ];
        if !self.draining {
            times.extend([
                later(self.next_poll),
                later(self.next_sweep),
                later(self.recovery_ends),
                later(self.heads.backoff.until()),
                later(self.lookups.backoff.until()),
                later(self.plan_backoff.until()),
                later(self.gathering_until()),
                later(self.reading_on.wake_at()),
            ]);
            times.extend(self.next_probe().map(later));
        }
        times.into_iter().flatten().min()
    }

    /// Whether nothing is on its way that a stop should wait for: no call that is in no block yet, no report
    /// that the source has not answered, nothing that must be kept.
    pub(crate) fn is_drained(&self) -> bool {
        let at_work = self
            .accounts
            .values()
            .any(|account| account.planning || account.submitting);
        let on_its_way = at_work || !self.open.is_empty();
        !on_its_way && self.reporting == 0 && !self.recording && self.to_record.is_empty()
    }
}
