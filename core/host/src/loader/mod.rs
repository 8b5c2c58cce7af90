//! From a name or a file to running code. All of the host's `unsafe` is in here.
//!
//! A library is never unloaded: one with a thread-local destructor (any Rust library) stays mapped
//! whatever `dlclose` says, and code of it may still run. So what is loaded stays, tables and contexts
//! that were handed out stay valid, and what is new comes in under a new path.
#![allow(unsafe_code, reason = "the host's side of the C boundary")]

mod file;
mod host_table;
mod instance;
mod library;

use std::{path::Path, thread, time::Duration};

use secrecy::SecretString;
use set_plugin_abi::{EntryPoint, PROTOCOL};
use set_types::Descriptor;
use tokio::sync::oneshot;

use crate::{
    config::{HostConfig, Origin, PluginConfig},
    error::Problem,
    schema,
    secrets::{self, Redactor},
};

pub(crate) use host_table::HostTable;
pub(crate) use instance::{Answer, Begun, Instance, NotBegun, Start};
pub(crate) use library::Table;

/// How long a plugin may take to be loaded and described, and then to be created.
pub(crate) const START: Duration = Duration::from_secs(30);

/// A plugin that is linked into the program.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// The name that `builtin = "…"` uses.
    pub name: &'static str,
    /// The plugin.
    pub entry: EntryPoint,
}

/// Code that was loaded and checked, and is ready to be instantiated.
pub(crate) struct Loaded {
    pub(crate) table: Table,
    pub(crate) descriptor: Descriptor,
    /// SHA-256 of the file, where there is one.
    pub(crate) sha256: Option<[u8; 32]>,
}

/// A plugin that could be started: its code and its configuration fit.
pub(crate) struct Prepared {
    pub(crate) loaded: Loaded,
    /// The configuration with secrets, as JSON.
    pub(crate) config: SecretString,
    pub(crate) redactor: Redactor,
}

/// Loads a plugin and checks it against its entry. Everything but `create`.
pub(crate) async fn prepare(
    plugin: &PluginConfig,
    host: &HostConfig,
    builtins: &[Builtin],
) -> Result<Prepared, Problem> {
    let (plugin, loading, data_dir) = (plugin.clone(), host.loading.clone(), host.data_dir.clone());
    let builtins = builtins.to_vec();
    isolated("describe", move || {
        let loaded = match &plugin.origin {
            Origin::Builtin(name) => load_builtin(name, &builtins)?,
            Origin::Path(_) if !loading.enabled => return Err(Problem::LoadingDisabled),
            Origin::Path(path) => {
                let file = file::find(path, &loading.dirs)?;
                load_file(&file, plugin.sha256, data_dir.as_deref())?
            }
        };
        let Descriptor {
            name,
            kind,
            protocol,
            config_schema,
            ..
        } = &loaded.descriptor;
        if *kind != plugin.kind {
            return Err(Problem::Kind {
                name: name.clone(),
                expected: plugin.kind,
                found: *kind,
            });
        }
        if !protocol.contains(PROTOCOL) {
            return Err(Problem::Protocol {
                theirs: *protocol,
                ours: PROTOCOL,
            });
        }
        let environment = |name: &str| std::env::var(name).ok();
        let resolved = secrets::resolve(&plugin.config, &environment).map_err(Problem::Settings)?;
        let misfits = schema::check(config_schema.as_value(), &resolved.config);
        if !misfits.is_empty() {
            return Err(Problem::Settings(misfits));
        }
        Ok(Prepared {
            loaded,
            config: resolved.config.to_string().into(),
            redactor: resolved.redactor,
        })
    })
    .await?
}

fn load_builtin(name: &str, builtins: &[Builtin]) -> Result<Loaded, Problem> {
    let Some(builtin) = builtins.iter().find(|builtin| builtin.name == name) else {
        let known = builtins.iter().map(|builtin| builtin.name).collect();
        return Err(Problem::UnknownBuiltin {
            name: name.to_owned(),
            known,
        });
    };
    let table = Table::of_builtin(builtin.entry)?;
    Ok(Loaded {
        descriptor: table.describe()?,
        table,
        sha256: None,
    })
}

fn load_file(file: &Path, pin: Option<[u8; 32]>, data_dir: Option<&Path>) -> Result<Loaded, Problem> {
    let image = file::Image::read(file)?;
    if let Some(pin) = pin {
        image.check_digest(&pin)?;
    }
    let copy = image.place(data_dir)?;
    let table = Table::of_library(copy.path(), file)?;
    Ok(Loaded {
        descriptor: table.describe()?,
        table,
        sha256: Some(*image.sha256()),
    })
}

/// What `plugin inspect` shows of a file.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Inspection {
    /// SHA-256 of the file, in hex: what `sha256 = "…"` takes.
    pub sha256: String,
    /// Version of the ABI that it was built for, as `major.minor`.
    pub abi: String,
    /// What it says of itself.
    pub descriptor: Descriptor,
}

/// Loads a plugin file and asks it what it is. This runs the file's code, and blocks while it does.
///
/// # Errors
/// The file cannot be read, or is no plugin.
pub fn inspect(path: &Path) -> Result<Inspection, Problem> {
    let file = file::canonical(path)?;
    let loaded = load_file(&file, None, None)?;
    Ok(Inspection {
        sha256: loaded.sha256.map(hex::encode).unwrap_or_default(),
        abi: loaded.table.version(),
        descriptor: loaded.descriptor,
    })
}

/// Runs what executes a plugin's code on a thread of its own, and gives up on it after [`START`]: the
/// thread of a plugin that never returns is lost, the program is not.
async fn isolated<T: Send + 'static>(
    function: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::Builder::new().name("plugin-load".to_owned()).spawn(move || {
        // The receiver is gone where this took too long.
        drop(sender.send(work()));
    });
    thread.map_err(|error| Problem::Create(format!("no thread to load it on: {error}")))?;
    match tokio::time::timeout(START, receiver).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(Problem::Panicked {
            function,
            message: "the loading thread ended".to_owned(),
        }),
        Err(_) => Err(Problem::Stuck {
            function,
            within: START,
        }),
    }
}
