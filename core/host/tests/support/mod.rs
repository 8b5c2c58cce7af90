//! What the host's tests share: plugin files, a core that answers plugins, and waiting for a state.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json, value::RawValue};
use set_host::{
    Builtin, Host, HostConfig, HostServices, LoadingConfig, PluginConfig, PluginReport, ServiceError, StartError,
};
use tempfile::TempDir;

/// The fixtures that are linked into the tests.
pub(crate) const BUILTINS: [Builtin; 3] = [
    Builtin {
        name: "fixture-source",
        entry: set_plugin_fixtures::source::PLUGIN,
    },
    Builtin {
        name: "fixture-policy",
        entry: set_plugin_fixtures::policy::PLUGIN,
    },
    Builtin {
        name: "fixture-submitter",
        entry: set_plugin_fixtures::submitter::PLUGIN,
    },
];

/// The source fixture as cargo builds it for this package's tests.
pub(crate) fn built_library() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let profile = program.parent().and_then(Path::parent).unwrap();
    let library = profile.join("examples/libset_plugin_fixtures_source.so");
    assert!(
        library.exists(),
        "{} is missing: run `cargo build -p set-host --examples`",
        library.display()
    );
    library
}

/// A directory for plugin files that nobody else can write to.
pub(crate) struct PluginDir(TempDir);

impl PluginDir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts the fixture in under `name`.
    pub(crate) fn fixture(&self, name: &str) -> PathBuf {
        let file = self.path().join(name);
        fs::copy(built_library(), &file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// Compiles the plugin in C under `name`, with `defines` such as `TWICE`.
    pub(crate) fn compile(&self, name: &str, defines: &[&str]) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let file = self.path().join(name);
        let compiled = Command::new("cc")
            .args([
                "-std=c11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", "-I",
            ])
            .arg(root.join("core/plugin-abi/include"))
            .args(defines.iter().map(|define| format!("-D{define}")))
            .arg("-o")
            .arg(&file)
            .arg(root.join("plugins/fixtures/c/plugin.c"))
            .output()
            .expect("a C compiler named `cc`, which Rust links with too");
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        file
    }

    pub(crate) fn config(&self, plugins: Vec<PluginConfig>) -> HostConfig {
        let loading = LoadingConfig {
            enabled: true,
            dirs: vec![self.path().to_owned()],
        };
        HostConfig {
            plugins,
            loading,
            data_dir: None,
        }
    }
}

/// An entry of `[[plugins]]`, from JSON.
pub(crate) fn plugin(entry: Value) -> PluginConfig {
    serde_json::from_value(entry).unwrap()
}

/// A core that knows one balance and keeps values in memory.
#[derive(Default)]
pub(crate) struct Core {
    pub(crate) values: Mutex<HashMap<(String, String), Vec<u8>>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

#[async_trait]
impl HostServices for Core {
    async fn chain_call(
        &self,
        plugin: &str,
        method: &str,
        params: Box<RawValue>,
    ) -> Result<Box<RawValue>, ServiceError> {
        self.asked.lock().unwrap().push(format!("{plugin} {method} {params}"));
        Ok(serde_json::value::to_raw_value("0x2a").unwrap())
    }

    async fn kv_get(&self, plugin: &str, key: &str) -> Result<Option<Vec<u8>>, ServiceError> {
        Ok(self
            .values
            .lock()
            .unwrap()
            .get(&(plugin.to_owned(), key.to_owned()))
            .cloned())
    }

    async fn kv_put(&self, plugin: &str, key: &str, value: Vec<u8>) -> Result<(), ServiceError> {
        self.values
            .lock()
            .unwrap()
            .insert((plugin.to_owned(), key.to_owned()), value);
        Ok(())
    }
}

/// Starts the plugins with an empty core.
pub(crate) async fn start(config: HostConfig) -> Result<Host, StartError> {
    Host::start(config, &BUILTINS, Arc::new(Core::default())).await
}

/// An error's text, where no success was expected.
pub(crate) fn refusal<T>(outcome: Result<T, StartError>) -> String {
    match outcome {
        Ok(_) => panic!("started"),
        Err(error) => error.to_string(),
    }
}

/// Waits until the only plugin's report is as wanted.
pub(crate) async fn until(host: &Host, wanted: impl Fn(&PluginReport) -> bool) -> PluginReport {
    let mut changes = host.changes();
    let waiting = async {
        loop {
            let report = host.plugins().remove(0);
            if wanted(&report) {
                return report;
            }
            changes.changed().await.unwrap();
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, waiting)
        .await
        .unwrap_or_else(|_| panic!("still {:?}", host.plugins()))
}

/// Lets the clock of the test's runtime jump to what it waits for, so that a call runs out of time at once. What
/// begins then has its whole time in the clock that goes on; plugins have clocks of their own.
pub(crate) async fn out_of_time<T>(call: impl Future<Output = T>) -> T {
    tokio::time::pause();
    let outcome = call.await;
    tokio::time::resume();
    outcome
}

/// Waits until the only plugin was asked so often, by the test or for its health.
pub(crate) async fn asked(host: &Host, calls: u64) {
    let asked = async {
        // Nothing tells of a call that was answered.
        while host.plugins()[0].calls < calls {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked)
        .await
        .unwrap_or_else(|_| panic!("not {calls} calls: {:?}", host.plugins()));
}

/// A tenant and a store, in JSON.
pub(crate) fn stream() -> Value {
    json!({ "tenant_id": "f03eb0f6-90ee-46e2-a756-5ca9b225848a", "store_id": "fd5aa127-bf8d-4b16-9d8e-5be979cdfdc7" })
}
