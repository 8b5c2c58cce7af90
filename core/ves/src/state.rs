//! State roots: what a stream's commitments chain on.

use alloy_primitives::B256;
use set_types::Commitment;

use crate::hash::Transcript;

/// The state root that a commitment must claim, computed from its other fields.
///
/// `None` where the tenant's or store's id is not a UUID: VES hashes 16 bytes, so such a commitment
/// has no VES state root.
pub fn state_root(commitment: &Commitment) -> Option<B256> {
    let stream_id = Transcript::new("VES_STREAM_V1")
        .uuid(commitment.tenant_id.to_uuid()?)
        .uuid(commitment.store_id.to_uuid()?)
        .finish();
    let root = Transcript::new("VES_STATE_ROOT_V1")
        .bytes(stream_id)
        .bytes(commitment.prev_state_root)
        .bytes(commitment.events_root)
        .u64(commitment.sequence_start)
        .u64(commitment.sequence_end)
        .u32(commitment.event_count)
        .finish();
    Some(root)
}
