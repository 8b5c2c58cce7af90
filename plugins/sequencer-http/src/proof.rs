//! Inclusion proofs.

use alloy_primitives::B256;
use serde::Deserialize;
use set_plugin_sdk::prelude::*;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    Config,
    client::{Client, Deadline},
    listing::of_stream_query,
    route::Route,
};

/// The longest path: an event count is a u32.
const DEEPEST: usize = 32;

/// Proofs, with a budget of their own: however many are asked for, polls and reports go on. At most 200 are asked
/// for in a second, and fewer after a 429.
#[derive(Debug)]
pub(crate) struct Proofs {
    /// Who is asking or waiting.
    seats: Semaphore,
    /// Who is asking.
    permits: Semaphore,
}

/// How the sequencer writes a proof. Its `directions` follow from the index.
#[derive(Deserialize)]
struct Answer {
    batch_id: Uuid,
    sequence_number: u64,
    merkle_root: B256,
    leaf_hash: B256,
    leaf_index: u64,
    proof_path: Vec<B256>,
}

impl Proofs {
    pub(crate) fn new(config: &Config) -> Self {
        let concurrency = usize::from(config.proof_concurrency.get());
        Self {
            seats: Semaphore::new(concurrency + usize::from(config.proof_queue)),
            permits: Semaphore::new(concurrency),
        }
    }

    /// Fetches a proof, and checks that it is one of what was asked; whether it holds is the caller's to
    /// check, against the root that the chain has.
    ///
    /// # Errors
    /// The sequencer refuses it, cannot answer, or too many are waiting.
    pub(crate) async fn prove(
        &self,
        client: &Client,
        request: InclusionProofRequest,
        deadline: Deadline,
    ) -> Result<InclusionProof, PluginError> {
        let [tenant, store] = of_stream_query(request.stream)?;
        let batch = request.batch_id.to_uuid().ok_or_else(|| {
            PluginError::permanent(format!(
                "the sequencer knows no batch {}: its ids are UUIDs",
                request.batch_id
            ))
        })?;
        let busy = |why| PluginError::retryable(format!("{}: not sent: {why}", Route::Proof));
        let _seat = self
            .seats
            .try_acquire()
            .map_err(|_| busy("`proof_queue` other proofs wait already"))?;
        let _permit = deadline
            .bound(self.permits.acquire())
            .await
            .ok_or_else(|| busy("the proofs before it took the whole `timeout`"))?;
        client
            .proof_turn(deadline)
            .await
            .ok_or_else(|| busy("proofs go slowly since the sequencer limits the rate of requests"))?;
        let sequence = request.sequence.to_string();
        let path = ["api", "v1", "ves", "proofs", &sequence];
        let query = [tenant, store, ("batch_id", batch.to_string())];
        let read = |text: &str| serde_json::from_str(text).map_err(|error| format!("no inclusion proof: {error}"));
        let answer: Answer = client.get(Route::Proof, &path, &query, deadline, read).await?;
        answer
            .check(batch, request.sequence)
            .map_err(|problem| PluginError::permanent(format!("{}: the sequencer answered {problem}", Route::Proof)))?;
        Ok(InclusionProof {
            batch_id: request.batch_id,
            sequence: request.sequence,
            leaf: answer.leaf_hash,
            leaf_index: answer.leaf_index,
            path: answer.proof_path,
            events_root: answer.merkle_root,
        })
    }
}

impl Answer {
    fn check(&self, batch: Uuid, sequence: u64) -> Result<(), String> {
        if self.batch_id != batch {
            return Err(format!("for batch {}, but {batch} was asked", self.batch_id));
        }
        if self.sequence_number != sequence {
            return Err(format!(
                "for sequence {}, but {sequence} was asked",
                self.sequence_number
            ));
        }
        let depth = self.proof_path.len();
        if depth > DEEPEST || self.leaf_index >> depth != 0 {
            return Err(format!(
                "`leaf_index` {} with a path of {depth}, which no tree has",
                self.leaf_index
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_another_question_is_refused() {
        let batch = Uuid::from_u128(1);
        let answer = |change: fn(&mut Answer)| {
            let mut answer = Answer {
                batch_id: batch,
                sequence_number: 7,
                merkle_root: B256::ZERO,
                leaf_hash: B256::ZERO,
                leaf_index: 3,
                proof_path: vec![B256::ZERO; 2],
            };
            change(&mut answer);
            answer.check(batch, 7)
        };
        assert_eq!(answer(|_| {}), Ok(()));
        let refused = |change| answer(change).unwrap_err();
        assert!(refused(|answer| answer.batch_id = Uuid::nil()).contains("was asked"));
        assert!(refused(|answer| answer.sequence_number = 8).contains("was asked"));
        assert!(refused(|answer| answer.leaf_index = 4).contains("no tree has"));
        assert!(refused(|answer| answer.proof_path = vec![B256::ZERO; 64]).contains("no tree has"));
    }
}
