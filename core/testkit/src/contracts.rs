//! SetRegistry and SetPaymaster on a development chain.

use std::time::Duration;

use alloy::{
    consensus::{SignableTransaction, TxEip1559},
    eips::eip2718::Encodable2718,
    network::{ReceiptResponse, TxSignerSync},
    providers::Provider,
    transports::TransportError,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::{SolCall, SolConstructor};
use set_chain::{
    L2Provider,
    bindings::{Erc1967Proxy, SetPaymaster, SetRegistry},
};

use crate::anvil::Anvil;

/// Enough for the largest of the four creations; four of them fit into a block of 30 million.
const CREATION_GAS: u64 = 7_000_000;
/// In wei per gas; nodes leave out what pays them nothing.
const TIP: u128 = 1_000_000;
/// How long a node may take to include them: some blocks.
const INCLUSION: Duration = Duration::from_secs(120);

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
    /// A transaction could not be signed.
    #[error(transparent)]
    Signature(#[from] alloy::signers::Error),
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
    let sent = send(chain.provider(), sequencer).await?;
    chain.mine(1).await?;
    sent.contracts(chain.provider()).await
}

/// As [`deploy()`], on a node that makes blocks by itself: waits until one holds them.
///
/// # Errors
/// See [`DeployError`].
pub async fn deploy_on(provider: &L2Provider, sequencer: Address) -> Result<Contracts, DeployError> {
    let sent = send(provider, sequencer).await?;
    // Blocks announce themselves to nobody who does not ask.
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    let inclusion = async {
        for (_, hash) in &sent.creations {
            while provider.get_transaction_receipt(*hash).await?.is_none() {
                pause.tick().await;
            }
        }
        Ok::<_, DeployError>(())
    };
    if let Ok(included) = tokio::time::timeout(INCLUSION, inclusion).await {
        included?;
    }
    sent.contracts(provider).await
}

/// What was sent to make the contracts.
struct Sent {
    registry: Address,
    paymaster: Address,
    creations: Vec<(&'static str, B256)>,
}

async fn send(provider: &L2Provider, sequencer: Address) -> Result<Sent, DeployError> {
    let signer = Anvil::account(0);
    let owner = signer.address();
    let nonce = provider.get_transaction_count(owner).await?;
    let chain_id = provider.get_chain_id().await?;
    let max_fee_per_gas = 2 * provider.get_gas_price().await? + TIP;
    let [registry_code, registry, paymaster_code, paymaster] = [0, 1, 2, 3].map(|ahead| owner.create(nonce + ahead));
    let registry_call = SetRegistry::initializeCall {
        initialOwner: owner,
        initialSequencer: sequencer,
    };
    let paymaster_call = SetPaymaster::initializeCall { owner, treasury: owner };
    let codes = [
        ("SetRegistry", SetRegistry::BYTECODE.clone()),
        ("SetRegistry's proxy", proxy(registry_code, registry_call.abi_encode())),
        ("SetPaymaster", SetPaymaster::BYTECODE.clone()),
        (
            "SetPaymaster's proxy",
            proxy(paymaster_code, paymaster_call.abi_encode()),
        ),
    ];
    let mut creations = vec![];
    for (nonce, (what, code)) in (nonce..).zip(codes) {
        let mut transaction = TxEip1559 {
            chain_id,
            nonce,
            gas_limit: CREATION_GAS,
            max_fee_per_gas,
            max_priority_fee_per_gas: TIP,
            to: TxKind::Create,
            value: U256::ZERO,
            access_list: Default::default(),
            input: code,
        };
        let signature = signer.sign_transaction_sync(&mut transaction)?;
        let raw = transaction.into_signed(signature).encoded_2718();
        creations.push((what, *provider.send_raw_transaction(&raw).await?.tx_hash()));
    }
    Ok(Sent {
        registry,
        paymaster,
        creations,
    })
}

impl Sent {
    /// The contracts, once every creation is seen to have succeeded.
    async fn contracts(self, provider: &L2Provider) -> Result<Contracts, DeployError> {
        let mut block = 0;
        for (what, hash) in self.creations {
            let failed = |failure| DeployError::Creation { what, hash, failure };
            let receipt = provider.get_transaction_receipt(hash).await?;
            let receipt = receipt.ok_or_else(|| failed("was not mined"))?;
            if !receipt.status() {
                return Err(failed("failed"));
            }
            block = block.max(receipt.block_number().unwrap_or_default());
        }
        Ok(Contracts {
            registry: self.registry,
            paymaster: self.paymaster,
            block,
        })
    }
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
