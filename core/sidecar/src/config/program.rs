//! `[sidecar]`: the program itself.

use std::{path::PathBuf, time::Duration};

use figment::Figment;
use serde::{Deserialize, Serialize};
use set_lease::LeaseKind;

use super::{layers::beside_its_file, problem::Complaint};

/// `[sidecar]`: data, logs, plugins, start and stop.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SidecarSection {
    /// Where the index, the durable store, the journal and copies of plugins live, relative to the file
    /// that names it. Absent or empty: all in memory, and rebuilt from the chain at the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Which signers of `[signers]` send commitments, each from an account of its own.
    pub(crate) signers: Vec<String>,
    /// Which signer of `[signers]` pays for sponsorships; its account is none of those above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sponsorship_signer: Option<String>,
    /// What decides which of several sidecars sends; `[lease]` says where it is kept.
    pub(crate) lease: LeaseKind,
    /// What to log, in tracing's filter syntax, such as `info,set_txmgr=debug`. `RUST_LOG` wins.
    pub(crate) log: String,
    /// How to log.
    pub(crate) log_format: LogFormat,
    /// On SIGTERM: finish what is in flight for at most so long, then stop.
    #[serde(with = "humantime_serde")]
    pub(crate) shutdown_timeout: Duration,
    /// Whether plugins may be loaded from files; they have the program's full trust.
    pub(crate) load_plugins: bool,
    /// Directories that such files must be in, relative to the file that names them.
    pub(crate) plugin_dirs: Vec<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// Text in a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for SidecarSection {
    fn default() -> Self {
        Self {
            data_dir: None,
            signers: vec!["commitments".to_owned()],
            sponsorship_signer: None,
            lease: LeaseKind::None,
            log: "info".to_owned(),
            log_format: LogFormat::Auto,
            shutdown_timeout: Duration::from_secs(20),
            load_plugins: false,
            plugin_dirs: vec![],
        }
    }
}

impl SidecarSection {
    /// Makes paths independent of where the program was started.
    pub(crate) fn resolve_paths(&mut self, figment: &Figment) {
        self.data_dir = self
            .data_dir
            .take()
            .filter(|dir| !dir.as_os_str().is_empty())
            .map(|dir| beside_its_file(figment, "sidecar.data_dir", &dir));
        for dir in &mut self.plugin_dirs {
            *dir = beside_its_file(figment, "sidecar.plugin_dirs", dir);
        }
    }

    pub(crate) fn validate(&self) -> Vec<Complaint> {
        let mut complaints = vec![];
        if let Err(error) = self.log.parse::<tracing_subscriber::EnvFilter>() {
            complaints.push(Complaint::new("sidecar.log", format!("is no log filter: {error}")));
        }
        if self.signers.is_empty() {
            let message = "is empty, so nothing could be sent; name one of [signers], or more";
            complaints.push(Complaint::new("sidecar.signers", message));
        }
        for (position, name) in self.signers.iter().enumerate() {
            if self.signers[..position].contains(name) {
                complaints.push(Complaint::new("sidecar.signers", format!("names `{name}` twice")));
            }
        }
        if let Some(name) = self
            .sponsorship_signer
            .as_ref()
            .filter(|name| self.signers.contains(name))
        {
            let message = format!("is `{name}`, which sends commitments (`sidecar.signers`); give another one");
            complaints.push(Complaint::new("sidecar.sponsorship_signer", message));
        }
        if self.shutdown_timeout.is_zero() {
            let message = "is 0: nothing in flight could finish; give a duration such as \"20s\"";
            complaints.push(Complaint::new("sidecar.shutdown_timeout", message));
        }
        if self.load_plugins && self.plugin_dirs.is_empty() {
            let message = "is empty, so no plugin file could be loaded; name the directories that hold them";
            complaints.push(Complaint::new("sidecar.plugin_dirs", message));
        }
        complaints
    }
}
