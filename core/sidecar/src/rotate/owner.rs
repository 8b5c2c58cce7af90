//! What only the registry's owner may do.

use std::{io::Write, sync::Arc};

use alloy::{
    eips::BlockId, network::TransactionBuilder, providers::Provider, rpc::types::TransactionRequest, sol_types::SolCall,
};
use alloy_primitives::{Address, B256, U256, hex};
use eyre::{Result, WrapErr, bail, ensure, eyre};
use set_chain::{ChainView, L2Provider, SettlementTag, bindings::SetRegistry, transport_cause};
use set_lease::Leadership;
use set_rpc::admin::AccountRole;
use set_txmgr::{BlockBudget, BlockShare, Call, Journal, Spending, StartParts, TxConfig, TxEvent, TxMgr};
use tokio::sync::{mpsc, watch};

use crate::{config::Config, signers};

/// The owner's account, with a transaction manager of its own.
pub(super) struct Owner {
    address: Address,
    name: String,
    txmgr: TxMgr,
    events: mpsc::Receiver<TxEvent>,
    heads: watch::Receiver<Arc<ChainView>>,
}

impl Owner {
    pub(super) async fn open(config: &Config, name: &str) -> Result<Self> {
        ensure!(
            !config.sidecar.signers.iter().any(|other| other == name),
            "`{name}` sends commitments (`sidecar.signers`); the owner's signer must be another one"
        );
        let opened = signers::open_one(config, name, AccountRole::Commitments).await;
        let signer = opened.map_err(|complaint| eyre!("`{}` {}", complaint.key, complaint.message))?;
        let provider = crate::assembly::connect(config)?;
        let (heads, tracking) = set_chain::track(provider.clone(), config.chain.id, config.block.time / 2);
        tokio::spawn(tracking);
        let (address, name) = (signer.address(), signer.name);
        let parts = StartParts {
            // One transaction, watched until it is in a block, and never held back by what commitments may take.
            config: TxConfig {
                watch_until: SettlementTag::Included,
                max_block_share: BlockShare::Off,
                ..config.txmgr.clone()
            },
            signer: signer.signer,
            provider,
            chain_id: config.chain.id,
            heads: heads.clone(),
            journal: Journal::in_memory(),
            spending: Spending::in_memory(),
            leadership: Leadership::always(),
            budget: BlockBudget::default(),
        };
        let (txmgr, events) = set_txmgr::start(parts)?;
        Ok(Self {
            address,
            name,
            txmgr,
            events,
            heads,
        })
    }

    /// Whether the registry is this account's.
    pub(super) async fn check(&self, provider: &L2Provider, registry: Address) -> Result<()> {
        let owner = ask(provider, registry, SetRegistry::ownerCall {}).await?;
        ensure!(
            owner == self.address,
            "the registry's owner is {owner}, but `signers.{}` is {}; a multisig's calls are printed by --print-calls",
            self.name,
            self.address
        );
        Ok(())
    }

    /// Sends a call and waits until it is in a block; `None` where another transaction of the owner took its
    /// place, so that the chain is to be looked at again.
    pub(super) async fn send<C: SolCall>(
        &mut self,
        provider: &L2Provider,
        to: Address,
        call: &C,
        step: &str,
        out: &mut impl Write,
    ) -> Result<Option<B256>> {
        let known = self.heads.wait_for(|view| view.latest.is_some()).await;
        known.wrap_err("the chain is no longer followed")?;
        let data = call.abi_encode();
        let request = TransactionRequest::default()
            .with_from(self.address)
            .with_to(to)
            .with_input(data.clone());
        // Not at the pending block, the default, which op-geth has none of.
        let gas = provider.estimate_gas(request.into()).block(BlockId::latest()).await;
        let gas = gas.map_err(|error| eyre!("the registry refuses: {}", transport_cause(&error)))?;
        let call = Call {
            to,
            data: data.into(),
            value: U256::ZERO,
            gas_limit: gas.saturating_mul(5) / 4,
        };
        self.txmgr.submit(call).await?;
        let mut status = self.txmgr.status_changes();
        let mut told = String::new();
        loop {
            let event = tokio::select! {
                event = self.events.recv() => event.ok_or_else(|| eyre!("the owner's transaction is no longer followed"))?,
                Ok(()) = status.changed() => {
                    let alarms: Vec<_> = status.borrow_and_update().alarms.iter().map(|alarm| alarm.message.clone()).collect();
                    let alarms = alarms.join("; ");
                    if !alarms.is_empty() && alarms != told {
                        writeln!(out, "{step:<14} {alarms}")?;
                        out.flush()?;
                    }
                    told = alarms;
                    continue;
                }
            };
            match event {
                TxEvent::Included {
                    hash, succeeded: true, ..
                } => return Ok(Some(hash)),
                TxEvent::Included { hash, .. } => bail!("the owner's transaction {hash} failed"),
                TxEvent::Superseded { .. } | TxEvent::Returned { .. } => return Ok(None),
                TxEvent::Dropped { reason, .. } => bail!("the node refuses the owner's transaction: {reason}"),
                TxEvent::Sent { hash, .. } => {
                    writeln!(out, "{step:<14} sent {hash}; waiting for its block")?;
                    out.flush()?;
                }
                TxEvent::Reorged { .. } | TxEvent::Settled { .. } => {}
            }
        }
    }
}

/// What a multisig has to send.
pub(super) fn print(
    step: &str,
    registry: Address,
    call: &SetRegistry::batchSetSequencerAuthorizationCall,
    out: &mut impl Write,
) -> Result<()> {
    writeln!(
        out,
        "{step}: the registry's owner must send this, then run the same command again"
    )?;
    writeln!(out, "  to        {registry}")?;
    writeln!(
        out,
        "  function  {}",
        SetRegistry::batchSetSequencerAuthorizationCall::SIGNATURE
    )?;
    for account in &call.sequencers {
        writeln!(out, "  account   {account}")?;
    }
    writeln!(out, "  authorise {}", call.authorized)?;
    writeln!(out, "  data      {}", hex::encode_prefixed(call.abi_encode()))?;
    Ok(())
}

/// Calls a function of the registry at the newest block.
pub(super) async fn ask<C: SolCall>(provider: &L2Provider, registry: Address, call: C) -> Result<C::Return> {
    let request = TransactionRequest::default()
        .with_to(registry)
        .with_input(call.abi_encode());
    let bytes = provider.call(request.into()).block(BlockId::latest()).await;
    let bytes = bytes.map_err(|error| eyre!("{}: {}", C::SIGNATURE, transport_cause(&error)))?;
    C::abi_decode_returns(&bytes).map_err(|_| eyre!("`chain.registry` ({registry}) does not answer {}", C::SIGNATURE))
}
