//! The registry on chain: which one it is, and read-only calls of it.

use std::num::NonZeroU64;

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolCall;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use set_chain::bindings::SetRegistry::{registryVersionCall, totalCommitmentsCall};
use set_plugin_sdk::prelude::{Host, PluginError};
use tokio::sync::{OnceCell, Semaphore};

/// Which contract the address holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// This project's: `commitBatches`, views of many streams, previous state roots.
    Bulk,
    /// A public SetRegistry: what its published interface has, and nothing else.
    Public,
}

/// Questions to the node under way at a time; the host refuses a plugin more than 32.
const CONCURRENCY: usize = 16;

/// The newest interface that this plugin knows; older ones are part of it.
const KNOWN_VERSION: u64 = 1;

/// The block to read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// The newest.
    Latest,
    /// One that must still be part of the chain or known to the node.
    Hash(B256),
    /// Whichever has the number now.
    Number(u64),
}

impl From<Option<B256>> for At {
    fn from(hash: Option<B256>) -> Self {
        hash.map_or(Self::Latest, Self::Hash)
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Latest => serializer.serialize_str("latest"),
            // EIP-1898
            Self::Hash(hash) => json!({ "blockHash": hash }).serialize(serializer),
            Self::Number(number) => serializer.collect_str(&format_args!("{number:#x}")),
        }
    }
}

/// The registry, through the host's chain calls.
#[derive(Debug)]
pub(crate) struct Contract {
    host: Host,
    address: Address,
    flavour: OnceCell<Flavour>,
    permits: Semaphore,
}

impl Contract {
    pub(crate) fn new(host: Host, address: Address) -> Self {
        Self {
            host,
            address,
            flavour: OnceCell::new(),
            permits: Semaphore::new(CONCURRENCY),
        }
    }

    pub(crate) const fn address(&self) -> Address {
        self.address
    }

    /// Which contract the address holds; asked once, and again until it is answered.
    pub(crate) async fn flavour(&self) -> Result<Flavour, PluginError> {
        self.flavour.get_or_try_init(|| self.recognise()).await.copied()
    }

    async fn recognise(&self) -> Result<Flavour, PluginError> {
        let address = self.address;
        match self.call(&registryVersionCall {}, At::Latest).await {
            Ok(version) => {
                let version: u64 = version.saturating_to();
                match NonZeroU64::new(version) {
                    Some(version) if version.get() <= KNOWN_VERSION => {
                        tracing::info!(%address, version, "the registry takes commitments in bulk");
                        Ok(Flavour::Bulk)
                    }
                    _ => Err(PluginError::permanent(format!(
                        "`registry` {address} has version {version} of its interface, and this plugin knows up to \
                         {KNOWN_VERSION}: use a newer plugin"
                    ))),
                }
            }
            // Only the contract itself can say that it has no such function.
            Err(error) if is_revert(&error) => {
                self.call(&totalCommitmentsCall {}, At::Latest).await.map_err(|error| {
                    if is_revert(&error) {
                        PluginError::retryable(format!("`registry` {address} holds a contract that is no SetRegistry"))
                    } else {
                        error
                    }
                })?;
                tracing::info!(%address, "the registry is a public one: it takes one commitment a call");
                Ok(Flavour::Public)
            }
            Err(error) => Err(error),
        }
    }

    /// Calls a view.
    pub(crate) async fn call<C: SolCall>(&self, call: &C, at: At) -> Result<C::Return, PluginError> {
        let request = json!({ "to": self.address, "data": Bytes::from(call.abi_encode()) });
        let answer = self.eth_call(request, at).await?;
        if answer.is_empty() {
            let address = self.address;
            return Err(PluginError::retryable(format!(
                "`registry` {address} holds no contract: is it deployed?"
            )));
        }
        C::abi_decode_returns(&answer).map_err(|error| {
            PluginError::permanent(format!(
                "`registry` {}: {} answers what it should not ({error})",
                self.address,
                C::SIGNATURE
            ))
        })
    }

    /// Any `eth_call`.
    pub(crate) async fn eth_call(&self, request: Value, at: At) -> Result<Bytes, PluginError> {
        // Never closed, so there always is a permit in the end.
        let _permit = self.permits.acquire().await.ok();
        self.host.chain_call("eth_call", (request, at)).await
    }
}

/// Whether the node says that the contract refused, in the words of any of the usual nodes.
pub(crate) fn is_revert(error: &PluginError) -> bool {
    error.message.to_ascii_lowercase().contains("revert")
}
