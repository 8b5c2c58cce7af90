//! Settlement proofs: what is kept of the chain's state, and what the server answers from.

use async_trait::async_trait;
use eyre::{Result, WrapErr};
use serde_json::{Value, json};
use set_index::Anchored;
use set_proof::Chain;
use set_rpc::{ClaimedEvidence, Condition, NoEvidence, SettlementProofs};
use set_settlement::capture::{CaptureSettings, CaptureStatus, Captures, Claims, NoProof};
use tokio::sync::watch;

use crate::{assembly, config::Config};

/// The proofs of one registry's commitments.
#[derive(Clone)]
pub(crate) struct KeptProofs {
    captures: Captures,
    chain: Chain,
}

impl KeptProofs {
    /// Opens the store of proofs about blocks that `claims` say games on L1 claim.
    pub(crate) async fn open(config: &Config, claims: watch::Receiver<Claims>) -> Result<Self> {
        let settings = CaptureSettings {
            chain_id: config.chain.id,
            registry: config.chain.registry,
            max_bytes: config.settlement.max_proof_bytes,
        };
        let path = config.data_file("proofs.redb");
        let captures = Captures::open(path.as_deref(), settings, assembly::prover(config)?, claims).await;
        Ok(Self {
            captures: captures.wrap_err("the store of proofs in `sidecar.data_dir`")?,
            chain: Chain {
                chain_id: config.chain.id,
                registry: config.chain.registry,
            },
        })
    }

    /// What takes them, to be run.
    pub(crate) fn captures(&self) -> Captures {
        self.captures.clone()
    }

    fn status(&self) -> CaptureStatus {
        self.captures.status().borrow().clone()
    }

    /// For `set_status`.
    pub(crate) fn report(&self) -> Value {
        json!(self.status())
    }

    /// For health: what hinders it.
    pub(crate) fn condition(&self) -> Condition {
        match self.status().error {
            Some(error) => Condition::Hindered(error),
            None => Condition::Well,
        }
    }
}

#[async_trait]
impl SettlementProofs for KeptProofs {
    fn chain(&self) -> Chain {
        self.chain
    }

    async fn evidence(&self, anchored: Anchored) -> Result<ClaimedEvidence, NoEvidence> {
        match self.captures.evidence(&anchored).await {
            Ok(claimed) => Ok(ClaimedEvidence {
                evidence: claimed.evidence,
                game: claimed.game,
            }),
            Err(error) => {
                let words = error.to_string();
                Err(match error {
                    NoProof::NotClaimed { .. } | NoProof::NotHeld(_) => NoEvidence::NotClaimed(words),
                    NoProof::Unprovable { error, .. } => {
                        tracing::info!(batch = %anchored.batch_id, %error, "a settlement proof cannot be made");
                        NoEvidence::Unprovable(words)
                    }
                    NoProof::Busy => NoEvidence::Busy(words),
                    NoProof::Store(_) => NoEvidence::Store(words),
                })
            }
        }
    }
}
