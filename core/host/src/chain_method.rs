//! Which methods of the execution node a plugin may ask.

/// Methods of the execution API that only read, and whose cost the node itself bounds. Signing, sending,
/// filters (they are state of the node) and every other namespace are out.
pub const READ_ONLY: [&str; 20] = [
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_createAccessList",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getBlockReceipts",
    "eth_getCode",
    "eth_getLogs",
    "eth_getProof",
    "eth_getStorageAt",
    "eth_getTransactionByHash",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
    "eth_maxPriorityFeePerGas",
    "eth_syncing",
];

/// Whether `name` is one of [`READ_ONLY`].
pub(crate) fn is_read_only(name: &str) -> bool {
    READ_ONLY.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_holds_no_writer() {
        assert!(READ_ONLY.is_sorted());
        assert!(is_read_only("eth_call") && is_read_only("eth_syncing"));
        for writer in [
            "eth_sendRawTransaction",
            "eth_sign",
            "eth_newFilter",
            "engine_newPayloadV4",
            "ETH_CALL",
            "",
        ] {
            assert!(!is_read_only(writer), "{writer}");
        }
    }
}
