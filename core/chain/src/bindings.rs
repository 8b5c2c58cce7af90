//! The contracts, as `contracts/abi/*.json` (`{abi, bytecode}`) describes them.

use alloy_sol_types::sol;
use set_types::Commitment;

sol! {
    /// The registry of commitments. Calls go to its proxy's address.
    #[derive(Debug)]
    SetRegistry,
    "../../contracts/abi/SetRegistry.json"
}

sol! {
    /// The paymaster of merchants' gas. Calls go to its proxy's address.
    #[derive(Debug)]
    SetPaymaster,
    "../../contracts/abi/SetPaymaster.json"
}

sol! {
    /// The proxy in front of each contract: `constructor(address implementation, bytes initializer)`.
    #[derive(Debug)]
    Erc1967Proxy,
    "../../contracts/abi/ERC1967Proxy.json"
}

/// The registry's nine arguments, as every SetRegistry takes them.
impl From<&Commitment> for SetRegistry::commitBatchCall {
    fn from(commitment: &Commitment) -> Self {
        Self {
            batchId: commitment.batch_id.to_b256(),
            tenantId: commitment.tenant_id.to_b256(),
            storeId: commitment.store_id.to_b256(),
            eventsRoot: commitment.events_root,
            prevStateRoot: commitment.prev_state_root,
            newStateRoot: commitment.new_state_root,
            sequenceStart: commitment.sequence_start,
            sequenceEnd: commitment.sequence_end,
            eventCount: commitment.event_count,
        }
    }
}
