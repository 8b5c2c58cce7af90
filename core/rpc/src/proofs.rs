//! Inclusion proofs: remembered, and asked of the source within a budget of their own, so that nobody
//! who asks for proofs can hold up polls and reports.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::B256;
use lru::LruCache;
use set_types::{BatchId, InclusionProof, InclusionProofRequest};
use set_ves::verify_inclusion;
use tokio::sync::Semaphore;

use crate::{
    config::ProofsConfig,
    error::RpcError,
    port::{Plugins, SourceError},
};

/// What a proof must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) batch_id: BatchId,
    pub(crate) sequence: u64,
    /// Position of the event in the batch.
    pub(crate) leaf_index: u64,
    pub(crate) events_root: B256,
    pub(crate) event_count: u32,
}

/// A proof that was checked against its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) leaf: B256,
    pub(crate) path: Vec<B256>,
}

pub(crate) struct Proofs {
    plugins: Arc<dyn Plugins>,
    /// Keyed by the whole target: a batch that a reorg replaced is another target.
    cache: Mutex<LruCache<Target, Arc<Proven>>>,
    /// Requests that the source works on.
    turns: Semaphore,
    /// Those, and requests that wait for their turn.
    admitted: Semaphore,
}

impl Proofs {
    pub(crate) fn new(config: &ProofsConfig, plugins: Arc<dyn Plugins>) -> Self {
        let entries = NonZeroUsize::new(config.cache as usize).unwrap_or(NonZeroUsize::MIN);
        let turns = config.concurrency.max(1) as usize;
        Self {
            plugins,
            cache: Mutex::new(LruCache::new(entries)),
            turns: Semaphore::new(turns),
            admitted: Semaphore::new(turns.saturating_add(config.queue as usize).min(Semaphore::MAX_PERMITS)),
        }
    }

    /// The proof for `target`, from memory or from the source; checked.
    pub(crate) async fn get(&self, target: Target, request: InclusionProofRequest) -> Result<Arc<Proven>, RpcError> {
        if let Some(proven) = self.remembered(&target) {
            metrics::counter!("set_rpc_proofs_total", "from" => "cache").increment(1);
            return Ok(proven);
        }
        let busy = || RpcError::Busy("too many proofs are being asked for; try again in a second".to_owned());
        let _admitted = self.admitted.try_acquire().map_err(|_| busy())?;
        let _turn = self.turns.acquire().await.map_err(|_| busy())?;
        // Whoever had the turn before may have asked for the same.
        if let Some(proven) = self.remembered(&target) {
            return Ok(proven);
        }
        let proof = self
            .plugins
            .inclusion_proof(request)
            .await
            .map_err(|error| match error {
                SourceError::Unavailable(_) => RpcError::PluginUnavailable(error.to_string()),
                SourceError::Timeout => RpcError::PluginTimeout(error.to_string()),
                SourceError::Refused(_) => RpcError::NotFound(error.to_string()),
            })?;
        metrics::counter!("set_rpc_proofs_total", "from" => "source").increment(1);
        let proven = Arc::new(check(&target, proof)?);
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(target, Arc::clone(&proven));
        Ok(proven)
    }

    fn remembered(&self, target: &Target) -> Option<Arc<Proven>> {
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(target)
            .map(Arc::clone)
    }
}

