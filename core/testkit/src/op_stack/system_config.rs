//! Changing what the chain charges while it runs.

use alloy_primitives::{Address, Bytes, U256, hex};
use alloy_sol_types::{SolCall, SolEvent, SolValue};
use serde_json::{Value, json};

use super::{
    OpStack, OpStackError,
    bindings::{Proxy, SystemConfig},
    l1::{OWNER, mined, send_as_owner, upgrade},
};
use crate::{Anvil, AnvilError};

/// A change that SystemConfig on L1 announces (specification, "System Config", update types), and that L2's blocks
/// follow once they take their origin from the L1 block that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemConfigChange {
    /// Gas limit of a block.
    GasLimit(u64),
    /// How the base fee moves.
    Eip1559 {
        /// The base fee moves by at most one part in so many a block.
        denominator: u32,
        /// The gas limit's ratio to the gas target.
        elasticity: u32,
    },
    /// Operator fee of a transaction: gas × scalar × 100 + constant, in wei.
    OperatorFee {
        /// Wei for a hundredth unit of gas.
        scalar: u32,
        /// Wei a transaction.
        constant: u64,
    },
    /// Least base fee, in wei per gas.
    MinBaseFee(u64),
    /// DA footprint gas per estimated byte.
    DaFootprintGasScalar(u16),
}

impl SystemConfigChange {
    const fn update_type(self) -> u8 {
        match self {
            Self::GasLimit(_) => 2,
            Self::Eip1559 { .. } => 4,
            Self::OperatorFee { .. } => 5,
            Self::MinBaseFee(_) => 6,
            Self::DaFootprintGasScalar(_) => 7,
        }
    }

    fn word(self) -> U256 {
        match self {
            Self::GasLimit(gas) => U256::from(gas),
            Self::Eip1559 {
                denominator,
                elasticity,
            } => (U256::from(denominator) << 32) | U256::from(elasticity),
            Self::OperatorFee { scalar, constant } => (U256::from(scalar) << 64) | U256::from(constant),
            Self::MinBaseFee(wei) => U256::from(wei),
            Self::DaFootprintGasScalar(scalar) => U256::from(scalar),
        }
    }
}

impl OpStack {
    /// Has SystemConfig announce a change, in an L1 block of its own, and returns once that is there.
    ///
    /// The SystemConfig of L1 has no functions for what came after Holocene, and nodes read its events only: so its
    /// proxy becomes a contract that emits the event, and then itself again.
    ///
    /// # Errors
    /// See [`OpStackError`].
    pub async fn change_system_config(&self, change: SystemConfigChange) -> Result<(), OpStackError> {
        let update = Bytes::from(change.word().abi_encode());
        let call = [U256::from(change.update_type()).abi_encode(), update.abi_encode()].concat();
        let emitter = self.create_emitter().await?;
        let proxy = self.contracts.system_config;
        send_as_owner(&self.l1, "announcing the change", proxy, upgrade(emitter, call)).await?;
        let implementation = self.contracts.system_config_implementation;
        let back = Proxy::upgradeToCall { implementation }.abi_encode();
        send_as_owner(&self.l1, "putting SystemConfig back", proxy, back).await
    }

    /// A contract that emits `ConfigUpdate(0, type, data)` when it is called with the type as a word and the
    /// event's data behind.
    async fn create_emitter(&self) -> Result<Address, OpStackError> {
        let code = [
            // Copies what follows these nine bytes into place: the 48 bytes of the contract.
            hex!("60308060095f395ff3").as_slice(),
            // The topics: type, version, event.
            &hex!("5f355f7f"),
            SystemConfig::ConfigUpdate::SIGNATURE_HASH.as_slice(),
            // The length and the bytes of the data.
            &hex!("60203603"),
            &hex!("8060205f37"),
            &hex!("5fa300"),
        ]
        .concat();
        let from = Anvil::account(OWNER).address();
        let request = json!({ "from": from, "gas": U256::from(100_000), "input": Bytes::from(code) });
        let failed = |error| OpStackError::from(AnvilError::from(error));
        let hash: Value = self.l1.call("eth_sendTransaction", (request,)).await.map_err(failed)?;
        mined(&self.l1, &[("creating what announces the change", hash.clone())]).await?;
        let receipt: Value = self
            .l1
            .call("eth_getTransactionReceipt", (hash,))
            .await
            .map_err(failed)?;
        let address = receipt["contractAddress"].as_str().and_then(|text| text.parse().ok());
        address.ok_or(OpStackError::Answer {
            method: "eth_getTransactionReceipt",
            answer: receipt.to_string(),
        })
    }
}
