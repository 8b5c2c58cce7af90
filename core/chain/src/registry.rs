//! Questions to SetRegistry, one round trip each.

use alloy::{
    eips::BlockId,
    providers::Provider,
    rpc::client::{BatchRequest, Waiter},
    transports::{RpcError, TransportResult},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use serde_json::json;
use set_types::{BatchId, RecordedCommitment, StreamHead, StreamId};

use crate::{ChainError, L2Provider, bindings::SetRegistry};

const METHOD: &str = "eth_call";

/// Reads a SetRegistry. Uses only what the public registry answers too, save the previous state root,
/// which is `None` there.
#[derive(Debug, Clone)]
pub struct RegistryReader {
    provider: L2Provider,
    address: Address,
}

impl RegistryReader {
    /// A reader of the registry at `address` (its proxy).
    pub const fn new(provider: L2Provider, address: Address) -> Self {
        Self { provider, address }
    }

    /// The registry's address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Asks the contract whether a leaf is in a batch.
    ///
    /// # Errors
    /// [`ChainError`] if the node cannot be asked or the address holds no registry. A proof that does
    /// not verify, or a batch that is not committed, is `false`.
    pub async fn verify_inclusion(
        &self,
        batch_id: BatchId,
        leaf: B256,
        path: Vec<B256>,
        index: u64,
        at: BlockId,
    ) -> Result<bool, ChainError> {
        let call = SetRegistry::verifyInclusionCall {
            batchId: batch_id.to_b256(),
            leaf,
            proof: path,
            index: U256::from(index),
        };
        let mut batch = BatchRequest::new(self.provider.client());
        let answer = self.ask(&mut batch, &call, at)?;
        send(batch).await?;
        decode::<SetRegistry::verifyInclusionCall>(answer.await)
    }

    /// What the registry holds under an id, or `None` where it holds nothing.
    ///
    /// # Errors
    /// [`ChainError`] if the node cannot be asked or the address holds no registry.
    pub async fn record(&self, batch_id: BatchId, at: BlockId) -> Result<Option<RecordedCommitment>, ChainError> {
        let id = batch_id.to_b256();
        let mut batch = BatchRequest::new(self.provider.client());
        let record = self.ask(&mut batch, &SetRegistry::getBatchCommitmentCall { batchId: id }, at)?;
        let previous = self.ask(&mut batch, &SetRegistry::getPrevStateRootCall { batchId: id }, at)?;
        send(batch).await?;
        let record = decode::<SetRegistry::getBatchCommitmentCall>(record.await)?;
        // A commitment never has a zero events root, so this is the contract's "nothing here".
        if record.eventsRoot.is_zero() {
            return Ok(None);
        }
        let prev_state_root = match previous.await {
            Ok(bytes) => SetRegistry::getPrevStateRootCall::abi_decode_returns(&bytes).ok(),
            Err(RpcError::ErrorResp(_)) => None,
            Err(error) => return Err(ChainError::rpc(METHOD, &error)),
        };
        Ok(Some(RecordedCommitment {
            batch_id,
            events_root: record.eventsRoot,
            prev_state_root,
            new_state_root: record.newStateRoot,
            sequence_start: record.sequenceStart,
            sequence_end: record.sequenceEnd,
            event_count: record.eventCount,
            timestamp: record.timestamp,
        }))
    }

    /// Where streams stand, in the order asked. One call of the batch for each: geth takes 1,000 in one.
    ///
    /// # Errors
    /// [`ChainError`] if the node cannot be asked or the address holds no registry.
    pub async fn heads(&self, streams: &[StreamId], at: BlockId) -> Result<Vec<StreamHead>, ChainError> {
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = BatchRequest::new(self.provider.client());
        let answers = streams
            .iter()
            .map(|stream| {
                let call = SetRegistry::getTenantStoreSummaryCall {
                    tenantId: stream.tenant_id.to_b256(),
                    storeId: stream.store_id.to_b256(),
                };
                self.ask(&mut batch, &call, at)
            })
            .collect::<Result<Vec<_>, _>>()?;
        send(batch).await?;
        let mut heads = Vec::with_capacity(streams.len());
        for (stream, answer) in streams.iter().zip(answers) {
            let summary = decode::<SetRegistry::getTenantStoreSummaryCall>(answer.await)?;
            heads.push(StreamHead {
                stream: *stream,
                batch_id: (!summary.latestBatchId.is_zero()).then(|| summary.latestBatchId.into()),
                state_root: summary.currentStateRoot,
                sequence: summary.currentHeadSequence,
            });
        }
        Ok(heads)
    }

    fn ask<C: SolCall>(
        &self,
        batch: &mut BatchRequest<'_>,
        call: &C,
        at: BlockId,
    ) -> Result<Waiter<Bytes>, ChainError> {
        let params = (
            json!({ "to": self.address, "data": Bytes::from(call.abi_encode()) }),
            at,
        );
        batch
            .add_call(METHOD, &params)
            .map_err(|error| ChainError::rpc(METHOD, &error))
    }
}

async fn send(batch: BatchRequest<'_>) -> Result<(), ChainError> {
    batch.send().await.map_err(|error| ChainError::rpc(METHOD, &error))
}

fn decode<C: SolCall>(answer: TransportResult<Bytes>) -> Result<C::Return, ChainError> {
    let bytes = answer.map_err(|error| ChainError::rpc(METHOD, &error))?;
    C::abi_decode_returns(&bytes).map_err(|error| ChainError::Answer {
        method: METHOD,
        cause: format!(
            "{} gives no such value ({error}); is the registry's address right?",
            C::SIGNATURE
        ),
    })
}
