//! Checking events roots against the source's own inclusion proofs, few at a time.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::atomic::{AtomicBool, Ordering},
};

use futures::{StreamExt, stream};
use set_host::CallError;
use set_types::{Commitment, InclusionProof, InclusionProofRequest};
use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

use crate::{config::EventsRootCheck, ledger::ProofFailure};

/// What checks events roots. All commitments that are being checked share its limit.
#[derive(Debug)]
pub(crate) struct Prover {
    extent: EventsRootCheck,
    concurrency: usize,
    permits: Semaphore,
    /// Whether reports wait: they go before proofs.
    yielding: AtomicBool,
    /// Held by the one proof that may begin while reports wait.
    turn: Mutex<()>,
}

/// The right to ask for one proof.
type Leave<'a> = (SemaphorePermit<'a>, Option<MutexGuard<'a, ()>>);

impl Prover {
    /// Asks for as many proofs at the same time as `concurrency` says.
    pub(crate) fn new(extent: EventsRootCheck, concurrency: usize) -> Self {
        Self {
            extent,
            concurrency,
            permits: Semaphore::new(concurrency),
            yielding: AtomicBool::new(false),
            turn: Mutex::new(()),
        }
    }

    /// Whether proofs are to be asked for one by one from now on, because reports wait.
    pub(crate) fn yield_to_reports(&self, waiting: bool) {
        self.yielding.store(waiting, Ordering::Relaxed);
    }

