//! `set_getStreamHead`.

use alloy_primitives::{B256, U64};
use serde::{Deserialize, Serialize};
use set_types::{BatchId, StoreId, TenantId};

/// Where a stream stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamHeadAnswer {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The tenant's store.
    pub store_id: StoreId,
    /// The stream's key: `keccak256(tenantId, storeId)`.
    pub stream_key: B256,
    /// The newest commitment, by the registry at its newest block; null where there is none.
    pub batch_id: Option<BatchId>,
    /// State root after it; zero where there is none.
    pub state_root: B256,
    /// Last sequence number committed; 0 where there is none.
    pub sequence: u64,
    /// The same, by the index; null where it holds no commitment of the stream.
    pub indexed: Option<IndexedHeadAnswer>,
}

/// A stream's newest commitment by the index, which may be a block behind the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexedHeadAnswer {
    /// The commitment.
    pub batch_id: BatchId,
    /// State root after it.
    pub state_root: B256,
    /// Last sequence number.
    pub sequence: u64,
    /// Its L2 block.
    pub block_number: U64,
    /// Commitments of the stream.
    pub commitments: u64,
}
