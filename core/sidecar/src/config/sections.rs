//! The chain's facts: sections of the configuration that describe Set Chain rather than the sidecar.

use std::{path::PathBuf, time::Duration};

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};

use super::problem::Complaint;

/// `[chain]`: the L2 and its contracts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ChainSection {
    /// Chain id; the sidecar refuses a node that answers another.
    pub(crate) id: u64,
    /// Name, for people.
    pub(crate) name: String,
    /// Execution nodes' public HTTP RPC, the preferred one first. Never the engine API's port.
    pub(crate) rpc_urls: Vec<String>,
    /// Give up on one answer of the node after so long.
    #[serde(with = "humantime_serde")]
    pub(crate) rpc_timeout: Duration,
    /// op-node's RPC: what is safe and finalized is then its word, not the execution node's tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) op_node_url: Option<String>,
    /// A node that keeps old states, for settlement proofs; `rpc_urls` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proof_url: Option<String>,
    /// A file that `scripts/deploy` wrote: it supplies `registry`, `paymaster` and `start_block`
    /// where they are not given here. Relative to the file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) addresses: Option<PathBuf>,
    /// SetRegistry's proxy.
    pub(crate) registry: Address,
    /// SetPaymaster's proxy.
    pub(crate) paymaster: Address,
    /// Block of the registry's deployment: logs are followed from here.
    pub(crate) start_block: u64,
}

/// `[block]`: what a block is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BlockSection {
    /// Time between blocks. The head is asked for twice as often.
    #[serde(with = "humantime_serde")]
    pub(crate) time: Duration,
    /// Gas limit of a block. A node that says otherwise is reported at start.
    pub(crate) gas_limit: u64,
}

/// `[gas]`: what one transaction may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GasSection {
    /// The chain's cap on the gas of one transaction (EIP-7825: 16,777,216 from Karst on).
    pub(crate) transaction_cap: u64,
}

/// `[sequencer]`: the stateset-sequencer, for plugins that refer to it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SequencerSection {
    /// Base URL of its HTTP API.
    pub(crate) url: String,
    /// Where its API key comes from: `${VARIABLE}` or `file:/path`, never the key itself.
    pub(crate) api_key: String,
}

/// `[l1]`: the Ethereum chain that Set Chain settles on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct L1Section {
    /// Its chain id.
    pub(crate) chain_id: u64,
    /// Its name, for people.
    pub(crate) name: String,
    /// A node's HTTP RPC. Dispute games are followed where it is given, with `portal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rpc_url: Option<String>,
    /// OptimismPortal's proxy: the factory of dispute games and the anchor registry are asked of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) portal: Option<Address>,
    /// Time between two looks at L1.
    #[serde(with = "humantime_serde")]
    pub(crate) poll_interval: Duration,
    /// Give up on one answer of L1's node after so long.
    #[serde(with = "humantime_serde")]
    pub(crate) rpc_timeout: Duration,
}

/// `[settlement]`: when slow settlement is an alarm, and what is kept of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SettlementSection {
    /// The newest block has stood still for so long, or op-node or L1 were away for so long.
    #[serde(with = "humantime_serde")]
    pub(crate) head_alarm: Duration,
    /// The safe block has stood still for so long while blocks were made.
    #[serde(with = "humantime_serde")]
    pub(crate) safe_alarm: Duration,
    /// Bytes of settlement proofs that are kept.
    pub(crate) max_proof_bytes: u64,
}

/// `[fees]`: what the operator is willing to pay.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FeesSection {
    /// Commitments wait while base fee and tip together are above this; gwei, as a decimal string.
    pub(crate) max_gas_price: String,
}

/// `[commerce]`: what merchants may ask for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CommerceSection {
    /// The largest sponsorship that is considered, in wei. SetPaymaster's tiers limit it further.
    pub(crate) max_sponsorship: U256,
}

impl Default for ChainSection {
    fn default() -> Self {
        Self {
            id: 84_532_001,
            name: "Set Chain".to_owned(),
            rpc_urls: vec!["http://127.0.0.1:8545".to_owned()],
            rpc_timeout: Duration::from_secs(5),
            op_node_url: None,
            proof_url: None,
            addresses: None,
            registry: Address::ZERO,
            paymaster: Address::ZERO,
            start_block: 0,
        }
    }
}

impl Default for BlockSection {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(2),
            gas_limit: 30_000_000,
        }
    }
}

impl Default for GasSection {
    fn default() -> Self {
        Self {
            transaction_cap: 16_777_216,
        }
    }
}

impl Default for SequencerSection {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8080".to_owned(),
            api_key: "${SET_SEQUENCER_API_KEY}".to_owned(),
        }
    }
}

