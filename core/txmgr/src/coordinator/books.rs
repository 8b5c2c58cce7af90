//! What the account spends: asked before anything is signed, corrected by what the chain says.

use alloy::consensus::TxEip1559;
use set_types::Timestamp;

use super::{
    Coordinator,
    jobs::{Done, Job},
};
use crate::{AlarmKind, spending::Cost};

impl Coordinator {
    /// Whether the day's cap allows a transaction to be signed; the alarm says why not.
    pub(super) fn may_spend(&mut self, nonce: u64, tx: &TxEip1559) -> bool {
        match self.spending.admit(nonce, Cost::of(tx), Timestamp::now()) {
            Ok(()) => {
                self.alarms.clear(AlarmKind::SpendingCap);
                true
            }
            Err(over) => {
                self.alarms
                    .raise(AlarmKind::SpendingCap, format!("{}: {over}", self.account));
                false
            }
        }
    }

    /// Writes the books, one write after the other. What a crash takes is reserved again from the journal.
    pub(super) fn save_books(&mut self) {
        if self.running.values().any(|job| matches!(job, Job::SaveBooks)) {
            return;
        }
        let Some(unsaved) = self.spending.unsaved() else {
            return;
        };
        self.spawn(Job::SaveBooks, async move {
            let written = tokio::task::spawn_blocking(move || unsaved.write()).await;
            Done::BooksSaved(match written {
                Ok(written) => written.map_err(|error| error.to_string()),
                Err(_) => Err("writing was interrupted".into()),
            })
        });
    }
}
