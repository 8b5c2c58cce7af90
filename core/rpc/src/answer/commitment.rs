//! `set_getCommitment`, `set_listCommitments`, `set_pendingCommitments`.

use alloy_primitives::{B256, U64};
use serde::{Deserialize, Serialize};
use set_chain::{ChainView, SettlementTag};
use set_index::Anchored;
use set_settlement::Settled;
use set_types::{BatchId, PendingCommitment, Stage, StoreId, TenantId, Timestamp};

use super::{ClaimAnswer, L1BlockAnswer, SettlementLevel};

/// A commitment, on its way or on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitmentAnswer {
    /// The commitment.
    pub batch_id: BatchId,
    /// The stream's key: `keccak256(tenantId, storeId)`.
    pub stream_key: B256,
    /// The stream's tenant; null where only the key is known.
    pub tenant_id: Option<TenantId>,
    /// The stream's store; null where only the key is known.
    pub store_id: Option<StoreId>,
    /// Root of the batch's event tree.
    pub events_root: B256,
    /// State root before the batch; null once only the chain is asked.
    pub prev_state_root: Option<B256>,
    /// State root after the batch.
    pub new_state_root: B256,
    /// First sequence number.
    pub sequence_start: u64,
    /// Last sequence number.
    pub sequence_end: u64,
    /// Number of events.
    pub event_count: u32,
    /// When the source made it; null once only the chain is asked.
    pub committed_at: Option<Timestamp>,
    /// Where it stands.
    pub stage: Stage,
    /// Why it is not further; null where nothing hinders it.
    pub reason: Option<String>,
    /// Since when it stands there; null once only the chain is asked.
    pub since: Option<Timestamp>,
    /// Its transaction.
    pub tx_hash: Option<B256>,
    /// The L2 block of that transaction.
    pub block_number: Option<U64>,
    /// That block's hash.
    pub block_hash: Option<B256>,
    /// That block's timestamp, in seconds since 1970.
    pub block_timestamp: Option<U64>,
    /// Position of the log in that block.
    pub log_index: Option<U64>,
    /// How settled the block is: `included`, `safe`, `finalized`, `claimed` or `resolved`.
    pub settlement: Option<SettlementLevel>,
    /// The L1 block with which the block's data was complete on L1; null before, and where op-node does not tell.
    pub safe_l1_block: Option<L1BlockAnswer>,
    /// The dispute game that claims the block or a later one: the first that was resolved, else the first. Null where
    /// there is none, or L1 is not followed.
    pub claim: Option<ClaimAnswer>,
    /// Whether the source is known to have recorded the anchor.
    pub reported: bool,
}

impl CommitmentAnswer {
    /// A commitment that the index holds, as settled as `view` says, and as L1 says of its block.
    pub(crate) fn anchored(anchored: &Anchored, view: &ChainView, settled: &Settled) -> Self {
        let tag = anchored.settlement(view);
        // What is known of a block means nothing while nobody knows whether the chain has it.
        let claim = settled.claim.filter(|_| tag.is_some());
        let safe_l1_block = settled.safe_l1_block.filter(|_| tag >= Some(SettlementTag::Safe));
        let settlement = tag.map(|tag| SettlementLevel::new(tag, claim.as_ref()));
        let stage = match tag {
            _ if anchored.reported => Stage::Reported,
            Some(SettlementTag::Finalized) => Stage::Finalized,
            Some(SettlementTag::Safe) => Stage::Safe,
            Some(SettlementTag::Included) | None => Stage::Included,
        };
        let reason = settlement.is_none().then(|| {
            let why = "the node's newest block is below the commitment's, or unknown";
            format!("{why}; a reorg may be under way")
        });
        Self {
            batch_id: anchored.batch_id,
            stream_key: anchored.stream_key,
            tenant_id: anchored.stream.map(|stream| stream.tenant_id),
            store_id: anchored.stream.map(|stream| stream.store_id),
            events_root: anchored.events_root,
            prev_state_root: None,
            new_state_root: anchored.new_state_root,
            sequence_start: anchored.sequence_start,
            sequence_end: anchored.sequence_end,
            event_count: anchored.event_count,
            committed_at: None,
            stage,
            reason,
            since: None,
            tx_hash: Some(anchored.tx_hash),
            block_number: Some(U64::from(anchored.block.number)),
            block_hash: Some(anchored.block.hash),
            block_timestamp: Some(U64::from(anchored.block.timestamp)),
            log_index: Some(U64::from(anchored.log_index)),
            settlement,
            safe_l1_block: safe_l1_block.map(Into::into),
            claim: claim.map(Into::into),
            reported: anchored.reported,
        }
    }

    /// Adds what the pipeline knows beside the chain. Where both know a stage, the later one is true:
    /// the two learn of a block or a report at different moments.
    pub(crate) fn with_pending(self, pending: PendingCommitment) -> Self {
        let same = pending.commitment.events_root == self.events_root;
        if !same {
            let reason = "the source lists another events root under this id than the chain holds";
            return Self {
                reason: Some(reason.to_owned()),
                ..self
            };
        }
        Self {
            tenant_id: Some(pending.commitment.tenant_id),
            store_id: Some(pending.commitment.store_id),
            prev_state_root: Some(pending.commitment.prev_state_root),
            committed_at: Some(pending.commitment.committed_at),
            stage: self.stage.max(pending.stage),
            reason: pending.reason.or(self.reason),
            since: Some(pending.since),
            ..self
        }
    }
}

/// A commitment that only the pipeline knows.
impl From<PendingCommitment> for CommitmentAnswer {
    fn from(pending: PendingCommitment) -> Self {
        let commitment = pending.commitment;
        let settlement = match pending.stage {
            Stage::Included => Some(SettlementLevel::Included),
            Stage::Safe => Some(SettlementLevel::Safe),
            Stage::Finalized => Some(SettlementLevel::Finalized),
            _ => None,
        };
        Self {
            batch_id: commitment.batch_id,
            stream_key: commitment.stream().key(),
            tenant_id: Some(commitment.tenant_id),
            store_id: Some(commitment.store_id),
            events_root: commitment.events_root,
            prev_state_root: Some(commitment.prev_state_root),
            new_state_root: commitment.new_state_root,
            sequence_start: commitment.sequence_start,
            sequence_end: commitment.sequence_end,
            event_count: commitment.event_count,
            committed_at: Some(commitment.committed_at),
            stage: pending.stage,
            reason: pending.reason,
            since: Some(pending.since),
            tx_hash: pending.tx_hash,
            block_number: pending.block_number.map(U64::from),
            block_hash: None,
            block_timestamp: None,
            log_index: None,
            settlement,
            safe_l1_block: None,
            claim: None,
            reported: pending.stage == Stage::Reported,
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageAnswer<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to give as `cursor` for the next page; null after the last. Opaque.
    pub next_cursor: Option<String>,
}