/// A source may err or lie; what it gives is handed on only if it proves what was asked.
fn check(target: &Target, proof: InclusionProof) -> Result<Proven, RpcError> {
    let refuse = |why: String| {
        tracing::warn!(batch_id = %target.batch_id, sequence = target.sequence, why, "the source's proof does not hold");
        RpcError::NotProven(format!("the source's proof does not hold: {why}"))
    };
    if proof.leaf_index != target.leaf_index {
        return Err(refuse(format!(
            "it is for leaf {}, not {}",
            proof.leaf_index, target.leaf_index
        )));
    }
    verify_inclusion(
        proof.leaf,
        target.leaf_index,
        &proof.path,
        target.event_count,
        target.events_root,
    )
    .map_err(|error| refuse(error.to_string()))?;
    Ok(Proven {
        leaf: proof.leaf,
        path: proof.path,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use set_types::{InclusionProof, StreamId};
    use set_ves::EventTree;
    use tokio::sync::Notify;

    use super::*;
    use crate::answer::PluginAnswer;

    /// A source over one tree that answers once it is let go.
    struct Source {
        tree: EventTree,
        leaves: Vec<B256>,
        asked: AtomicUsize,
        running: AtomicUsize,
        most: AtomicUsize,
        began: Notify,
        go: Semaphore,
        lie: bool,
    }

    #[async_trait]
    impl Plugins for Source {
        fn list(&self) -> Vec<PluginAnswer> {
            vec![]
        }

        async fn inclusion_proof(&self, request: InclusionProofRequest) -> Result<InclusionProof, SourceError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            self.began.notify_one();
            self.go.acquire().await.unwrap().forget();
            self.running.fetch_sub(1, Ordering::SeqCst);
            let index = usize::try_from(request.sequence - 1).unwrap();
            let mut path = self.tree.proof(index).unwrap();
            if self.lie {
                path[0] = B256::ZERO;
            }
            Ok(InclusionProof {
                batch_id: request.batch_id,
                sequence: request.sequence,
                leaf: self.leaves[index],
                leaf_index: request.sequence - 1,
                path,
                events_root: self.tree.root(),
            })
        }
    }

    fn source(lie: bool, go: usize) -> Arc<Source> {
        let leaves: Vec<B256> = (1..=8).map(B256::repeat_byte).collect();
        Arc::new(Source {
            tree: EventTree::new(leaves.clone()).unwrap(),
            leaves,
            asked: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            began: Notify::new(),
            go: Semaphore::new(go),
            lie,
        })
    }

    fn ask(source: &Source, sequence: u64) -> (Target, InclusionProofRequest) {
        let batch_id = B256::repeat_byte(0xb).into();
        let stream = StreamId {
            tenant_id: B256::repeat_byte(1).into(),
            store_id: B256::repeat_byte(2).into(),
        };
        let target = Target {
            batch_id,
            sequence,
            leaf_index: sequence - 1,
            events_root: source.tree.root(),
            event_count: 8,
        };
        (
            target,
            InclusionProofRequest {
                stream,
                batch_id,
                sequence,
            },
        )
    }

    #[tokio::test]
    async fn a_proof_is_asked_for_once() {
        let source = source(false, 100);
        let proofs = Proofs::new(
            &ProofsConfig {
                cache: 1,
                ..ProofsConfig::default()
            },
            source.clone(),
        );
        for (sequence, asked) in [(1, 1), (1, 1), (2, 2), (1, 3)] {
            let (target, request) = ask(&source, sequence);
            proofs.get(target, request).await.unwrap();
            assert_eq!(source.asked.load(Ordering::SeqCst), asked, "the cache holds one");
        }
    }

    #[tokio::test]
    async fn a_proof_that_does_not_hold_is_neither_handed_out_nor_kept() {
        let source = source(true, 100);
        let proofs = Proofs::new(&ProofsConfig::default(), source.clone());
        for asked in 1..=2 {
            let (target, request) = ask(&source, 3);
            let error = proofs.get(target, request).await.unwrap_err();
            assert!(
                matches!(&error, RpcError::NotProven(why) if why.contains("the path leads to")),
                "{error}"
            );
            assert_eq!(source.asked.load(Ordering::SeqCst), asked);
        }
    }

    #[tokio::test]
    async fn the_budget_bounds_what_the_source_sees() {
        let source = source(false, 0);
        let config = ProofsConfig {
            concurrency: 2,
            queue: 3,
            cache: 100,
        };
        let proofs = Arc::new(Proofs::new(&config, source.clone()));
        let spawn = |sequence| {
            let (target, request) = ask(&source, sequence);
            let proofs = Arc::clone(&proofs);
            tokio::spawn(async move { proofs.get(target, request).await })
        };
        let waiting: Vec<_> = (1..=5).map(spawn).collect();
        while source.running.load(Ordering::SeqCst) < 2 || proofs.admitted.available_permits() > 0 {
            source.began.notified().await;
        }
        let (target, request) = ask(&source, 6);
        assert!(
            matches!(proofs.get(target, request).await, Err(RpcError::Busy(_))),
            "the sixth is one too many"
        );
        source.go.add_permits(100);
        for call in waiting {
            call.await.unwrap().unwrap();
        }
        assert_eq!(source.most.load(Ordering::SeqCst), 2);
        let (target, request) = ask(&source, 6);
        proofs.get(target, request).await.unwrap();
    }
}
