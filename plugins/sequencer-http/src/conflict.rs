//! What a 409 to a report means: the sequencer holds a hash, and does not say which.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use serde::Deserialize;
use set_plugin_sdk::prelude::*;

use crate::{
    answer::excerpt,
    client::{Client, Deadline},
    route::Route,
};

/// How long an answer without the hash is taken for an old one. The sequencer's cache lives for at most
/// six minutes.
const STALE_FOR: Duration = Duration::from_secs(7 * 60);
/// When such a report is repeated.
const ASK_AGAIN: Duration = Duration::from_secs(20);
/// Batches that are remembered at once.
const REMEMBERED: usize = 10_000;

/// Batches whose 409 is not explained yet, and since when.
#[derive(Debug, Default)]
pub(crate) struct Conflicts(Mutex<HashMap<BatchId, Instant>>);

impl Conflicts {
    /// Settles a 409, which came with the words `said`, by asking which hash is recorded: behind a cache
    /// it may be ours.
    pub(crate) async fn settle(
        &self,
        client: &Client,
        receipt: &AnchorReceipt,
        uuid: &str,
        said: &str,
        deadline: Deadline,
    ) -> ReportStatus {
        let path = ["api", "v1", "ves", "commitments", uuid];
        let recorded = client.get(Route::Commitment, &path, &[], deadline, recorded_hash).await;
        let batch_id = receipt.batch_id;
        if !matches!(recorded, Ok(None)) {
            self.forget(batch_id);
        }
        match recorded {
            Ok(Some(hash)) if hash == receipt.tx_hash => ReportStatus::AlreadyRecorded,
            Ok(None) if self.may_be_stale(batch_id, Instant::now()) => ReportStatus::Retry {
                after_ms: u64::try_from(ASK_AGAIN.as_millis()).ok(),
                reason: format!("409: {said}; the sequencer does not show yet which hash it recorded"),
            },
            Ok(recorded) => ReportStatus::Conflict {
                recorded,
                reason: said.to_owned(),
            },
            Err(failure) if failure.is_final_refusal() => ReportStatus::Conflict {
                recorded: None,
                reason: format!("{said}; which hash is recorded cannot be learnt: {failure}"),
            },
            Err(failure) => ReportStatus::Retry {
                after_ms: failure.retry_after_ms(),
                reason: format!("409: {said}; which hash is recorded is not known yet: {failure}"),
            },
        }
    }

    /// Whether an answer without a hash, to what was recorded for sure, may come from a cache.
    fn may_be_stale(&self, batch_id: BatchId, now: Instant) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if since.len() >= REMEMBERED {
            since.retain(|_, first| now.duration_since(*first) < 2 * STALE_FOR);
        }
        if since.len() >= REMEMBERED && !since.contains_key(&batch_id) {
            return true;
        }
        let first = *since.entry(batch_id).or_insert(now);
        now.duration_since(first) < STALE_FOR
    }

    fn forget(&self, batch_id: BatchId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&batch_id);
    }
}

/// The hash that the sequencer holds; `None` where it shows none.
fn recorded_hash(text: &str) -> Result<Option<B256>, String> {
    #[derive(Deserialize)]
    struct Shown {
        chain_tx_hash: Option<String>,
    }
    let shown: Shown = serde_json::from_str(text).map_err(|error| format!("no commitment: {error}"))?;
    let parse = |hash: String| {
        hash.parse()
            .map_err(|_| format!("`chain_tx_hash`: `{}` is not 32 bytes of hex", excerpt(&hash)))
    };
    shown.chain_tx_hash.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_has_its_time_and_no_more() {
        let (conflicts, start) = (Conflicts::default(), Instant::now());
        let may_be_stale =
            |number: u8, after: Duration| conflicts.may_be_stale(B256::repeat_byte(number).into(), start + after);
        assert!(may_be_stale(1, Duration::ZERO));
        assert!(may_be_stale(1, STALE_FOR - ASK_AGAIN) && may_be_stale(2, STALE_FOR - ASK_AGAIN));
        assert!(!may_be_stale(1, STALE_FOR) && may_be_stale(2, STALE_FOR));
        conflicts.forget(B256::repeat_byte(1).into());
        assert!(may_be_stale(1, STALE_FOR));
    }
}
