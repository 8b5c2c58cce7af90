//! Configuration: read from several layers, checked as a whole, then immutable.

mod layers;
mod problem;
mod program;
mod reading;
mod references;
mod rollup;
mod sections;

use std::{collections::BTreeMap, path::PathBuf};

use figment::{
    Figment,
    value::{Dict, Value},
};
use serde::Serialize;
use set_host::{Origin, PluginConfig};
use set_lease::LeaseConfig;
use set_pipeline::PipelineConfig;
use set_rpc::RpcConfig;
use set_txmgr::{SignerConfig, TxConfig};
use set_types::{ConfigProblem, PluginKind};

pub(crate) use self::{
    layers::Layers,
    problem::{Complaint, Problem, Problems},
    program::{LogFormat, SidecarSection},
    rollup::RollupSection,
    sections::{
        BlockSection, ChainSection, CommerceSection, FeesSection, GasSection, L1Section, SequencerSection,
        SettlementSection,
    },
};
use self::{layers::beside_its_file, reading::Reading};

/// Everything that the program was told, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) chain: ChainSection,
    pub(crate) block: BlockSection,
    pub(crate) rollup: RollupSection,
    pub(crate) gas: GasSection,
    pub(crate) l1: L1Section,
    pub(crate) settlement: SettlementSection,
    pub(crate) commitment: PipelineConfig,
    pub(crate) sidecar: SidecarSection,
    pub(crate) rpc: RpcConfig,
    pub(crate) lease: LeaseConfig,
    pub(crate) signers: BTreeMap<String, SignerConfig>,
    pub(crate) txmgr: TxConfig,
    pub(crate) plugins: Vec<PluginConfig>,
}

/// A configuration as far as it could be read.
pub(crate) struct Survey {
    /// What was read; `None` where a whole section could not be.
    pub(crate) config: Option<Config>,
    /// What is wrong with it.
    pub(crate) problems: Vec<Problem>,
    figment: Figment,
}

impl Survey {
    /// Every value that was given, by its key, for comparison with another survey. Holds what the files hold:
    /// never show it.
    pub(crate) fn values(&self) -> BTreeMap<String, serde_json::Value> {
        let mut values = BTreeMap::new();
        flatten("", self.figment.extract().unwrap_or_default(), &mut values);
        values
    }

    /// A problem that showed only when the value of `key` was used.
    pub(crate) fn complain(&mut self, key: &str, message: String) {
        let origin = layers::origin_of(&self.figment, key);
        let complaint = Complaint::new(key, message);
        self.problems.push(Problem { origin, complaint });
    }
}

/// Top-level names, for telling a mistyped section from a known one.
const SECTIONS: [&str; 16] = [
    "chain",
    "block",
    "rollup",
    "gas",
    "sequencer",
    "l1",
    "settlement",
    "fees",
    "commerce",
    "commitment",
    "sidecar",
    "rpc",
    "lease",
    "signers",
    "txmgr",
    "plugins",
];

impl Config {
    /// Reads what can be read, with defaults where something could not, and lists what is wrong.
    pub(crate) fn survey(layers: &Layers) -> Survey {
        match layers.stack() {
            Ok(figment) => {
                let (config, problems) = Self::read(&figment);
                Survey {
                    config,
                    problems,
                    figment,
                }
            }
            Err(problems) => Survey {
                config: None,
                problems,
                figment: Figment::new(),
            },
        }
    }

