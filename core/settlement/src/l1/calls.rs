//! Several contract calls at one block, in one round trip.

use std::marker::PhantomData;

use alloy::{
    eips::BlockId,
    providers::Provider,
    rpc::{
        client::{BatchRequest, Waiter},
        types::{Header, TransactionRequest},
    },
    sol_types::SolCall,
    transports::{RpcError, TransportError},
};
use alloy_primitives::{Address, Bytes, TxKind};
use set_chain::transport_cause;

use super::{L1Error, L1Provider};

/// Calls that providers take in one batch without complaint.
const BATCH: usize = 100;

/// Calls to make; each gives a place to find its answer at.
pub(super) struct Calls {
    at: BlockId,
    calls: Vec<(Address, Bytes)>,
}

/// Where the answer to a call will be.
pub(super) struct Place<C> {
    index: usize,
    call: PhantomData<C>,
}

/// What the contracts answered.
pub(super) struct Answers(Vec<Answer>);

enum Answer {
    Returned { contract: Address, data: Bytes },
    Reverted { contract: Address, words: String },
}

impl Calls {
    pub(super) const fn new(at: BlockId) -> Self {
        Self { at, calls: vec![] }
    }

    /// Adds a call.
    pub(super) fn add<C: SolCall>(&mut self, contract: Address, call: &C) -> Place<C> {
        self.calls.push((contract, call.abi_encode().into()));
        Place {
            index: self.calls.len() - 1,
            call: PhantomData,
        }
    }

    /// Asks; in one request, unless there are more calls than one takes.
    pub(super) async fn send(self, provider: &L1Provider) -> Result<Answers, L1Error> {
        let mut answers = Vec::with_capacity(self.calls.len());
        for chunk in self.calls.chunks(BATCH) {
            let mut batch = BatchRequest::new(provider.client());
            let mut waiting = vec![];
            for (contract, data) in chunk {
                waiting.push((*contract, add(&mut batch, *contract, data, self.at)?));
            }
            batch.send().await?;
            for (contract, waiter) in waiting {
                answers.push(match waiter.await {
                    Ok(data) => Answer::Returned { contract, data },
                    Err(error) if is_revert(&error) => Answer::Reverted {
                        contract,
                        words: transport_cause(&error),
                    },
                    Err(error) => return Err(error.into()),
                });
            }
        }
        Ok(Answers(answers))
    }

    /// Asks, and for the header of the block as well, all in one request where it is not too long.
    pub(super) async fn send_with_header(self, provider: &L1Provider) -> Result<(Answers, Header), L1Error> {
        let at = self.at;
        let header = async {
            let block = provider.get_block(at).await.map_err(L1Error::from)?;
            block.map(|block| block.header).ok_or(L1Error::NoBlock(at))
        };
        tokio::try_join!(self.send(provider), header)
    }
}

fn add(
    batch: &mut BatchRequest<'_>,
    contract: Address,
    data: &Bytes,
    at: BlockId,
) -> Result<Waiter<Bytes>, TransportError> {
    let request = TransactionRequest {
        to: Some(TxKind::Call(contract)),
        input: data.clone().into(),
        ..TransactionRequest::default()
    };
    batch.add_call("eth_call", &(request, at))
}

/// Whether the contract refused, rather than the node. Nodes have two codes for it, and words.
fn is_revert(error: &TransportError) -> bool {
    /// geth, reth, Erigon, Besu; and Nethermind.
    const REVERTED: [i64; 2] = [3, -32_015];
    match error {
        RpcError::ErrorResp(payload) => {
            REVERTED.contains(&payload.code) || payload.message.to_ascii_lowercase().contains("revert")
        }
        _ => false,
    }
}

impl Answers {
    /// The answer to a call that the contract has to know.
    pub(super) fn get<C: SolCall>(&self, place: &Place<C>) -> Result<C::Return, L1Error> {
        let refused = |contract: Address, cause: String| L1Error::Contract {
            contract,
            function: C::SIGNATURE,
            cause,
        };
        match &self.0[place.index] {
            Answer::Returned { contract, data } if data.is_empty() => Err(refused(
                *contract,
                "nothing is returned: no such contract is there".to_owned(),
            )),
            Answer::Returned { contract, data } => C::abi_decode_returns_validate(data)
                .map_err(|error| refused(*contract, format!("the answer cannot be read: {error}"))),
            Answer::Reverted { contract, words } => Err(refused(*contract, words.clone())),
        }
    }

    /// The answer to a call that not every contract knows: `None` where it does not, or answers something else.
    pub(super) fn find<C: SolCall>(&self, place: &Place<C>) -> Option<C::Return> {
        self.get(place).ok()
    }
}
