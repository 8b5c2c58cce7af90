//! What the listener asks of the program, and what it answers.

use alloy_primitives::Address;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use set_types::BatchId;

/// Changes the running program.
#[async_trait]
pub trait Administration: Send + Sync + 'static {
    /// Each sending account, those that are being retired included.
    fn accounts(&self) -> Vec<AccountAnswer>;

    /// Reads the configuration again and puts in force what can change at run time.
    ///
    /// # Errors
    /// [`FaultyConfiguration`]; nothing was changed then.
    async fn reload(&self) -> Result<ReloadAnswer, FaultyConfiguration>;

    /// Ends the alarm about a report that the sequencer contradicts; false where there is none.
    async fn dismiss_conflict(&self, batch_id: BatchId) -> bool;
}

/// What is wrong with a configuration: every problem with its file and key, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultyConfiguration(pub String);

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountRole {
    /// It sends commitments.
    Commitments,
    /// It pays for sponsorships.
    Sponsorship,
}

/// Where an account is between being admitted and being gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// It is in use.
    Active,
    /// It gets nothing new; what it sent is on its way to a block.
    Draining,
    /// Nothing of it is on its way to a block; what it sent is watched until it is settled.
    Drained,
}

/// A sending account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountAnswer {
    /// The account.
    pub address: Address,
    /// Its signer's name in `[signers]`.
    pub signer: String,
    /// What it is for.
    pub role: AccountRole,
    /// Where it is.
    pub state: AccountState,
    /// Calls without a nonce yet.
    pub queued: usize,
    /// Transactions on their way to a block.
    pub in_flight: usize,
    /// Transactions in a block that is not settled enough yet.
    pub awaiting_settlement: usize,
}

/// What a reload did. Names keys and accounts, never values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadAnswer {
    /// Keys that changed and are in force now.
    pub in_force: Vec<String>,
    /// Accounts that send from now on.
    pub admitted: Vec<Address>,
    /// Accounts that get nothing new from now on.
    pub retiring: Vec<Address>,
    /// Keys that changed and wait for a restart.
    pub needs_restart: Vec<String>,
}

impl ReloadAnswer {
    /// Whether nothing at all changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
