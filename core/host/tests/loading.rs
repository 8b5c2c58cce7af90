//! Which files are loaded, and what is said of those that are not.
#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod support;

use std::{fs, path::Path};

use serde_json::{Value, json};
use set_host::{Host, HostConfig, PluginConfig};
use sha2::{Digest as _, Sha256};
use support::{BUILTINS, PluginDir, plugin, refusal, start};

fn entry(more: Value) -> PluginConfig {
    let mut entry = json!({ "id": "fixture", "kind": "source", "path": "libfixture.so", "required": true });
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    plugin(entry)
}

#[tokio::test]
async fn a_pinned_file_is_copied_and_loaded() {
    let dir = PluginDir::new();
    let file = dir.fixture("libfixture.so");
    let digest = hex::encode(Sha256::digest(fs::read(file).unwrap()));
    let data = dir.path().join("data");
    let config = HostConfig {
        data_dir: Some(data.clone()),
        ..dir.config(vec![entry(json!({ "sha256": digest }))])
    };
    let host = start(config).await.unwrap();
    assert_eq!(host.plugins()[0].sha256.as_deref(), Some(digest.as_str()));
    assert!(data.join(format!("plugins/libfixture-{digest}.so")).exists());
    let mapped = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(
        mapped.contains(&format!("libfixture-{digest}.so")),
        "the copy is what is mapped"
    );

    let wrong = dir.config(vec![entry(json!({ "sha256": "00".repeat(32) }))]);
    let error = refusal(start(wrong).await);
    assert!(
        error.contains(&format!("its SHA-256 is {digest}, but `sha256` says 0000")),
        "{error}"
    );
}

#[tokio::test]
async fn only_files_of_the_plugin_directories_are_loaded_and_only_if_allowed() {
    let (dir, other) = (PluginDir::new(), PluginDir::new());
    let outside = other.fixture("libfixture.so");
    let error = refusal(start(dir.config(vec![entry(json!({ "path": outside }))])).await);
    assert!(error.contains("is outside of the plugin directories"), "{error}");
    let error = refusal(start(dir.config(vec![entry(json!({ "path": "libm.so.6" }))])).await);
    assert!(error.contains("is in none of the plugin directories"), "{error}");

    dir.fixture("libfixture.so");
    let mut off = dir.config(vec![entry(json!({}))]);
    off.loading.enabled = false;
    let error = refusal(start(off).await);
    assert!(error.contains("`path` needs `sidecar.load_plugins = true`"), "{error}");
}

#[tokio::test]
async fn check_names_every_problem_and_starts_nothing() {
    let dir = PluginDir::new();
    dir.fixture("libfixture.so");
    let plugins = vec![
        entry(json!({ "id": "unmade", "config": { "create": "panic" } })),
        entry(json!({ "id": "second", "concurrency": 0 })),
        plugin(json!({ "id": "other", "kind": "policy", "builtin": "nowhere" })),
        plugin(
            json!({ "id": "holds", "kind": "policy", "builtin": "fixture-policy", "config": {
            "hold": ["${SET_HOST_TEST_IS_NOT_SET}"], "hodl": [],
        } }),
        ),
    ];
    let problems = Host::check(&dir.config(plugins), &BUILTINS).await;
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    for (problem, expected) in problems.iter().zip([
        "plugin `second`: `kind` `unmade` is a source already",
        "plugin `second`: `concurrency` is 0",
        "plugin `other`: there is no builtin `nowhere`; this program has fixture-source, fixture-policy, fixture-submitter",
        "plugin `holds`: its configuration is wrong: `config.hold[0]`: the environment variable `SET_HOST_TEST_IS_NOT_SET` is not set",
    ]) {
        assert!(problem.starts_with(expected), "{problem}");
    }
    assert_eq!(problems.len(), 4, "{problems:?}");
    // Not even one that would panic was created.
    assert!(Path::new("/proc/self/task").read_dir().unwrap().all(|task| {
        let name = fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default();
        !name.starts_with("plugin unmade")
    }));
}
