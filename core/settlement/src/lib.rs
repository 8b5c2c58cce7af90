//! How far Ethereum has settled the chain: safe heads, dispute games, and proofs that are kept.

pub mod capture;
pub mod l1;
mod safe_heads;
mod store;
