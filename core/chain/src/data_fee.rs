//! What an OP Stack chain charges beside gas: the L1 data fee and the operator fee.
//!
//! Neither is capped by anything that a transaction says, so a quote holds as long as what it states.

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
    /// How many times what L1 asks now the L1 data fee of a quote is. L1's base fee (EIP-1559) and blob base
    /// fee (EIP-4844) rise by about an eighth a block at most, so a quote holds for five L1 blocks in any case.
    pub const MARGIN: u64 = 2;

    /// Asks for the fees of a signed transaction of `bytes` bytes, whatever they are, that uses at most `gas`
    /// gas, in one round trip. Zero on a chain without the predeploy, or for a fee that its fork does not have.
    ///
    /// The L1 data fee is [`MARGIN`](Self::MARGIN) times what such bytes cost now where they do not compress;
    /// the operator fee is what it is now, until the operator changes it.
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
            unsignedTxSize: U256::from(incompressible(bytes)),
        }
        .abi_encode())?;
        let operator_fee = ask(getOperatorFeeCall {
            gasUsed: U256::from(gas),
        }
        .abi_encode())?;
        batch.send().await.map_err(|error| ChainError::rpc(METHOD, &error))?;
        Ok(Self {
            l1_fee: word(l1_fee.await)?.saturating_mul(U256::from(Self::MARGIN)),
            operator_fee: word(operator_fee.await)?,
        })
    }

    /// Both, summed.
    pub fn total(&self) -> U256 {
        self.l1_fee.saturating_add(self.operator_fee)
    }
}

/// What FastLZ makes of so many bytes at most: a byte more for each run of up to 32 literals. The predeploy
/// reckons with one for each 255, which is too few for bytes that do not compress.
const fn incompressible(bytes: u64) -> u64 {
    bytes.saturating_add(bytes.div_ceil(32))
}

/// No code answers with nothing, an older fork's code reverts; both mean that there is no such fee.
fn word(answer: TransportResult<Bytes>) -> Result<U256, ChainError> {
    match answer {
        Ok(bytes) => Ok(U256::try_from_be_slice(&bytes).unwrap_or_default()),
        Err(RpcError::ErrorResp(_)) => Ok(U256::ZERO),
        Err(error) => Err(ChainError::rpc("eth_call", &error)),
    }
}
