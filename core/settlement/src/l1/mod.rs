//! What Ethereum says about the chain: dispute games, their claims, and what these are worth.
//!
//! Anybody may open a game and claim anything in it, so a game by itself proves nothing. All that is asked starts at the
//! address of the OptimismPortal, which its user knows; the portal names the factory that lists the games, and the rules
//! by which it would let somebody withdraw on a game's word. [`Standing`] applies those rules: what the portal would not
//! rely on is not proven here either.

mod bindings;
mod calls;
mod doubt;
mod game_type;
mod games;
mod standing;

use std::time::Duration;

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    providers::{Provider, RootProvider},
    transports::TransportError,
};
use alloy_primitives::{Address, B256};
use set_chain::{ChainError, json_rpc, transport_cause};
use url::Url;

use self::{bindings::OptimismPortal2, calls::Calls};
pub use self::{
    doubt::Doubt,
    game_type::{GameType, RootClaim},
    games::Game,
    standing::{GameStatus, Standing},
};

/// A node of L1.
pub type L1Provider = RootProvider;

/// Opens the JSON-RPC of an L1 node. Nothing is sent yet.
///
/// # Errors
/// [`ChainError`] for a URL that is not `http://` or `https://`.
pub fn connect(url: &Url, timeout: Duration) -> Result<L1Provider, ChainError> {
    Ok(RootProvider::new(json_rpc(url, timeout)?))
}

/// Why L1 could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum L1Error {
    /// The node does not answer, or refuses. Without its URL, which may hold a key.
    #[error("the L1 node cannot be asked: {0}")]
    Node(String),
    /// The node does not have the block.
    #[error("the L1 node does not have block {0:?}")]
    NoBlock(BlockId),
    /// A contract is not what it should be.
    #[error(
        "{contract} on L1 does not answer {function} as it should ({cause}): is it the right address, and the right L1?"
    )]
    Contract {
        /// The contract.
        contract: Address,
        /// What was asked of it.
        function: &'static str,
        /// What came back.
        cause: String,
    },
}

impl From<TransportError> for L1Error {
    fn from(error: TransportError) -> Self {
        Self::Node(transport_cause(&error))
    }
}

/// A block of L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L1Block {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Timestamp, in seconds.
    pub timestamp: u64,
}

/// The block that a tag stands for now.
///
/// # Errors
/// [`L1Error::Node`]; [`L1Error::NoBlock`] where the node knows no such block, as one that is still syncing.
pub async fn block(provider: &L1Provider, tag: BlockNumberOrTag) -> Result<L1Block, L1Error> {
    let block = provider.get_block_by_number(tag).await?;
    let header = block.ok_or(L1Error::NoBlock(tag.into()))?.header;
    Ok(L1Block {
        number: header.number,
        hash: header.hash,
        timestamp: header.timestamp,
    })
}

/// The contracts of one chain on L1, found from its portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contracts {
    /// OptimismPortal2's proxy.
    pub portal: Address,
    /// DisputeGameFactory's proxy, as the portal names it.
    pub factory: Address,
    /// AnchorStateRegistry's proxy, where the portal names one: newer portals leave it to judge games.
    pub anchor_state_registry: Option<Address>,
}

impl Contracts {
    /// Asks the portal for the other contracts, in one round trip. An upgrade on L1 may change them.
    ///
    /// # Errors
    /// [`L1Error`]; of kind [`L1Error::Contract`] where there is no OptimismPortal2 at this address.
    pub async fn of(provider: &L1Provider, portal: Address, at: BlockId) -> Result<Self, L1Error> {
        let mut calls = Calls::new(at);
        let factory = calls.add(portal, &OptimismPortal2::disputeGameFactoryCall {});
        let registry = calls.add(portal, &OptimismPortal2::anchorStateRegistryCall {});
        let answers = calls.send(provider).await?;
        Ok(Self {
            portal,
            factory: answers.get(&factory)?,
            anchor_state_registry: answers.find(&registry),
        })
    }
}