    fn read(figment: &Figment) -> (Option<Self>, Vec<Problem>) {
        let mut reading = Reading::begin(figment);
        let unknown: Vec<_> = reading
            .sections()
            .filter(|name| !SECTIONS.contains(name))
            .map(str::to_owned)
            .collect();
        for name in unknown {
            reading.complain(Complaint::new(
                name,
                format!("is no section; known: {}", SECTIONS.join(", ")),
            ));
        }

        let chain = reading.section::<ChainSection>("chain");
        let block = reading.section::<BlockSection>("block");
        let mut rollup = reading.section::<RollupSection>("rollup");
        rollup.iter_mut().for_each(|rollup| rollup.resolve_paths(figment));
        let gas = reading.section::<GasSection>("gas");
        let sequencer = reading.section::<SequencerSection>("sequencer");
        let l1 = reading.section::<L1Section>("l1");
        let settlement = reading.section::<SettlementSection>("settlement");
        let fees = reading.section::<FeesSection>("fees");
        let commerce = reading.section::<CommerceSection>("commerce");
        let commitment = reading.section::<PipelineConfig>("commitment");
        let mut sidecar = reading.section::<SidecarSection>("sidecar");
        sidecar.iter_mut().for_each(|sidecar| sidecar.resolve_paths(figment));
        let mut rpc = reading.section::<RpcConfig>("rpc");
        for path in rpc.iter_mut().filter_map(|rpc| rpc.admin_jwt.as_mut()) {
            *path = beside_its_file(figment, "rpc.admin_jwt", path);
        }
        let mut lease = reading.section::<LeaseConfig>("lease");
        for path in lease.iter_mut().filter_map(|lease| lease.file.as_mut()) {
            *path = beside_its_file(figment, "lease.file", path);
        }
        let mut signers = reading.section::<BTreeMap<String, SignerConfig>>("signers");
        for (name, signer) in signers.iter_mut().flatten() {
            for (key, path) in signer.paths_mut() {
                *path = beside_its_file(figment, &format!("signers.{name}.{key}"), path);
            }
        }
        let txmgr = reading.section::<TxConfig>("txmgr");

        let mut known = Dict::new();
        refer(&mut known, "chain", chain.as_ref());
        refer(&mut known, "block", block.as_ref());
        refer(&mut known, "gas", gas.as_ref());
        refer(&mut known, "sequencer", sequencer.as_ref());
        refer(&mut known, "l1", l1.as_ref());
        refer(&mut known, "fees", fees.as_ref());
        refer(&mut known, "commerce", commerce.as_ref());
        for complaint in references::resolve(reading.root_mut(), &known) {
            reading.complain(complaint);
        }
        let mut plugins = reading.list::<PluginConfig>("plugins");
        for plugin in &mut plugins {
            if let Origin::Path(path) = &mut plugin.origin
                && path.components().count() > 1
            {
                *path = beside_its_file(figment, "plugins", path);
            }
        }

        let mut complaints = vec![];
        complaints.extend(chain.iter().flat_map(ChainSection::validate));
        complaints.extend(block.iter().flat_map(BlockSection::validate));
        complaints.extend(rollup.iter().flat_map(RollupSection::validate));
        complaints.extend(sequencer.iter().flat_map(SequencerSection::validate));
        complaints.extend(l1.iter().flat_map(L1Section::validate));
        complaints.extend(settlement.iter().flat_map(SettlementSection::validate));
        complaints.extend(sidecar.iter().flat_map(SidecarSection::validate));
        complaints.extend(within(
            "commitment",
            commitment.iter().flat_map(PipelineConfig::validate),
        ));
        complaints.extend(within("txmgr", txmgr.iter().flat_map(TxConfig::validate)));
        complaints.extend(within("rpc", rpc.iter().flat_map(RpcConfig::validate)));
        if let (Some(sidecar), Some(lease)) = (&sidecar, &lease) {
            complaints.extend(within("lease", lease.validate(sidecar.lease).into_iter()));
        }
        complaints.into_iter().for_each(|complaint| reading.complain(complaint));

        let (Some(chain), Some(block), Some(rollup), Some(gas), Some(l1), Some(settlement), Some(commitment)) =
            (chain, block, rollup, gas, l1, settlement, commitment)
        else {
            return (None, reading.finish());
        };
        let (Some(sidecar), Some(rpc), Some(lease), Some(signers), Some(txmgr)) = (sidecar, rpc, lease, signers, txmgr)
        else {
            return (None, reading.finish());
        };
        let config = Self {
            chain,
            block,
            rollup,
            gas,
            l1,
            settlement,
            commitment,
            sidecar,
            rpc,
            lease,
            signers,
            txmgr,
            plugins,
        };
        config
            .cross_check()
            .into_iter()
            .for_each(|complaint| reading.complain(complaint));
        (Some(config), reading.finish())
    }

