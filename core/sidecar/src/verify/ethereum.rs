//! The last link: what Ethereum says about the game that claims the output root.

use std::time::Duration;

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    providers::Provider,
};
use alloy_primitives::Address;
use eyre::{OptionExt, Result};
use set_proof::{BrokenLink, GameClaim, Link};
use set_settlement::l1::{Contracts, Doubt, L1Block, L1Error, Standing, block, connect};
use url::Url;

/// How long the node may take for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What L1 says about a claim.
pub(super) struct Testimony {
    /// Chain id of L1.
    pub(super) chain_id: u64,
    /// The finalized block that it says it at.
    pub(super) at: L1Block,
    /// What the claim is worth there.
    pub(super) standing: Standing,
}

/// Asks a node of L1 about a claim, at its finalized block.
///
/// # Errors
/// It cannot be asked; that says nothing about the claim.
pub(super) async fn hear(url: &Url, portal: Address, claim: &GameClaim) -> Result<Testimony> {
    let provider = connect(url, PATIENCE)?;
    let chain_id = async { provider.get_chain_id().await.map_err(L1Error::from) };
    let (at, chain_id) = tokio::try_join!(block(&provider, BlockNumberOrTag::Finalized), chain_id)?;
    let here = BlockId::hash(at.hash);
    let contracts = Contracts::of(&provider, portal, here).await?;
    let standings = contracts.standings(&provider, &[*claim], here).await?;
    Ok(Testimony {
        chain_id,
        at,
        standing: standings
            .into_iter()
            .next()
            .ok_or_eyre("L1 says nothing about the claim")?,
    })
}

impl Testimony {
    /// Checks that the claim is L1's own: that the game which it names is there and claims this, for this L2 chain.
    pub(super) fn check(&self, l2_chain_id: u64) -> Result<(), BrokenLink> {
        for doubt in &self.standing.doubts {
            match doubt {
                Doubt::NotRegistered { .. } | Doubt::OtherClaim { .. } => return Err(Link::Claim.broken(doubt)),
                // Such a game says of itself what it likes.
                Doubt::NotListed(_) => return Ok(()),
                _ => {}
            }
        }
        match self.standing.l2_chain_id {
            Some(other) if other != l2_chain_id => {
                Err(Link::Chain.broken(format_args!("the game is about chain {other}, not {l2_chain_id}")))
            }
            _ => Ok(()),
        }
    }
}
