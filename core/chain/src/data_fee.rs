//! What an OP Stack chain charges beside gas: the L1 data fee and the operator fee.

use alloy::{
    eips::BlockNumberOrTag,
    providers::Provider,
    rpc::client::BatchRequest,
    transports::{RpcError, TransportResult},
};
use alloy_primitives::{Address, Bytes, U256, address};
use alloy_sol_types::{SolCall, sol};
use serde_json::json;

use crate::{ChainError, L2Provider};

/// The fee predeploy of every OP Stack chain (specification, "Predeploys").
const GAS_PRICE_ORACLE: Address = address!("420000000000000000000000000000000000000F");

sol! {
    /// From Fjord on.
    function getL1FeeUpperBound(uint256 unsignedTxSize) external view returns (uint256);
    /// From Isthmus on. The formula changed with Jovian, so it is asked for, never computed.
    function getOperatorFee(uint256 gasUsed) external view returns (uint256);
}

/// Fees of one transaction that neither its gas price nor its fee cap bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataFees {
    /// Upper bound of the L1 data fee, in wei.
    pub l1_fee: U256,
    /// Operator fee, in wei.
    pub operator_fee: U256,
}

impl DataFees {
    /// Asks for the fees of a transaction of `bytes` bytes that uses `gas` gas, in one round trip.
    /// Zero on a chain without the predeploy, or for a fee that its fork does not have.
    ///
    /// # Errors
    /// [`ChainError::Rpc`] if the node cannot be asked.
    pub async fn upper_bound(provider: &L2Provider, bytes: u64, gas: u64) -> Result<Self, ChainError> {
        const METHOD: &str = "eth_call";
        let client = provider.client();
        let mut batch = BatchRequest::new(client);
        let mut ask = |data: Vec<u8>| {
            let params = (
                json!({ "to": GAS_PRICE_ORACLE, "data": Bytes::from(data) }),
                BlockNumberOrTag::Latest,
            );
            batch
                .add_call::<_, Bytes>(METHOD, &params)
                .map_err(|error| ChainError::rpc(METHOD, &error))
        };
        let l1_fee = ask(getL1FeeUpperBoundCall {
            unsignedTxSize: U256::from(bytes),
        }
        .abi_encode())?;
        let operator_fee = ask(getOperatorFeeCall {
            gasUsed: U256::from(gas),
        }
        .abi_encode())?;
        batch.send().await.map_err(|error| ChainError::rpc(METHOD, &error))?;
        Ok(Self {
            l1_fee: word(l1_fee.await)?,
            operator_fee: word(operator_fee.await)?,
        })
    }

    /// Both, summed.
    pub fn total(&self) -> U256 {
        self.l1_fee.saturating_add(self.operator_fee)
    }
}

/// No code answers with nothing, an older fork's code reverts; both mean that there is no such fee.
fn word(answer: TransportResult<Bytes>) -> Result<U256, ChainError> {
    match answer {
        Ok(bytes) => Ok(U256::try_from_be_slice(&bytes).unwrap_or_default()),
        Err(RpcError::ErrorResp(_)) => Ok(U256::ZERO),
        Err(error) => Err(ChainError::rpc("eth_call", &error)),
    }
}