    /// What no section can know by itself.
    pub(crate) fn cross_check(&self) -> Vec<Complaint> {
        let mut complaints = self.unknown_signers();
        for (key, cap) in [
            ("gas.transaction_cap", self.gas.transaction_cap),
            ("block.gas_limit", self.block.gas_limit),
        ] {
            if self.txmgr.max_gas > cap {
                let message = format!(
                    "is {}, above `{key}` ({cap}): such a transaction would never be included",
                    self.txmgr.max_gas
                );
                complaints.push(Complaint::new("txmgr.max_gas", message));
            }
        }
        if self.txmgr.resubmission_timeout < self.block.time * 2 {
            let message =
                "is under two blocks (`block.time`): transactions would be replaced that were about to be included";
            complaints.push(Complaint::new("txmgr.resubmission_timeout", message));
        }
        if self.txmgr.watch_until < self.commitment.report_at {
            let message = format!(
                "is \"{}\", below `commitment.report_at` (\"{}\"): a reorg in between would not be repaired",
                self.txmgr.watch_until, self.commitment.report_at
            );
            complaints.push(Complaint::new("txmgr.watch_until", message));
        }
        complaints.extend(self.source_concurrency());
        for kind in [PluginKind::Source, PluginKind::Submitter] {
            let count = self.plugins.iter().filter(|plugin| plugin.kind == kind).count();
            if count != 1 {
                let message = format!("names {count} plugins of kind \"{kind}\"; there must be exactly one");
                complaints.push(Complaint::new("plugins", message));
            }
        }
        complaints
    }

    /// Names of signers that have no table.
    fn unknown_signers(&self) -> Vec<Complaint> {
        let named = self.sidecar.signers.iter().map(|name| ("sidecar.signers", name));
        let sponsorship = self.sidecar.sponsorship_signer.iter();
        let named = named.chain(sponsorship.map(|name| ("sidecar.sponsorship_signer", name)));
        let known: Vec<_> = self.signers.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        named
            .filter(|(_, name)| !self.signers.contains_key(*name))
            .map(|(key, name)| {
                let message = format!("names the signer `{name}`, but [signers] has {known}");
                Complaint::new(key, message)
            })
            .collect()
    }

    /// The source must take everybody's calls at once: two ways of polling and a health probe, reports, and proofs
    /// for the pipeline and for callers. Else callers' proofs would keep polls and reports out.
    fn source_concurrency(&self) -> Option<Complaint> {
        let position = self
            .plugins
            .iter()
            .position(|plugin| plugin.kind == PluginKind::Source)?;
        let callers = self.rpc.proofs.concurrency as usize;
        let needed = 3 + self.commitment.report_concurrency + self.commitment.proof_concurrency + callers;
        let found = self.plugins[position].concurrency;
        let message = format!(
            "is {found}, but the source needs {needed}: 3 and `commitment.report_concurrency`, \
             `commitment.proof_concurrency` and `rpc.proofs.concurrency`"
        );
        (found < needed).then(|| Complaint::new(format!("plugins.{position}.concurrency"), message))
    }

    /// The file with the secret for `admin_` methods; `None` where there is no place for one.
    pub(crate) fn admin_jwt(&self) -> Option<PathBuf> {
        self.rpc.admin_jwt.clone().or_else(|| self.data_file("admin.jwt"))
    }

