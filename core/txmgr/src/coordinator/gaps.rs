//! Nonces that something waits for and nobody has.

use set_chain::BlockRef;

use super::{Coordinator, Job};

impl Coordinator {
    /// How far above the account's nonce a transaction can be that will ever be included.
    pub(super) const REACH: u64 = 100_000;

    /// Closes gaps that two heads agree on. A nonce for which a job still runs is left alone: given out
    /// again, it could get that job's result.
    pub(super) fn find_gaps(&mut self, head: BlockRef, account_nonce: u64) {
        let mut gaps = self.ledger.gaps(account_nonce);
        gaps.nonces.retain(|nonce| !self.runs_for(*nonce));
        gaps.beyond &= !self.running.values().any(|job| job.nonce() >= Some(account_nonce));
        if gaps != self.gaps {
            self.gaps = gaps;
            self.gaps_seen = Default::default();
        }
        if !self.gaps.is_empty() && self.gaps_seen.count(head.hash) {
            let gaps = std::mem::take(&mut self.gaps);
            tracing::info!(nonces = ?gaps.nonces, account = %self.account, "nonces that nobody used are given out again");
            self.ledger.close(&gaps, account_nonce);
        }
    }

    /// Whether a job signs, sends or reads for a nonce.
    pub(super) fn runs_for(&self, nonce: u64) -> bool {
        self.running.values().any(|job| job.nonce() == Some(nonce))
    }
}

impl Job {
    /// The nonce that it works for.
    pub(super) const fn nonce(&self) -> Option<u64> {
        match self {
            Self::Sign { nonce } | Self::Send { nonce, .. } | Self::Recall { nonce, .. } => Some(*nonce),
            Self::Sweep | Self::DataFees | Self::Forget | Self::CheckJournal | Self::SaveBooks => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use alloy_primitives::B256;
    use set_chain::{ChainView, EndpointConfig};
    use set_lease::Leadership;
    use set_testkit::Anvil;
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::{
        BlockBudget, CallId, CallSize, Journal, LocalKey, Spending, TxConfig,
        classify::Outcome,
        coordinator::{Parts, jobs::Done},
        slot::{Known, Progress, Slot},
    };

    /// A coordinator whose node does not exist: what happens to it is up to the test.
    fn coordinator() -> Coordinator {
        set_chain::install_tls();
        let provider = set_chain::connect(&EndpointConfig {
            rpc_urls: vec!["http://127.0.0.1:1".parse().unwrap()],
            chain_id: None,
            timeout: Duration::from_secs(1),
            poll_interval: Duration::from_secs(1),
        });
        let parts = Parts {
            configs: watch::channel(Arc::new(TxConfig::default())).1,
            daily_caps: watch::channel(None).1,
            spending: Spending::in_memory(),
            signer: Arc::new(LocalKey::from(Anvil::account(1))),
            provider: provider.unwrap(),
            chain_id: 1,
            heads: watch::channel(Arc::new(ChainView::unknown())).1,
            journal: Journal::in_memory(),
            leadership: Leadership::always(),
            budget: BlockBudget::default(),
            submitted: mpsc::channel(1).1,
        };
        Coordinator::new(parts).0
    }

    fn head(number: u64) -> BlockRef {
        BlockRef {
            number,
            hash: B256::with_last_byte(number as u8),
            timestamp: number,
        }
    }

    /// Nonce 5 was superseded while one of its versions was still being sent, and the chain took back
    /// what had superseded it.
    #[tokio::test]
    async fn a_nonce_whose_send_still_runs_is_not_given_to_another_call() {
        let mut coordinator = coordinator();
        let hash = B256::repeat_byte(5);
        let known = |hash| vec![Known { hash, filler: false }];
        coordinator.ledger.sync(7);
        coordinator
            .ledger
            .reopen(6, Slot::again(None, known(B256::repeat_byte(6)), None));
        let old = Job::Send {
            nonce: 5,
            hash,
            first_time: true,
        };
        coordinator.spawn(old, async { Done::Sent(Outcome::Accepted) });
        for number in 1..4 {
            coordinator.find_gaps(head(number), 5);
        }
        let next = Slot::new(Some(CallId::Submitted(u64::MAX)), CallSize::default());
        assert_eq!(coordinator.ledger.assign(next), Some(7));
        coordinator.ledger.release(7);

        let done = coordinator.jobs.join_next_with_id().await.unwrap();
        coordinator.on_done(done);
        for number in 4..6 {
            coordinator.find_gaps(head(number), 5);
        }
        let next = Slot::new(Some(CallId::Submitted(u64::MAX)), CallSize::default());
        assert_eq!(coordinator.ledger.assign(next), Some(5));
    }

    #[tokio::test]
    async fn the_result_of_a_version_that_a_slot_does_not_know_changes_nothing() {
        let mut coordinator = coordinator();
        coordinator.ledger.sync(5);
        let next = Slot::new(Some(CallId::Submitted(u64::MAX)), CallSize::default());
        coordinator.ledger.assign(next);
        coordinator.on_sent(5, B256::repeat_byte(1), true, Outcome::Accepted);
        assert_eq!(
            coordinator.ledger.get(5).map(|slot| slot.progress),
            Some(Progress::Provisional)
        );
        assert!(coordinator.outbox.is_empty());
    }
}
