//! A log of the chain, with its place.

use alloy::rpc::types::Log as ChainLog;
use alloy_primitives::B256;
use set_types::Log;

use super::FollowError;

/// A log with everything known that tells where it is.
pub(super) struct Located {
    pub(super) log: Log,
    pub(super) block: u64,
    pub(super) block_hash: B256,
    pub(super) timestamp: Option<u64>,
    pub(super) tx_hash: B256,
    pub(super) log_index: u64,
}

impl Located {
    pub(super) fn new(log: ChainLog) -> Result<Self, FollowError> {
        let lacking = || FollowError::Node {
            method: "eth_getLogs",
            cause: "a log lacks its block, transaction or index".to_owned(),
        };
        Ok(Self {
            block: log.block_number.ok_or_else(lacking)?,
            block_hash: log.block_hash.ok_or_else(lacking)?,
            // Some proxies fill in zero where the node says nothing.
            timestamp: log.block_timestamp.filter(|timestamp| *timestamp > 0),
            tx_hash: log.transaction_hash.ok_or_else(lacking)?,
            log_index: log.log_index.ok_or_else(lacking)?,
            log: {
                let (topics, data) = log.inner.data.split();
                Log {
                    address: log.inner.address,
                    topics,
                    data,
                }
            },
        })
    }
}
