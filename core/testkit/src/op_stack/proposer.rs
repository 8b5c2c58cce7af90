//! op-proposer, which claims the chain's outputs on L1.

use alloy_primitives::Address;
use url::Url;

use super::{
    OpStackError,
    l1::{ALPHABET_GAME, PROPOSER},
    part::{Part, Ready, local, reserve},
    programs::Programs,
};
use crate::Anvil;

/// Time between two claims.
const INTERVAL: &str = "12s";

pub(super) async fn start(programs: &Programs, l1: &Url, node: &Url, factory: Address) -> Result<Part, OpStackError> {
    let [port] = reserve()?;
    let rpc = port.number();
    let program = programs
        .get("op-proposer")?
        .args(["--l1-eth-rpc", l1.as_str(), "--rollup-rpc", node.as_str()])
        .args(["--private-key", &Anvil::account(PROPOSER).to_bytes().to_string()])
        .args(["--game-factory-address", &factory.to_string()])
        .args(["--game-type", &ALPHABET_GAME.to_string()])
        .args(["--proposal-interval", INTERVAL, "--allow-non-finalized"])
        .args(["--poll-interval", "1s", "--num-confirmations", "1"])
        .args(["--txmgr.receipt-query-interval", "500ms"])
        .args([
            "--rpc.addr",
            "127.0.0.1",
            "--rpc.port",
            &rpc.to_string(),
            "--rpc.enable-admin",
        ]);
    let url = local("http", rpc);
    Part::start("op-proposer", program, url, Ready::Answers("healthz"), [port]).await
}
