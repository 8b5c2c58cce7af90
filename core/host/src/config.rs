//! `[[plugins]]` and how plugin files are found.

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use set_types::PluginKind;

use crate::{
    allow::AllowedCall,
    chain_method,
    error::{HostError, Problem},
};

/// What the host is started with.
#[derive(Debug, Clone, Default)]
pub struct HostConfig {
    /// The plugins, in the order in which policies are asked.
    pub plugins: Vec<PluginConfig>,
    /// Where plugin files may come from.
    pub loading: LoadingConfig,
    /// The data directory; copies of plugin files are kept in its `plugins`. Without one they are loaded
    /// from a temporary directory.
    pub data_dir: Option<PathBuf>,
}

/// Whether and from where plugin files are loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadingConfig {
    /// `sidecar.load_plugins`: whether `path = "…"` is allowed at all. A loaded plugin has the program's
    /// full trust, so this is off unless the operator turns it on.
    pub enabled: bool,
    /// `sidecar.plugin_dirs`: directories that plugin files must be in; nobody else may be able to write
    /// to them.
    pub dirs: Vec<PathBuf>,
}

/// One entry of `[[plugins]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
pub struct PluginConfig {
    /// The operator's name for it: `[a-z0-9-]`, unique. Logs, metrics and errors carry it, and its
    /// durable values are kept under it.
    pub id: String,
    /// The part that it plays.
    pub kind: PluginKind,
    /// Where its code comes from.
    pub origin: Origin,
    /// SHA-256 that the file must have.
    pub sha256: Option<[u8; 32]>,
    /// Whether the program ends if the plugin does not start.
    pub required: bool,
    /// How long one call may take.
    pub deadline: Duration,
    /// How many calls may run at once; more are refused as busy.
    pub concurrency: usize,
    /// The plugin's own configuration, as written: secrets are still `${VARIABLE}` or `file:/path`.
    pub config: Value,
    /// What it may do through the core.
    pub allow: AllowConfig,
}

/// Where a plugin's code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Linked into the program, under this name.
    Builtin(String),
    /// A file. A name without a slash is looked for in the plugin directories; another relative path is
    /// relative to the working directory.
    Path(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin {name}"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What a plugin may do through the core.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AllowConfig {
    /// Calls that a submitter may propose. None unless given.
    pub calls: Vec<AllowedCall>,
    /// Read-only `eth_` methods that it may ask the node; all of [`chain_method::READ_ONLY`] unless
    /// given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_calls: Option<Vec<String>>,
}

/// An entry as the file has it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    kind: PluginKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    builtin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default = "default_deadline", with = "humantime_serde")]
    deadline: Duration,
    #[serde(default = "default_concurrency")]
    concurrency: usize,
    #[serde(default = "empty_table")]
    config: Value,
    #[serde(default)]
    allow: AllowConfig,
}

const fn default_deadline() -> Duration {
    Duration::from_secs(5)
}

const fn default_concurrency() -> usize {
    16
}

fn empty_table() -> Value {
    Value::Object(serde_json::Map::new())
}

impl TryFrom<Entry> for PluginConfig {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let id = entry.id;
        let origin = match (entry.builtin, entry.path) {
            (Some(name), None) => Origin::Builtin(name),
            (None, Some(path)) => Origin::Path(path),
            (Some(_), Some(_)) => return Err(format!("plugin `{id}`: give `builtin` or `path`, not both")),
            (None, None) => {
                return Err(format!(
                    "plugin `{id}`: give `builtin = \"name\"` or `path = \"file.so\"`"
                ));
            }
        };
        let digest = |text: String| {
            let mut digest = [0; 32];
            hex::decode_to_slice(text.trim_start_matches("0x"), &mut digest)
                .map_err(|_| format!("plugin `{id}`: `sha256` must be 64 hex digits, as `sha256sum` prints them"))?;
            Ok::<_, String>(digest)
        };
        let sha256 = entry.sha256.map(digest).transpose()?;
        if sha256.is_some() && matches!(origin, Origin::Builtin(_)) {
            return Err(format!(
                "plugin `{id}`: `sha256` is for `path`; a builtin has no file of its own"
            ));
        }
        Ok(Self {
            id,
            kind: entry.kind,
            origin,
            sha256,
            required: entry.required,
            deadline: entry.deadline,
            concurrency: entry.concurrency,
            config: entry.config,
            allow: entry.allow,
        })
    }
}

impl From<PluginConfig> for Entry {
    fn from(plugin: PluginConfig) -> Self {
        let (builtin, path) = match plugin.origin {
            Origin::Builtin(name) => (Some(name), None),
            Origin::Path(path) => (None, Some(path)),
        };
        Self {
            id: plugin.id,
            kind: plugin.kind,
            builtin,
            path,
            sha256: plugin.sha256.map(hex::encode),
            required: plugin.required,
            deadline: plugin.deadline,
            concurrency: plugin.concurrency,
            config: plugin.config,
            allow: plugin.allow,
        }
    }
}

