//! stand-in until set-proof is there
use alloy_primitives::{Address, B256};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GameClaim {
    pub game: Address,
    pub index: u64,
    pub game_type: u32,
    pub root_claim: B256,
    pub l2_block: u64,
}

pub struct SettlementProof;