    /// Checks a commitment's events root; its first `proven` events were checked before. `ask` asks the
    /// source.
    ///
    /// # Errors
    /// [`ProofFailure`]. What was proven until the source failed need not be proven again.
    pub(crate) async fn check<F>(
        &self,
        commitment: &Commitment,
        proven: u32,
        ask: impl Fn(InclusionProofRequest) -> F,
    ) -> Result<(), ProofFailure>
    where
        F: Future<Output = Result<InclusionProof, CallError>>,
    {
        let events = commitment.event_count;
        let indexes = match self.extent {
            EventsRootCheck::Off => return Ok(()),
            EventsRootCheck::Sample => {
                let index = random(events.max(1));
                index..index + 1
            }
            EventsRootCheck::Full => proven..events,
        };
        let full = self.extent == EventsRootCheck::Full;
        let mut answers = stream::iter(indexes)
            .map(|index| self.check_event(commitment, index, &ask))
            .buffered(self.concurrency);
        let mut proven = proven;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(()) if full => proven += 1,
                Ok(()) => {}
                Err(EventFailure::Mismatch(reason)) => return Err(ProofFailure::Mismatch(reason)),
                Err(EventFailure::Unavailable(reason)) => return Err(ProofFailure::Unavailable { reason, proven }),
            }
        }
        Ok(())
    }

    async fn check_event<F>(
        &self,
        commitment: &Commitment,
        index: u32,
        ask: impl Fn(InclusionProofRequest) -> F,
    ) -> Result<(), EventFailure>
    where
        F: Future<Output = Result<InclusionProof, CallError>>,
    {
        let sequence = commitment.sequence_start.saturating_add(index.into());
        let proof = {
            let _leave = self.leave().await;
            ask(InclusionProofRequest {
                stream: commitment.stream(),
                batch_id: commitment.batch_id,
                sequence,
            })
            .await
            .map_err(|error| EventFailure::Unavailable(error.to_string()))?
        };
        set_ves::verify_inclusion(
            proof.leaf,
            index.into(),
            &proof.path,
            commitment.event_count,
            commitment.events_root,
        )
        .map_err(|error| {
            EventFailure::Mismatch(format!(
                "the source's inclusion proof for sequence {sequence} does not verify: {error}"
            ))
        })
    }

    async fn leave(&self) -> Leave<'_> {
        let turn = match self.yielding.load(Ordering::Relaxed) {
            true => Some(self.turn.lock().await),
            false => None,
        };
        match self.permits.acquire().await {
            Ok(permit) => (permit, turn),
            // Nobody closes the semaphore.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Why one event is not proven.
enum EventFailure {
    Mismatch(String),
    Unavailable(String),
}

/// A number below `end` that a source cannot foresee, so that it cannot prepare the one event that is asked
/// for.
fn random(end: u32) -> u32 {
    let word = RandomState::new().build_hasher().finish();
    // A remainder is below its divisor, which is a `u32`.
    (word % u64::from(end)) as u32
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use alloy_primitives::B256;
    use futures::future::join_all;
    use set_host::CallErrorKind;
    use set_types::Timestamp;
    use set_ves::EventTree;

    use super::*;

    const EVENTS: u32 = 32;

    /// A source that counts what it is asked at once, and is busy for one question in so many.
    struct Source {
        tree: EventTree,
        running: AtomicUsize,
        most: AtomicUsize,
        asked: AtomicUsize,
        busy_each: usize,
    }

    impl Source {
        fn new(busy_each: usize) -> Self {
            let leaves = (0..EVENTS as u8).map(B256::repeat_byte).collect();
            Self {
                tree: EventTree::new(leaves).unwrap(),
                running: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
                asked: AtomicUsize::new(0),
                busy_each,
            }
        }

        fn commitment(&self, number: u8) -> Commitment {
            Commitment {
                batch_id: B256::repeat_byte(number).into(),
                tenant_id: B256::repeat_byte(1).into(),
                store_id: B256::repeat_byte(2).into(),
                events_root: self.tree.root(),
                prev_state_root: B256::ZERO,
                new_state_root: B256::repeat_byte(3),
                sequence_start: 1,
                sequence_end: EVENTS.into(),
                event_count: EVENTS,
                committed_at: Timestamp::UNIX_EPOCH,
            }
        }

        async fn prove(&self, request: InclusionProofRequest) -> Result<InclusionProof, CallError> {
            let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(running, Ordering::Relaxed);
            let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::task::yield_now().await;
            self.running.fetch_sub(1, Ordering::Relaxed);
            if asked.is_multiple_of(self.busy_each) {
                return Err(CallError {
                    plugin: "source".into(),
                    method: "inclusion_proof",
                    kind: CallErrorKind::Busy(4),
                });
            }
            let index = (request.sequence - 1) as usize;
            Ok(InclusionProof {
                batch_id: request.batch_id,
                sequence: request.sequence,
                leaf_index: index as u64,
                events_root: self.tree.root(),
                leaf: B256::repeat_byte(index as u8),
                path: self.tree.proof(index).unwrap(),
            })
        }
    }

    /// The most proofs that were asked for at once while three commitments were checked.
    async fn most_at_once(prover: &Prover) -> usize {
        let source = Source::new(usize::MAX);
        let commitments = [1, 2, 3].map(|number| source.commitment(number));
        let checks = commitments
            .iter()
            .map(|commitment| prover.check(commitment, 0, |request| source.prove(request)));
        for answer in join_all(checks).await {
            answer.unwrap();
        }
        assert_eq!(source.asked.into_inner(), 3 * EVENTS as usize);
        source.most.into_inner()
    }

    #[tokio::test]
    async fn all_commitments_share_one_limit() {
        let prover = Prover::new(EventsRootCheck::Full, 4);
        assert_eq!(most_at_once(&prover).await, 4);
        prover.yield_to_reports(true);
        assert_eq!(most_at_once(&prover).await, 1);
        prover.yield_to_reports(false);
        assert_eq!(most_at_once(&prover).await, 4);
    }

    #[tokio::test]
    async fn a_source_that_is_often_busy_proves_a_commitment_in_the_end() {
        let prover = Prover::new(EventsRootCheck::Full, 4);
        let source = Source::new(7);
        let commitment = source.commitment(1);
        let mut known = 0;
        while let Err(failure) = prover.check(&commitment, known, |request| source.prove(request)).await {
            let ProofFailure::Unavailable { proven, .. } = failure else {
                panic!("{failure:?}");
            };
            assert!(proven > known, "each try comes further");
            known = proven;
        }
        assert!(known > 0);
    }

    #[tokio::test]
    async fn a_proof_that_leads_elsewhere_is_a_mismatch() {
        let source = Source::new(usize::MAX);
        for extent in [EventsRootCheck::Sample, EventsRootCheck::Full] {
            let prover = Prover::new(extent, 4);
            let mut commitment = source.commitment(1);
            prover
                .check(&commitment, 0, |request| source.prove(request))
                .await
                .unwrap();
            commitment.events_root = B256::ZERO;
            let failure = prover.check(&commitment, 0, |request| source.prove(request)).await;
            assert!(matches!(failure, Err(ProofFailure::Mismatch(_))), "{failure:?}");
        }
    }
}