impl HostConfig {
    /// Every problem that can be seen without looking at a plugin.
    pub(crate) fn problems(&self) -> Vec<HostError> {
        let mut problems = vec![];
        for (position, plugin) in self.plugins.iter().enumerate() {
            let mut complain = |key: &'static str, reason: String| {
                problems.push(HostError::new(&plugin.id, Problem::Config { key, reason }));
            };
            let earlier = &self.plugins[..position];
            if earlier.iter().any(|other| other.id == plugin.id) {
                complain("id", "is used twice; ids are unique".to_owned());
            }
            let in_alphabet = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if plugin.id.is_empty() || plugin.id.len() > 64 || !plugin.id.chars().all(in_alphabet) {
                complain("id", "must be 1 to 64 of a-z, 0-9 and -".to_owned());
            }
            if plugin.kind != PluginKind::Policy
                && let Some(other) = earlier.iter().find(|other| other.kind == plugin.kind)
            {
                complain(
                    "kind",
                    format!("`{}` is a {} already, and there can be one", other.id, plugin.kind),
                );
            }
            if plugin.deadline.is_zero() {
                complain("deadline", "is 0; give a duration such as \"5s\"".to_owned());
            }
            if plugin.concurrency == 0 || plugin.concurrency > 1024 {
                complain("concurrency", format!("is {}; give 1 to 1024", plugin.concurrency));
            }
            if !plugin.config.is_object() {
                complain("config", "must be a table".to_owned());
            }
            for call in &plugin.allow.calls {
                if call.selectors.is_empty() {
                    complain(
                        "allow.calls.selectors",
                        format!("is empty for {}, which allows nothing", call.to),
                    );
                }
            }
            for name in plugin.allow.chain_calls.iter().flatten() {
                if !chain_method::is_read_only(name) {
                    let reason = format!("`{name}` is no read-only method that a plugin may ask");
                    complain("allow.chain_calls", reason);
                }
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plugin(value: Value) -> Result<PluginConfig, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_reads_with_defaults_and_writes_back() {
        let config = plugin(json!({
            "id": "registry", "kind": "submitter", "path": "libregistry.so", "sha256": "ab".repeat(32),
            "deadline": "250ms", "config": {"a": 1}, "allow": {"calls": [
                {"to": format!("0x{}", "11".repeat(20)), "selectors": ["pause()", "0x12345678"], "max_value": "7"},
            ]},
        }))
        .unwrap();
        assert_eq!(
            (config.deadline, config.concurrency, config.required),
            (Duration::from_millis(250), 16, false)
        );
        assert_eq!(config.sha256, Some([0xab; 32]));
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(plugin(written).unwrap(), config);
    }

    #[test]
    fn an_entry_that_cannot_be_meant_is_refused_by_its_id() {
        for (entry, expected) in [
            (json!({"id": "a", "kind": "source"}), "plugin `a`: give `builtin"),
            (
                json!({"id": "a", "kind": "source", "builtin": "b", "path": "c"}),
                "not both",
            ),
            (
                json!({"id": "a", "kind": "source", "path": "c", "sha256": "12"}),
                "64 hex digits",
            ),
            (
                json!({"id": "a", "kind": "source", "builtin": "c", "sha256": "ab".repeat(32)}),
                "no file of its own",
            ),
            (
                json!({"id": "a", "kind": "source", "builtin": "c", "dedline": "5s"}),
                "unknown field `dedline`",
            ),
        ] {
            let error = plugin(entry).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn every_problem_of_a_list_is_named() {
        let entry = |id: &str, kind: &str| plugin(json!({"id": id, "kind": kind, "builtin": "x"})).unwrap();
        let mut plugins = vec![
            entry("a", "source"),
            entry("a", "policy"),
            entry("B", "source"),
            entry("c", "policy"),
        ];
        plugins[3].concurrency = 0;
        plugins[3].allow.chain_calls = Some(vec!["eth_call".to_owned(), "eth_sendRawTransaction".to_owned()]);
        let config = HostConfig {
            plugins,
            ..HostConfig::default()
        };
        let problems: Vec<_> = config.problems().iter().map(ToString::to_string).collect();
        for (problem, expected) in problems.iter().zip([
            "plugin `a`: `id` is used twice",
            "plugin `B`: `id` must be",
            "plugin `B`: `kind` `a` is a source already",
            "plugin `c`: `concurrency` is 0",
            "plugin `c`: `allow.chain_calls` `eth_sendRawTransaction`",
        ]) {
            assert!(problem.starts_with(expected), "{problem}");
        }
        assert_eq!(problems.len(), 5, "{problems:?}");
    }
}
