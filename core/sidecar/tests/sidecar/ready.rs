//! `ready`: what units, containers and scripts ask.

use assert_cmd::Command;
use set_testkit::{Action, Rule, Sequencer};

use crate::stage::{Stage, binary};

/// Exit code and what was said, of the sidecar whose health is at `address`.
async fn ready(address: &str, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(binary());
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .env_clear()
        .env("SET_SEQUENCER_API_KEY", "ss_secret")
        .env("SET__CHAIN__REGISTRY", format!("0x{}", "11".repeat(20)))
        .env("SET__CHAIN__PAYMASTER", format!("0x{}", "22".repeat(20)))
        .env("SET__RPC__HEALTH_LISTEN", address)
        .arg("ready")
        .args(more);
    let asked = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = asked.await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_an_exit_code() {
    let (fine, said) = ready("127.0.0.1:1", &[]).await;
    assert!(
        !fine && said.contains("no sidecar answers on `rpc.health_listen`"),
        "{said}"
    );

    let stage = Stage::with(Sequencer::builder().seed(61)).await;
    stage
        .node
        .inject(Rule::on(["eth_chainId", "eth_getBlockByNumber"], Action::Drop));
    let sidecar = stage.sidecar().launch().await.unwrap();
    let address = sidecar.health.authority().to_owned();
    let (fine, said) = ready(&address, &[]).await;
    assert!(!fine && said.contains("503"), "{said}");

    // Whoever waits hears of it as soon as the node is back.
    let waiting = tokio::spawn({
        let address = address.clone();
        async move { ready(&address, &["--wait", "2m"]).await }
    });
    stage.node.heal();
    let (fine, said) = waiting.await.unwrap();
    assert!(fine, "{said}");
    let (fine, said) = ready(&address, &[]).await;
    assert!(fine, "{said}");
}
