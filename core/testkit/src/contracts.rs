//! SetRegistry and SetPaymaster on a development chain.

use alloy::{
    network::{ReceiptResponse, TransactionBuilder},
    providers::Provider,
    rpc::types::TransactionRequest,
    transports::TransportError,
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{SolCall, SolConstructor};
use set_chain::bindings::{Erc1967Proxy, SetPaymaster, SetRegistry};

use crate::anvil::Anvil;

/// Enough for the largest of the four creations; four of them fit into a block of 30 million.
const CREATION_GAS: u64 = 7_000_000;

/// Where the contracts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contracts {
    /// SetRegistry's proxy.
    pub registry: Address,
    /// SetPaymaster's proxy.
    pub paymaster: Address,
    /// The block that holds both; nothing was committed before it.
    pub block: u64,
}

/// Why the contracts are not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The chain answers with an error.
    #[error("the chain answers with an error: {0}")]
    Rpc(#[from] TransportError),
    /// A transaction failed, or was not mined.
    #[error("the transaction {hash} that creates {what} {failure}")]
    Creation {
        /// The contract.
        what: &'static str,
        /// The transaction.
        hash: B256,
        /// What is wrong.
        failure: &'static str,
    },
}

/// Deploys both contracts behind proxies from account 0, which owns them and is the paymaster's
/// treasury, and authorises `sequencer` to commit. Makes a block; needs no waiting in any mining mode.
///
/// # Errors
/// See [`DeployError`].
pub async fn deploy(chain: &Anvil, sequencer: Address) -> Result<Contracts, DeployError> {
    let owner = Anvil::account(0).address();
    let provider = chain.provider();
    let nonce = provider.get_transaction_count(owner).await?;
    let [registry_code, registry, paymaster_code, paymaster] = [0, 1, 2, 3].map(|ahead| owner.create(nonce + ahead));
    let registry_call = SetRegistry::initializeCall {
        initialOwner: owner,
        initialSequencer: sequencer,
    };
    let paymaster_call = SetPaymaster::initializeCall { owner, treasury: owner };
    let creations = [
        ("SetRegistry", SetRegistry::BYTECODE.clone()),
        ("SetRegistry's proxy", proxy(registry_code, registry_call.abi_encode())),
        ("SetPaymaster", SetPaymaster::BYTECODE.clone()),
        (
            "SetPaymaster's proxy",
            proxy(paymaster_code, paymaster_call.abi_encode()),
        ),
    ];
    let mut sent = vec![];
    for (nonce, (what, code)) in (nonce..).zip(creations) {
        let request = TransactionRequest::default()
            .with_from(owner)
            .with_nonce(nonce)
            .with_gas_limit(CREATION_GAS)
            .with_deploy_code(code);
        let hash = *provider.send_transaction(request.into()).await?.tx_hash();
        sent.push((what, hash));
    }
    chain.mine(1).await?;
    let mut block = 0;
    for (what, hash) in sent {
        let failed = |failure| DeployError::Creation { what, hash, failure };
        let receipt = provider.get_transaction_receipt(hash).await?;
        let receipt = receipt.ok_or_else(|| failed("was not mined"))?;
        if !receipt.status() {
            return Err(failed("failed"));
        }
        block = block.max(receipt.block_number().unwrap_or_default());
    }
    Ok(Contracts {
        registry,
        paymaster,
        block,
    })
}

/// Creation code of a proxy that runs `initializer` on its implementation.
fn proxy(implementation: Address, initializer: Vec<u8>) -> Bytes {
    let arguments = Erc1967Proxy::constructorCall {
        implementation,
        _data: initializer.into(),
    };
    [Erc1967Proxy::BYTECODE.as_ref(), &arguments.abi_encode()]
        .concat()
        .into()
}
