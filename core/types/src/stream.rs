//! Streams: one chain of commitments per tenant and store.

use std::fmt;

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

use crate::{BatchId, StoreId, TenantId};

/// One store of one tenant: the unit of ordering. Commitments of a stream chain on one another;
/// streams never wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The tenant's store.
    pub store_id: StoreId,
}

impl StreamId {
    /// The registry's key of the stream: `keccak256(abi.encodePacked(tenantId, storeId))`.
    pub fn key(&self) -> B256 {
        let mut packed = [0u8; 64];
        packed[..32].copy_from_slice(self.tenant_id.to_b256().as_slice());
        packed[32..].copy_from_slice(self.store_id.to_b256().as_slice());
        keccak256(packed)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant_id, self.store_id)
    }
}

/// Where a stream stands on chain: its newest commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    /// The stream.
    #[serde(flatten)]
    pub stream: StreamId,
    /// The newest commitment, or `None` where the stream has none yet.
    pub batch_id: Option<BatchId>,
    /// State root after the newest commitment; zero where there is none.
    pub state_root: B256,
    /// Last sequence number committed; 0 where there is none (sequences start at 1).
    pub sequence: u64,
}

impl StreamHead {
    /// The head of a stream that the chain has never seen.
    pub const fn unopened(stream: StreamId) -> Self {
        Self {
            stream,
            batch_id: None,
            state_root: B256::ZERO,
            sequence: 0,
        }
    }

    /// Whether the chain holds a commitment of this stream.
    pub const fn is_opened(&self) -> bool {
        self.batch_id.is_some()
    }
}
