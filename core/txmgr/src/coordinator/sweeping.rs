//! When the chain is asked, and what.

use std::time::Duration;

use set_chain::{BlockRef, DataFees, Head};
use tokio::time::Instant;

use super::{
    Coordinator,
    jobs::{Done, Job},
};
use crate::{
    AlarmKind,
    slot::Progress,
    sweep::{self, Question},
};

/// How long the L1 data fee and the operator fee are taken to stay what they are.
const DATA_FEES_FOR: Duration = Duration::from_secs(60);

/// When to ask the chain.
#[derive(Debug)]
pub(super) struct Sweeping {
    /// Something changed since the last question.
    pub(super) wanted: bool,
    running: bool,
    /// An answer came that nothing was repaired by yet.
    answered: bool,
    pub(super) retry_at: Option<Instant>,
    /// What the question that runs was asked for.
    pub(super) asked: Asked,
    data_fees_at: Option<Instant>,
}

/// The state of things when a question was asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    /// The head.
    pub(super) head: Option<Head>,
    /// The tags.
    pub(super) safe: Option<BlockRef>,
    pub(super) finalized: Option<BlockRef>,
    /// The lease's term, if the account's nonce is read for it.
    pub(super) term: Option<u64>,
}

impl Default for Sweeping {
    fn default() -> Self {
        Self {
            wanted: true,
            running: false,
            answered: false,
            retry_at: None,
            asked: Asked::default(),
            data_fees_at: None,
        }
    }
}

impl Sweeping {
    /// Whether what is due may be repaired now: by an answer that is new, or as long as nothing changes.
    pub(super) const fn may_repair(&mut self) -> bool {
        std::mem::replace(&mut self.answered, false) || (!self.running && !self.wanted)
    }

    /// An answer came.
    pub(super) const fn answered(&mut self) {
        self.running = false;
        self.answered = true;
    }
}

impl Coordinator {
    /// Asks the chain, unless nothing changed since it was asked last.
    pub(super) fn start_sweep(&mut self, head: &Head, now: Instant) {
        let held = self.sweeping.retry_at.is_some_and(|at| at > now);
        if !self.sweeping.wanted || self.sweeping.running || held {
            return;
        }
        self.sweeping.wanted = false;
        self.sweeping.running = true;
        self.sweeping.retry_at = None;
        self.sweeping.asked = Asked {
            head: Some(*head),
            safe: self.view.safe,
            finalized: self.view.finalized,
            term: self.lead.reading(),
        };
        let question = self.question(head.block);
        let provider = self.provider.clone();
        self.spawn(Job::Sweep, async move {
            Done::Swept(Box::new(sweep::ask(&provider, question).await))
        });
        if self.sweeping.data_fees_at.is_none_or(|at| now - at >= DATA_FEES_FOR) {
            self.sweeping.data_fees_at = Some(now);
            let provider = self.provider.clone();
            let (bytes, gas) = (self.config.max_bytes, self.config.max_gas);
            self.spawn(Job::DataFees, async move {
                Done::DataFees(DataFees::upper_bound(&provider, bytes, gas).await)
            });
        }
    }

    pub(super) fn on_sweep_failed(&mut self, cause: &str) {
        self.alarms.raise(
            AlarmKind::Unobserved,
            format!(
                "the node does not say what became of {}'s transactions: {cause}",
                self.account
            ),
        );
        self.sweeping.running = false;
        self.sweeping.wanted = true;
        self.sweeping.retry_at = Some(Instant::now() + self.config.publish_retry);
    }

    /// What to ask at a head.
    fn question(&self, head: BlockRef) -> Question {
        let committed = self.ledger.open().iter();
        let open = committed.filter(|(_, slot)| slot.progress == Progress::Committed);
        let open = open.map(|(nonce, slot)| (*nonce, slot.hashes())).collect();
        let mut included: Vec<_> = self.ledger.included().values().map(|included| included.block).collect();
        included.dedup();
        let settles = self.ledger.included().values().any(|included| self.settles(included));
        let tags = [self.sweeping.asked.safe, self.sweeping.asked.finalized];
        let tag = tags.into_iter().flatten().max_by_key(|tag| tag.number);
        Question {
            account: self.account,
            head,
            newest_nonce: self.sweeping.asked.term.is_some(),
            open,
            included,
            tag: tag.filter(|_| settles),
        }
    }
}
