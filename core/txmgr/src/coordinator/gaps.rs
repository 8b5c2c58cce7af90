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
