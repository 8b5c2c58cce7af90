//! Submitter plugin: commitments as SetRegistry calls.
//!
//! ```toml
//! [[plugins]]
//! id = "registry"
//! kind = "submitter"
//! builtin = "registry-submitter"
//!
//! [plugins.config]
//! registry = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
//!
//! [plugins.allow]
//! chain_calls = ["eth_call"]
//! calls = [{ to = "0x5FbDB2315678afecb367f032d93F642f64180aa3", selectors = [
//!     "commitBatches((bytes32,bytes32,bytes32,uint64,(bytes32,bytes32,bytes32,uint32)[])[])",
//!     "commitBatch(bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,uint64,uint64,uint32)",
//! ] }]
//! ```
//!
//! It asks which contract it faces: this project's registry takes many commitments a call, the public
//! one a single commitment. It keeps no state that matters: what is committed is what the registry says.
//! [`Config`] documents every key.

mod calldata;
mod config;
mod contract;
mod envelope;
mod gas;
mod logs;
mod plan;
mod records;
mod refusal;
mod settle;

use std::sync::atomic::{AtomicU32, Ordering};

use set_chain::bindings::SetRegistry::pausedCall;
use set_plugin_sdk::prelude::*;

pub use config::{Config, Mode};

use contract::{At, Contract, Flavour};
use plan::Calls;

/// What a call that ran out of gas adds to the margin, at least, and the most that it may become, in percent.
const MARGIN_STEP: u32 = 15;
const MARGIN_MAX: u32 = 300;

/// The plugin.
#[derive(Debug)]
pub struct RegistrySubmitter {
    host: Host,
    contract: Contract,
    mode: Mode,
    start_block: Option<u64>,
    /// Spare gas of the next call, in percent.
    margin: AtomicU32,
}

impl RegistrySubmitter {
    async fn calls(&self) -> Result<Calls, PluginError> {
        if self.mode == Mode::Single {
            return Ok(Calls::Single);
        }
        match (self.mode, self.contract.flavour().await?) {
            (Mode::Bulk, Flavour::Public) => Err(PluginError::permanent(format!(
                "`mode` is \"bulk\", and the registry {} has no commitBatches: use \"auto\" or \"single\"",
                self.contract.address()
            ))),
            (Mode::Bulk, Flavour::Bulk) => Ok(Calls::Bulk),
            (_, Flavour::Public) => Ok(Calls::Single),
            (_, Flavour::Bulk) => Ok(Calls::Cheapest),
        }
    }

    fn raise_margin(&self) {
        // Doubled each time, so that a registry that needs far more is satisfied soon.
        let raised = |margin: u32| (margin + margin.max(MARGIN_STEP)).min(MARGIN_MAX);
        let raise = |margin: u32| Some(raised(margin));
        // The closure never refuses, so this is always the margin before.
        let (Ok(before) | Err(before)) = self.margin.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise);
        let percent = raised(before);
        tracing::warn!(percent, "a call ran out of gas; the next ones have more to spare");
        self.host.gauge("gas_margin_percent", f64::from(percent));
    }
}

#[async_trait]
impl Plugin for RegistrySubmitter {
    type Config = Config;

    async fn create(config: Config, host: Host) -> Result<Self, PluginError> {
        config.check().map_err(PluginError::permanent)?;
        Ok(Self {
            host,
            contract: Contract::new(host, config.registry),
            mode: config.mode,
            start_block: config.start_block,
            margin: config.gas_margin_percent.into(),
        })
    }

    async fn health(&self) -> Result<(), PluginError> {
        self.calls().await?;
        if self.contract.call(&pausedCall {}, At::Latest).await? {
            let address = self.contract.address();
            return Err(PluginError::retryable(format!(
                "the registry {address} is paused; its owner can unpause it"
            )));
        }
        Ok(())
    }
}

#[async_trait]
impl Submitter for RegistrySubmitter {
    async fn plan(&self, request: PlanRequest) -> Result<PlanResponse, PluginError> {
        let calls = self.calls().await?;
        let margin = self.margin.load(Ordering::Relaxed);
        let registry = self.contract.address();
        // Thousands of commitments keep a thread busy for a while.
        let planning = tokio::task::spawn_blocking(move || plan::plan(&request, registry, calls, margin));
        let planned = planning
            .await
            .map_err(|error| PluginError::permanent(format!("planning ended: {error}")))?;
        planned.map_err(|error| PluginError::permanent(error.to_string()))
    }

    async fn settle(&self, request: SettleRequest) -> Result<SettleResponse, PluginError> {
        let settled = settle::settle(&self.contract, request).await?;
        if settled.out_of_gas {
            self.raise_margin();
        }
        Ok(SettleResponse {
            settlements: settled.settlements,
        })
    }

    async fn heads(&self, request: HeadsRequest) -> Result<HeadsResponse, PluginError> {
        let heads = records::heads(&self.contract, &request.streams, request.at_block.into()).await?;
        Ok(HeadsResponse { heads })
    }

    async fn lookup(&self, request: LookupRequest) -> Result<LookupResponse, PluginError> {
        let records = records::records(&self.contract, &request.batches, request.at_block.into()).await?;
        Ok(LookupResponse { records })
    }

    async fn log_filter(&self) -> Result<LogFilter, PluginError> {
        Ok(LogFilter {
            addresses: vec![self.contract.address()],
            topics: logs::TOPICS.into(),
            from_block: self.start_block,
        })
    }

    async fn decode(&self, request: DecodeRequest) -> Result<DecodeResponse, PluginError> {
        logs::decode(&request.logs, self.contract.address())
    }
}

set_plugin_sdk::plugin!(RegistrySubmitter as Submitter, name = "registry-submitter");
