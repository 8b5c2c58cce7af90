//! What proposers, challengers, strangers and the guardian do with dispute games on L1.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolEvent, SolValue};
use serde_json::{Value, json};

use super::{
    OpStackError,
    bindings::{DisputeGameFactory, FaultDisputeGame, OptimismPortal, SuperchainConfig},
    l1::{ALPHABET_GAME, L1Contracts, OWNER, mined},
};
use crate::{Anvil, AnvilError};

/// Enough to open a game.
const GAS: u64 = 3_000_000;
const GAME_CREATED: B256 = DisputeGameFactory::DisputeGameCreated::SIGNATURE_HASH;

/// Plays games on one L1. Every move is in a block, which is made for it, when a method returns.
#[derive(Debug, Clone, Copy)]
pub struct Disputes<'a> {
    l1: &'a Anvil,
    contracts: &'a L1Contracts,
}

impl<'a> Disputes<'a> {
    /// The games of the chain with these contracts.
    pub const fn new(l1: &'a Anvil, contracts: &'a L1Contracts) -> Self {
        Self { l1, contracts }
    }

    /// Opens a game that claims `root` as the output root of an L2 block, from a development account: anybody may.
    ///
    /// # Errors
    /// [`OpStackError`].
    pub async fn open(
        &self,
        account: usize,
        game_type: u32,
        root: B256,
        l2_block: u64,
    ) -> Result<Address, OpStackError> {
        let factory = self.contracts.dispute_game_factory;
        let bond = self
            .word(factory, &DisputeGameFactory::initBondsCall { gameType: game_type })
            .await?;
        let create = DisputeGameFactory::createCall {
            gameType: game_type,
            rootClaim: root,
            extraData: U256::from(l2_block).abi_encode().into(),
        };
        let receipt = self.send("opening a game", account, factory, bond, &create).await?;
        let created = receipt["logs"].as_array().into_iter().flatten();
        let mut created = created.filter(|log| log["topics"][0] == json!(GAME_CREATED));
        // A transaction of ours opens one.
        let game = created
            .next()
            .and_then(|log| log["topics"][1].as_str()?.parse::<B256>().ok());
        game.map(Address::from_word).ok_or_else(|| OpStackError::Answer {
            method: "eth_getTransactionReceipt",
            answer: receipt.to_string(),
        })
    }

    /// Disputes a game's claim and is not answered, so that the challenger wins once its clock has run out.
    ///
    /// # Errors
    /// [`OpStackError`].
    pub async fn attack(&self, account: usize, game: Address, root: B256) -> Result<(), OpStackError> {
        // The left child of the tree's root.
        let position = 2;
        let bond = self
            .word(game, &FaultDisputeGame::getRequiredBondCall { position })
            .await?;
        let attack = FaultDisputeGame::attackCall {
            disputed: root,
            parentIndex: U256::ZERO,
            claim: B256::repeat_byte(0xa7),
        };
        self.send("attacking a claim", account, game, bond, &attack)
            .await
            .map(drop)
    }

    /// Resolves a game whose clock has run out, with so many attacks on its root.
    ///
    /// # Errors
    /// [`OpStackError`].
    pub async fn resolve(&self, game: Address, attacks: u64) -> Result<(), OpStackError> {
        for index in (0..=attacks).rev() {
            let claim = FaultDisputeGame::resolveClaimCall {
                claimIndex: U256::from(index),
                numToResolve: U256::ZERO,
            };
            self.send("resolving a claim", OWNER, game, U256::ZERO, &claim).await?;
        }
        let resolve = FaultDisputeGame::resolveCall {};
        self.send("resolving a game", OWNER, game, U256::ZERO, &resolve)
            .await
            .map(drop)
    }

    /// The guardian declares a game void.
    ///
    /// # Errors
    /// [`OpStackError`].
    pub async fn blacklist(&self, game: Address) -> Result<(), OpStackError> {
        let call = OptimismPortal::blacklistDisputeGameCall { game };
        let portal = self.contracts.portal;
        self.send("blacklisting a game", OWNER, portal, U256::ZERO, &call)
            .await
            .map(drop)
    }

