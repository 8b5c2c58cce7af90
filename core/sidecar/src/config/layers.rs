//! Where configuration comes from, and which source wins.

use std::path::{Path, PathBuf};

use figment::{
    Figment, Metadata, Source,
    providers::{Env, Format, Serialized, Toml},
};
use serde::Deserialize;
use serde_json::json;

use super::problem::{Complaint, Problem};

/// Prefix of environment variables; `__` separates section and key: `SET__TXMGR__MAX_IN_FLIGHT=4`.
const ENVIRONMENT_PREFIX: &str = "SET__";

/// The key that names a deployment's file.
const ADDRESSES: &str = "chain.addresses";

/// What the command line says about configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    /// The chain's file, `chain-config.toml`.
    pub(crate) base: PathBuf,
    /// Files that override it, in order.
    pub(crate) overlays: Vec<PathBuf>,
    /// `section.key=value` pairs from flags; they win over everything.
    pub(crate) flags: Vec<(String, String)>,
}

impl Layers {
    /// Stacks base file, overlays, environment and flags, each over the one before; defaults are in the
    /// sections themselves, and addresses from a deployment's file lie under all of it.
    pub(crate) fn stack(&self) -> Result<Figment, Vec<Problem>> {
        let missing: Vec<_> = std::iter::once(&self.base)
            .chain(&self.overlays)
            .filter(|path| !path.is_file())
            .map(|path| {
                in_file(
                    path,
                    Complaint::new("", "no such file; give its path with --config or --overlay"),
                )
            })
            .collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let mut figment = Figment::from(Toml::file_exact(&self.base));
        for overlay in &self.overlays {
            figment = figment.merge(Toml::file_exact(overlay));
        }
        figment = figment.merge(Env::prefixed(ENVIRONMENT_PREFIX).split("__"));
        for (key, value) in &self.flags {
            // Read as TOML where it is TOML, so that numbers, booleans and lists need no quotes of their own.
            let value = value
                .parse::<figment::value::Value>()
                .unwrap_or_else(|never| match never {});
            figment = figment.merge(Serialized::default(key, value).named("command line"));
        }
        match figment.extract_inner::<PathBuf>(ADDRESSES) {
            Ok(path) => {
                let path = beside_its_file(&figment, ADDRESSES, &path);
                Ok(figment.join(deployed(&path)?))
            }
            Err(_) => Ok(figment),
        }
    }
}

/// A path in a file is relative to that file, so that the program may be started anywhere; one from the
/// environment or a flag is relative to the current directory.
pub(crate) fn beside_its_file(figment: &Figment, key: &str, path: &Path) -> PathBuf {
    let source = figment.find_metadata(key).and_then(|metadata| metadata.source.as_ref());
    match source.and_then(Source::file_path).and_then(Path::parent) {
        Some(dir) => dir.join(path),
        None => path.to_owned(),
    }
}

/// What `scripts/deploy` writes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deployment {
    registry: String,
    paymaster: String,
    #[serde(default)]
    start_block: u64,
}

fn deployed(path: &Path) -> Result<Figment, Vec<Problem>> {
    let refuse = |message: String| vec![in_file(path, Complaint::new("", message))];
    let text = std::fs::read_to_string(path).map_err(|error| {
        refuse(format!(
            "`chain.addresses` names this file, but it cannot be read: {error}"
        ))
    })?;
    let found: Deployment = serde_json::from_str(&text)
        .map_err(|error| refuse(format!("is no deployment file of `scripts/deploy`: {error}")))?;
    let chain = json!({
        "registry": found.registry,
        "paymaster": found.paymaster,
        "start_block": found.start_block,
    });
    Ok(Figment::from(
        Serialized::default("chain", chain).named(path.display().to_string()),
    ))
}

fn in_file(path: &Path, complaint: Complaint) -> Problem {
    Problem {
        origin: path.display().to_string(),
        complaint,
    }
}

/// Names the source of a key's value for people. What is inside of a list comes from where the list does.
pub(crate) fn origin_of(figment: &Figment, key: &str) -> String {
    let outside_lists = key.split('.').take_while(|part| part.parse::<usize>().is_err());
    origin(figment.find_metadata(&outside_lists.collect::<Vec<_>>().join(".")))
}

/// Names a value's source for people.
pub(crate) fn origin(metadata: Option<&Metadata>) -> String {
    let Some(metadata) = metadata else {
        return "defaults".to_owned();
    };
    match &metadata.source {
        Some(Source::File(path)) => path.display().to_string(),
        _ if metadata.name.contains("environment") => "environment".to_owned(),
        _ => metadata.name.to_string(),
    }
}

/// Gives a provider a name that problems can be reported under.
trait Named: Sized {
    fn named(self, name: impl Into<String>) -> NamedProvider<Self>;
}

impl<P: figment::Provider> Named for P {
    fn named(self, name: impl Into<String>) -> NamedProvider<Self> {
        NamedProvider {
            provider: self,
            name: name.into(),
        }
    }
}

struct NamedProvider<P> {
    provider: P,
    name: String,
}

impl<P: figment::Provider> figment::Provider for NamedProvider<P> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<figment::value::Map<figment::Profile, figment::value::Dict>, figment::Error> {
        self.provider.data()
    }
}
