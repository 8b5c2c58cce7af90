//! op-node, the rollup node: it makes the chain's blocks and derives them from L1.

use std::path::Path;

use alloy_primitives::B256;
use serde_json::{Value, json};
use url::Url;

use super::{
    OpStackError,
    genesis::Genesis,
    part::{Part, Ready, local, reserve},
    programs::Programs,
};
use crate::Rpc;

/// What there is to choose of the rollup node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) l1: &'a Url,
    pub(super) engine: &'a Url,
    pub(super) jwt: &'a Path,
    /// Where it remembers which L1 block made which L2 block safe.
    pub(super) safe_db: Option<&'a Path>,
}

impl Node<'_> {
    pub(super) async fn start(self, programs: &Programs, genesis: &Genesis) -> Result<Part, OpStackError> {
        let [port] = reserve()?;
        let rpc = port.number();
        let mut program = programs
            .get("op-node")?
            .args(["--l1", self.l1.as_str(), "--l1.beacon.ignore", "--l1.trustrpc"])
            // anvil has no epochs of its own length to wait for.
            .args(["--l1.http-poll-interval", "500ms", "--l1.epoch-poll-interval", "1s"])
            .args(["--l2", self.engine.as_str(), "--l2.jwt-secret"])
            .arg(self.jwt)
            .arg("--rollup.config")
            .arg(&genesis.rollup)
            .arg("--rollup.l1-chain-config")
            .arg(&genesis.l1)
            .args(["--sequencer.enabled", "--sequencer.l1-confs", "0", "--p2p.disable"])
            .args([
                "--rpc.addr",
                "127.0.0.1",
                "--rpc.port",
                &rpc.to_string(),
                "--rpc.enable-admin",
            ]);
        if let Some(directory) = self.safe_db {
            program = program.arg("--safedb.path").arg(directory);
        }
        let url = local("http", rpc);
        Part::start("op-node", program, url, Ready::Answers("healthz"), [port]).await
    }
}

/// The output root of the chain's first block, where the first dispute game starts.
pub(super) async fn genesis_output(node: &Part) -> Result<B256, OpStackError> {
    const METHOD: &str = "optimism_outputAtBlock";
    let answer = Rpc::new(node.url().clone()).call(METHOD, json!(["0x0"])).await?;
    root(&answer).ok_or(OpStackError::Answer {
        method: METHOD,
        answer: answer.to_string(),
    })
}

fn root(answer: &Value) -> Option<B256> {
    answer["outputRoot"].as_str()?.parse().ok()
}
