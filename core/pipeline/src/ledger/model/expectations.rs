//! What must hold: of each piece of work, and once everything is calm.

use std::collections::{HashMap, HashSet};

use alloy_primitives::Address;
use set_types::{BatchId, Commitment, Stage, StreamHead, StreamId};

use super::{IN_FLIGHT, Work, World, source::Defect};
use crate::status::PendingFilter;

impl World {
    /// What must hold of the work itself.
    pub(in crate::ledger) fn observe(&mut self, work: &Work) {
        match work {
            Work::Poll { .. } => self.polls += 1,
            Work::Record(_) => self.records += 1,
            Work::Judge { .. } => self.judgements += 1,
            Work::Prove { commitment, proven } => assert_eq!(
                *proven,
                self.proven.get(&commitment.batch_id).copied().unwrap_or(0),
                "nothing is proven twice"
            ),
            Work::ReadHeads { streams } => self.read_in_term.extend(streams),
            Work::Plan {
                account,
                commitments,
                heads,
                ..
            } => {
                self.observe_account(*account, commitments);
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
            Work::ReadOn { .. } => self.readings += 1,
            Work::Locate { .. } => self.searches += 1,
            Work::Submit { account, calls } => {
                self.senders.extend(calls.iter().map(|_| *account));
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
                self.gas.extend(receipts.iter().map(|receipt| receipt.gas_used));
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

    /// A plan is for an account that may have it.
    fn observe_account(&self, account: Address, commitments: &[Commitment]) {
        assert!(self.term.is_some(), "without the lease nothing is planned");
        assert!(
            !self.retired.contains(&account),
            "nothing is planned for a retired account"
        );
        let (here, elsewhere): (Vec<_>, Vec<_>) = self
            .slots
            .iter()
            .filter(|(_, slot)| self.open.contains(&slot.id) && !slot.id.is_recovered())
            .flat_map(|((of, _), slot)| slot.tx.commitments.iter().map(move |commitment| (*of, commitment)))
            .filter(|(_, commitment)| !self.registry.records.contains_key(&commitment.batch_id))
            .partition(|(of, _)| *of == account);
        // After a reorg two accounts can have the same commitment on its way; the order within this one holds.
        let here: HashSet<BatchId> = here.iter().map(|(_, commitment)| commitment.batch_id).collect();
        let elsewhere: HashSet<StreamId> = elsewhere
            .iter()
            .filter(|(_, commitment)| !here.contains(&commitment.batch_id))
            .map(|(_, commitment)| commitment.stream())
            .collect();
        for commitment in commitments {
            let stream = commitment.stream();
            assert!(
                self.read_in_term.contains(&stream),
                "the head of {stream} is known in this term"
            );
            assert!(
                !elsewhere.contains(&stream),
                "{stream} is on its way at another account"
            );
        }
    }

    /// Faults end, and time passes until nothing moves any more.
    pub(in crate::ledger) fn calm(&mut self) {
        self.paused = false;
        self.unauthorised.clear();
        for which in 0..3 {
            self.admit(which);
        }
        self.lead(true);
        self.window = 1_000;
        self.set_stale(false);
        self.set_reachable(true);
        for _ in 0..80 {
            self.round();
        }
    }

    /// A second in which everything works.
    pub(in crate::ledger) fn round(&mut self) {
        self.time_passes(1_000);
        self.work_off();
        self.mine(IN_FLIGHT);
        self.index(u64::MAX / 2);
    }

    /// Everything that was said arrives, and all work is done; no block comes.
    pub(in crate::ledger) fn work_off(&mut self) {
        self.begin();
        loop {
            while !self.events.is_empty() {
                self.deliver();
            }
            if self.work.is_empty() {
                break;
            }
            self.finish_work(0, false);
        }
    }

    /// After [`World::calm`]: everything that could be anchored is, once, and the source knows where.
    pub(in crate::ledger) fn check(&mut self) {
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
    pub(in crate::ledger) fn committed(&self) -> usize {
        self.registry.records.len()
    }
}
