//! stand-in until set-proof is there
use alloy_primitives::{Address, B256, Bytes};
use set_types::BatchId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GameClaim {
    pub game: Address,
    pub index: u64,
    pub game_type: u32,
    pub root_claim: B256,
    pub l2_block: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub batch_id: BatchId,
    pub header: Bytes,
    pub registry_account: Vec<Bytes>,
    pub storage: Vec<(B256, Vec<Bytes>)>,
    pub data_contract: Option<(Vec<Bytes>, Bytes)>,
}
