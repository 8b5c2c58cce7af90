//! What the handlers share.

use std::sync::Arc;

use set_chain::ChainView;
use set_index::Index;
use set_settlement::Settlement;
use tokio::sync::watch;

use crate::{
    args::Number,
    error::RpcError,
    port::{Pending, Plugins, Registry, SettlementProofs, StatusReport},
    proofs::Proofs,
};

/// What the server answers from.
#[derive(Clone)]
pub struct Parts {
    /// Chain id of the L2.
    pub chain_id: u64,
    /// The program's version.
    pub version: &'static str,
    /// What the chain holds.
    pub index: Index,
    /// The chain's head and tags.
    pub heads: watch::Receiver<Arc<ChainView>>,
    /// The registry's own word.
    pub registry: Arc<dyn Registry>,
    /// Commitments on their way.
    pub pending: Arc<dyn Pending>,
    /// The state of the other parts.
    pub status: Arc<dyn StatusReport>,
    /// The plugins.
    pub plugins: Arc<dyn Plugins>,
    /// How far L1 has settled blocks; `None` where nobody follows it.
    pub settlement: Option<Settlement>,
    /// What links commitments to Ethereum; `None` where no game on L1 is followed.
    pub proofs: Option<Arc<dyn SettlementProofs>>,
}

pub(crate) struct Service {
    pub(crate) parts: Parts,
    pub(crate) proofs: Proofs,
    pub(crate) max_page: u32,
}

impl Service {
    /// The chain as its node told last.
    pub(crate) fn view(&self) -> Arc<ChainView> {
        Arc::clone(&self.parts.heads.borrow())
    }

    /// The length of a page: what is asked for, or all that is allowed.
    pub(crate) fn page(&self, limit: Option<Number>) -> Result<usize, RpcError> {
        let allowed = u64::from(self.max_page);
        let Number(limit) = limit.unwrap_or(Number(allowed));
        if limit == 0 || limit > allowed {
            let message = format!("is {limit}; give 1 to {allowed}");
            return Err(RpcError::InvalidParam {
                param: "limit",
                message,
            });
        }
        // At most `max_page`, which fits.
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    }
}