    /// The guardian has the portal respect another type of games, or the same one anew: all earlier games are retired.
    ///
    /// # Errors
    /// [`OpStackError`].
    pub async fn respect(&self, game_type: u32) -> Result<(), OpStackError> {
        let call = OptimismPortal::setRespectedGameTypeCall { gameType: game_type };
        let portal = self.contracts.portal;
        self.send("respecting a type of games", OWNER, portal, U256::ZERO, &call)
            .await
            .map(drop)
    }

    /// The guardian stops withdrawals, or lets them go on.
    ///
    /// # Errors
    /// [`OpStackError`].
    pub async fn pause(&self, paused: bool) -> Result<(), OpStackError> {
        let config = self.contracts.superchain_config;
        if paused {
            let identifier = "a test".to_owned();
            let call = SuperchainConfig::pauseCall { identifier };
            self.send("pausing", OWNER, config, U256::ZERO, &call).await.map(drop)
        } else {
            let call = SuperchainConfig::unpauseCall {};
            self.send("unpausing", OWNER, config, U256::ZERO, &call).await.map(drop)
        }
    }

    /// The factory's owner allows games of another type, which are played as the alphabet game is.
    ///
    /// # Errors
    /// [`OpStackError`].
    pub async fn allow(&self, game_type: u32) -> Result<(), OpStackError> {
        let factory = self.contracts.dispute_game_factory;
        let alphabet = DisputeGameFactory::gameImplsCall {
            gameType: ALPHABET_GAME,
        };
        let implementation = self.word(factory, &alphabet).await?;
        let call = DisputeGameFactory::setImplementationCall {
            gameType: game_type,
            implementation: Address::from_word(implementation.into()),
        };
        self.send("allowing a type of games", OWNER, factory, U256::ZERO, &call)
            .await
            .map(drop)
    }

    /// Moves L1's clock ahead.
    ///
    /// # Errors
    /// [`OpStackError`].
    pub async fn pass(&self, time: Duration) -> Result<(), OpStackError> {
        let passed: Result<Value, _> = self.l1.call("evm_increaseTime", (time.as_secs(),)).await;
        passed.map_err(AnvilError::from)?;
        self.l1.mine(1).await.map_err(AnvilError::from)?;
        Ok(())
    }

    /// Makes blocks until what L1 holds now is finalized.
    ///
    /// # Errors
    /// [`OpStackError`].
    pub async fn finalize(&self) -> Result<(), OpStackError> {
        let head = self.l1.block_number().await.map_err(AnvilError::from)?;
        loop {
            let finalized: Value = self
                .l1
                .call("eth_getBlockByNumber", ("finalized", false))
                .await
                .map_err(AnvilError::from)?;
            let number = finalized["number"]
                .as_str()
                .and_then(|number| number.parse::<U256>().ok());
            if number >= Some(U256::from(head)) {
                return Ok(());
            }
            self.l1.mine(1).await.map_err(AnvilError::from)?;
        }
    }

    /// The word that a call returns.
    async fn word(&self, to: Address, call: &impl SolCall) -> Result<U256, OpStackError> {
        let request = json!({ "to": to, "input": Bytes::from(call.abi_encode()) });
        let word: B256 = self
            .l1
            .call("eth_call", (request, "latest"))
            .await
            .map_err(AnvilError::from)?;
        Ok(word.into())
    }

    /// Sends a transaction, and returns its receipt.
    async fn send(
        &self,
        what: &'static str,
        account: usize,
        to: Address,
        value: U256,
        call: &impl SolCall,
    ) -> Result<Value, OpStackError> {
        let request = json!({
            "from": Anvil::account(account).address(),
            "to": to,
            "value": value,
            "gas": U256::from(GAS),
            "input": Bytes::from(call.abi_encode()),
        });
        let sent: Result<Value, _> = self.l1.call("eth_sendTransaction", (request,)).await;
        let hash = sent.map_err(AnvilError::from)?;
        mined(self.l1, &[(what, hash.clone())]).await?;
        let receipt = self.l1.call("eth_getTransactionReceipt", (hash,)).await;
        Ok(receipt.map_err(AnvilError::from)?)
    }
}
