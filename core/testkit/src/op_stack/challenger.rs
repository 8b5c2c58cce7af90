//! op-challenger, which plays the dispute games and resolves them.

use std::path::Path;

use alloy_primitives::Address;
use url::Url;

use super::{
    OpStackError,
    l1::CHALLENGER,
    part::{Part, Ready},
    programs::Programs,
};
use crate::Anvil;

/// Whom the challenger asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Challenger<'a> {
    pub(super) dir: &'a Path,
    pub(super) l1: &'a Url,
    pub(super) geth: &'a Url,
    pub(super) node: &'a Url,
    pub(super) factory: Address,
}

impl Challenger<'_> {
    pub(super) async fn start(self, programs: &Programs) -> Result<Part, OpStackError> {
        let program = programs
            .get("op-challenger")?
            .args(["--l1-eth-rpc", self.l1.as_str(), "--rollup-rpc", self.node.as_str()])
            .args(["--l2-eth-rpc", self.geth.as_str(), "--l1-beacon", self.l1.as_str()])
            .arg("--datadir")
            .arg(self.dir)
            .args(["--private-key", &Anvil::account(CHALLENGER).to_bytes().to_string()])
            .args(["--game-factory-address", &self.factory.to_string()])
            .args(["--game-types", "alphabet"])
            .args(["--http-poll-interval", "1s", "--num-confirmations", "1"])
            .args(["--txmgr.receipt-query-interval", "500ms"]);
        // It has no RPC of its own; its URL is whom it asks.
        Part::start(
            "op-challenger",
            program,
            self.node.clone(),
            Ready::Says("game service start completed"),
            [],
        )
        .await
    }
}
