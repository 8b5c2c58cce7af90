//! The contracts, as `contracts/abi/*.json` (`{abi, bytecode}`) describes them.

use alloy_sol_types::sol;

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