impl Default for L1Section {
    fn default() -> Self {
        Self {
            chain_id: 11_155_111,
            name: "sepolia".to_owned(),
            rpc_url: None,
            portal: None,
            poll_interval: Duration::from_secs(12),
            rpc_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for SettlementSection {
    fn default() -> Self {
        Self {
            head_alarm: Duration::from_secs(60),
            safe_alarm: Duration::from_secs(3600),
            max_proof_bytes: 4 << 30,
        }
    }
}

impl Default for FeesSection {
    fn default() -> Self {
        Self {
            max_gas_price: "5".to_owned(),
        }
    }
}

impl Default for CommerceSection {
    fn default() -> Self {
        // SetPaymaster's largest initial tier allows 0.01 ETH per transaction.
        Self {
            max_sponsorship: U256::from(10_000_000_000_000_000_u64),
        }
    }
}

impl ChainSection {
    pub(crate) fn validate(&self) -> Vec<Complaint> {
        let mut complaints = vec![];
        if self.id == 0 {
            complaints.push(Complaint::new(
                "chain.id",
                "is 0; give the L2's chain id (Set Chain: 84532001)",
            ));
        }
        if self.rpc_urls.is_empty() {
            complaints.push(Complaint::new(
                "chain.rpc_urls",
                "is empty; give at least one node, such as [\"http://127.0.0.1:8545\"]",
            ));
        }
        if !self.rpc_urls.iter().all(|url| is_http(url)) {
            complaints.push(Complaint::new(
                "chain.rpc_urls",
                "each must start with http:// or https://",
            ));
        }
        complaints.extend(not_http("chain.op_node_url", self.op_node_url.as_ref()));
        complaints.extend(not_http("chain.proof_url", self.proof_url.as_ref()));
        if self.rpc_timeout.is_zero() {
            complaints.push(Complaint::new(
                "chain.rpc_timeout",
                "is 0; give a duration such as \"5s\"",
            ));
        }
        for (key, address) in [("chain.registry", self.registry), ("chain.paymaster", self.paymaster)] {
            if address.is_zero() {
                let message = "is not set: give the proxy's address, or point `chain.addresses` to the file that \
                               `scripts/deploy` wrote";
                complaints.push(Complaint::new(key, message));
            }
        }
        complaints
    }
}

impl BlockSection {
    pub(crate) fn validate(&self) -> Vec<Complaint> {
        let mut complaints = vec![];
        if self.time < Duration::from_millis(100) {
            complaints.push(Complaint::new(
                "block.time",
                "is under 100ms; give the chain's block time, such as \"2s\"",
            ));
        }
        if self.gas_limit < 1_000_000 {
            complaints.push(Complaint::new(
                "block.gas_limit",
                "is under 1,000,000: no commitment would fit",
            ));
        }
        complaints
    }
}

impl L1Section {
    pub(crate) fn validate(&self) -> Vec<Complaint> {
        let mut complaints: Vec<_> = not_http("l1.rpc_url", self.rpc_url.as_ref()).into_iter().collect();
        if self.rpc_url.is_some() && self.portal.is_none() {
            let message = "is not set: with `l1.rpc_url`, give the address of OptimismPortal's proxy";
            complaints.push(Complaint::new("l1.portal", message));
        }
        for (key, duration) in [
            ("l1.poll_interval", self.poll_interval),
            ("l1.rpc_timeout", self.rpc_timeout),
        ] {
            if duration.is_zero() {
                complaints.push(Complaint::new(key, "is 0; give a duration such as \"10s\""));
            }
        }
        complaints
    }
}

impl SettlementSection {
    pub(crate) fn validate(&self) -> Vec<Complaint> {
        let alarms = [
            ("settlement.head_alarm", self.head_alarm),
            ("settlement.safe_alarm", self.safe_alarm),
        ];
        let zero = alarms.into_iter().filter(|(_, after)| after.is_zero());
        let mut complaints: Vec<_> = zero
            .map(|(key, _)| Complaint::new(key, "is 0; give a duration such as \"1h\""))
            .collect();
        if self.max_proof_bytes < 1 << 20 {
            let message = "is under 1 MiB (1048576): what one game covers would hardly fit";
            complaints.push(Complaint::new("settlement.max_proof_bytes", message));
        }
        complaints
    }
}

fn is_http(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme))
}

fn not_http(key: &'static str, url: Option<&String>) -> Option<Complaint> {
    url.filter(|url| !is_http(url))
        .map(|_| Complaint::new(key, "must start with http:// or https://"))
}

impl SequencerSection {
    pub(crate) fn validate(&self) -> Vec<Complaint> {
        let named = self.api_key.is_empty()
            || self.api_key.starts_with("file:")
            || self.api_key.starts_with("${") && self.api_key.ends_with('}');
        if named {
            return vec![];
        }
        let message = "holds a key in clear: write `${VARIABLE}` or `file:/path` instead, so that no key is ever \
                       committed or printed";
        vec![Complaint::new("sequencer.api_key", message)]
    }
}

impl std::fmt::Debug for SequencerSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SequencerSection")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
