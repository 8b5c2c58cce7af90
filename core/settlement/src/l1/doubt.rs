//! What can speak against a claim.

use alloy_primitives::{Address, B256};

use super::GameType;

/// Why a claim is not proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The factory lists fewer games at this block.
    #[error("the factory does not list a game {0} yet")]
    NotListed(u64),
    /// The factory lists another game there: anybody can deploy a contract that looks like one.
    #[error("the factory does not list game {game} as number {index} with type {game_type}")]
    NotRegistered {
        /// The game.
        game: Address,
        /// Where it should be.
        index: u64,
        /// What it should be.
        game_type: u32,
    },
    /// The game claims something else.
    #[error("the game claims {root_claim:?} for L2 block {l2_block:?}, not what the proof says")]
    OtherClaim {
        /// Its root claim, where it says one.
        root_claim: Option<B256>,
        /// Its L2 block, where it says one.
        l2_block: Option<u64>,
    },
    /// What such a game decides about is not known here.
    #[error("the game is of {0}, so what it claims is not known")]
    UnknownType(GameType),
    /// The game is not about an output root.
    #[error("a {0} game claims a root over several chains, and no output root")]
    SuperRoot(GameType),
    /// The type was not the respected one.
    #[error(
        "the game is of {game_type}, which the portal did not respect when it was created (respected now: {respected})"
    )]
    NotRespected {
        /// The game's type.
        game_type: GameType,
        /// The type that the portal respects at this block.
        respected: GameType,
    },
    /// The guardian has declared it void.
    #[error("the game is blacklisted")]
    Blacklisted,
    /// The guardian has declared it and all others of its time void.
    #[error("the game was created at {created_at}, and games up to {retired_at} are retired")]
    Retired {
        /// When it was created, in seconds.
        created_at: u64,
        /// What it would have to be later than, in seconds.
        retired_at: u64,
    },
    /// It was refuted.
    #[error("the challenger won the game: its claim is false")]
    ChallengerWon,
    /// It may still be refuted.
    #[error("the game is still in progress")]
    InProgress,
    /// The guardian may still intervene.
    #[error(
        "the game was resolved at {resolved_at}, and its outcome is final {delay} seconds after that at the earliest"
    )]
    WithinDelay {
        /// When it was resolved, in seconds.
        resolved_at: u64,
        /// The finality delay, in seconds.
        delay: u64,
    },
    /// The guardian has stopped all withdrawals.
    #[error("the portal is paused")]
    Paused,
    /// The anchor state registry knows a reason that is not known here.
    #[error("the anchor state registry {0} does not call the claim valid")]
    Invalid(Address),
}

impl Doubt {
    /// Whether no time will remove it: whoever relies on the claim needs another game.
    pub const fn is_lasting(&self) -> bool {
        !matches!(
            self,
            Self::InProgress | Self::WithinDelay { .. } | Self::Paused | Self::Invalid(_)
        )
    }
}