    /// Path of a file in the data directory, where there is one.
    pub(crate) fn data_file(&self, name: &str) -> Option<PathBuf> {
        self.sidecar.data_dir.as_ref().map(|dir| dir.join(name))
    }
}

/// Lists the leaves of a tree by their dotted paths.
fn flatten(path: &str, value: serde_json::Value, values: &mut BTreeMap<String, serde_json::Value>) {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        serde_json::Value::Object(entries) => {
            entries
                .into_iter()
                .for_each(|(key, value)| flatten(&below(&key), value, values));
        }
        serde_json::Value::Array(entries) if entries.iter().any(serde_json::Value::is_object) => {
            let numbered = entries.into_iter().enumerate();
            numbered.for_each(|(position, value)| flatten(&below(&position.to_string()), value, values));
        }
        leaf => {
            values.insert(path.to_owned(), leaf);
        }
    }
}

/// A section's own problems, with the keys in full.
fn within(section: &str, problems: impl Iterator<Item = ConfigProblem>) -> impl Iterator<Item = Complaint> {
    problems.map(move |found| Complaint::new(format!("{section}.{}", found.key), found.problem))
}

/// Lets plugin configuration refer to a section's keys, defaults included.
fn refer<T: Serialize>(known: &mut Dict, name: &str, section: Option<&T>) {
    if let Some(Ok(value)) = section.map(Value::serialize) {
        known.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const DOCUMENTED: &str = include_str!("../../../../config/chain-config.toml");

    /// The keys of a section that the documented file sets or shows in a comment.
    fn documented(section: &str) -> BTreeSet<String> {
        let header = format!("\n[{section}]\n");
        let begin = DOCUMENTED
            .find(&header)
            .unwrap_or_else(|| panic!("[{section}] is missing"))
            + header.len();
        let body = DOCUMENTED[begin..].split("\n[").next().unwrap();
        let key = |line: &str| Some(line.trim_start_matches("# ").split_once(" = ")?.0.to_owned());
        body.lines().filter_map(key).filter(|key| !key.contains(' ')).collect()
    }

    /// The keys that a section has.
    fn keys<T: Default + Serialize>() -> BTreeSet<String> {
        let section = serde_json::to_value(T::default()).unwrap();
        let entries = section.as_object().unwrap().iter();
        // A table inside is a section of its own in the file.
        entries
            .filter(|(_, value)| !value.is_object())
            .map(|(key, _)| key.clone())
            .collect()
    }

    #[test]
    fn every_key_is_documented_and_every_documented_key_exists() {
        let optional = |mut keys: BTreeSet<String>, names: &[&str]| {
            keys.extend(names.iter().map(|name| (*name).to_owned()));
            keys
        };
        for (section, keys) in [
            (
                "chain",
                optional(keys::<ChainSection>(), &["addresses", "op_node_url", "proof_url"]),
            ),
            ("block", keys::<BlockSection>()),
            (
                "rollup",
                optional(
                    keys::<RollupSection>(),
                    &["config", "system_config", "owner", "fee_recipient"],
                ),
            ),
            ("gas", keys::<GasSection>()),
            ("sequencer", keys::<SequencerSection>()),
            ("l1", optional(keys::<L1Section>(), &["rpc_url", "portal"])),
            ("settlement", keys::<SettlementSection>()),
            ("fees", keys::<FeesSection>()),
            ("commerce", keys::<CommerceSection>()),
            ("commitment", keys::<PipelineConfig>()),
            (
                "sidecar",
                optional(keys::<SidecarSection>(), &["data_dir", "sponsorship_signer"]),
            ),
            ("rpc", optional(keys::<RpcConfig>(), &["admin_jwt"])),
            ("rpc.proofs", keys::<set_rpc::ProofsConfig>()),
            ("lease", optional(keys::<LeaseConfig>(), &["file", "postgres_url"])),
            ("txmgr", keys::<TxConfig>()),
        ] {
            assert_eq!(documented(section), keys, "[{section}]");
        }
    }
}
