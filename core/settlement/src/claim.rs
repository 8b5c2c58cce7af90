//! What a dispute game says about the chain, and what L1 says about the game.

use std::fmt;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use set_chain::BlockRef;
use set_proof::GameClaim;

use crate::l1::{Doubt, GameStatus, Standing};

/// A game whose claimed output root is that of our own node's block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The game's proxy.
    pub game: Address,
    /// Its index in DisputeGameFactory.
    pub index: u64,
    /// Its type.
    pub game_type: u32,
    /// The output root that it claims.
    pub root_claim: B256,
    /// The L2 block that it claims it for: this block and all before it.
    pub l2_block: BlockRef,
    /// When it was made: the timestamp of its L1 block, in seconds since 1970.
    pub created_at: u64,
    /// How it stands at L1's newest block.
    pub status: ClaimStatus,
    /// When it was resolved, in seconds since 1970.
    pub resolved_at: Option<u64>,
}

impl Claim {
    /// As proofs name it.
    pub const fn game_claim(&self) -> GameClaim {
        GameClaim {
            game: self.game,
            index: self.index,
            game_type: self.game_type,
            root_claim: self.root_claim,
            l2_block: self.l2_block.number,
        }
    }
}

/// How a game stands. What has fallen does not stand again, but by an L1 reorg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimStatus {
    /// Anybody may still dispute it.
    InProgress,
    /// The defender won; L1 waits for the finality delay before it lets anybody rely on it.
    Won,
    /// The defender won, and the delay is over: L1 itself relies on it.
    Final,
    /// The challenger won: the claim counts for nothing.
    Lost,
    /// The guardian took it out.
    Blacklisted,
    /// It is older than what the guardian still lets count.
    Retired,
    /// Its type was not the one that counts when it was made.
    NotRespected,
    /// The factory lists another game in its place, or it claims something else: L1 was reorganised.
    Gone,
}

impl From<&Standing> for ClaimStatus {
    fn from(standing: &Standing) -> Self {
        match standing.status {
            _ if standing.blacklisted => Self::Blacklisted,
            _ if standing
                .doubts
                .iter()
                .any(|doubt| matches!(doubt, Doubt::NotRegistered { .. } | Doubt::NotListed(_))) =>
            {
                Self::Gone
            }
            _ if standing.retired => Self::Retired,
            _ if !standing.respected => Self::NotRespected,
            GameStatus::ChallengerWins => Self::Lost,
            _ if standing.fallen().is_some() => Self::Gone,
            GameStatus::InProgress => Self::InProgress,
            GameStatus::DefenderWins if standing.is_proven() => Self::Final,
            GameStatus::DefenderWins => Self::Won,
        }
    }
}

impl ClaimStatus {
    /// Whether the claim counts, as far as L1 says by now.
    pub const fn holds(self) -> bool {
        matches!(self, Self::InProgress | Self::Won | Self::Final)
    }

    /// Whether the defender has won it and nothing speaks against it.
    pub const fn is_resolved(self) -> bool {
        matches!(self, Self::Won | Self::Final)
    }
}

impl fmt::Display for ClaimStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProgress => "in progress",
            Self::Won => "won by the defender",
            Self::Final => "won by the defender, past the finality delay",
            Self::Lost => "won by the challenger",
            Self::Blacklisted => "blacklisted",
            Self::Retired => "retired",
            Self::NotRespected => "not of the respected type when it was made",
            Self::Gone => "no longer listed by the factory",
        })
    }
}

/// A game that counts for nothing here, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassedOver {
    /// The game's proxy.
    pub game: Address,
    /// Its index in DisputeGameFactory.
    pub index: u64,
    /// Its type.
    pub game_type: u32,
    /// Why it counts for nothing.
    pub reason: String,
}
