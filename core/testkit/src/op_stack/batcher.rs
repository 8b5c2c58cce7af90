//! op-batcher, which posts the chain's blocks to L1.

use url::Url;

use super::{
    OpStackError,
    l1::BATCHER,
    part::{Part, Ready, local, reserve},
    programs::Programs,
};
use crate::Anvil;

/// What there is to choose of the batcher.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batcher<'a> {
    pub(super) l1: &'a Url,
    pub(super) geth: &'a Url,
    pub(super) node: &'a Url,
    /// Whether it makes the execution node leave large transactions out while its backlog is long.
    pub(super) throttles: bool,
}

impl Batcher<'_> {
    pub(super) async fn start(self, programs: &Programs) -> Result<Part, OpStackError> {
        let [port] = reserve()?;
        let rpc = port.number();
        let mut program = programs
            .get("op-batcher")?
            .args(["--l1-eth-rpc", self.l1.as_str(), "--l2-eth-rpc", self.geth.as_str()])
            .args(["--rollup-rpc", self.node.as_str()])
            .args(["--private-key", &Anvil::account(BATCHER).to_bytes().to_string()])
            // There is no beacon node that blobs could be read from.
            .args(["--data-availability-type", "calldata"])
            // A channel an L1 block: everything is safe as soon as it can be.
            .args(["--max-channel-duration", "1", "--sub-safety-margin", "4"])
            .args(["--poll-interval", "500ms", "--num-confirmations", "1"])
            .args(["--txmgr.receipt-query-interval", "500ms"])
            .args([
                "--rpc.addr",
                "127.0.0.1",
                "--rpc.port",
                &rpc.to_string(),
                "--rpc.enable-admin",
            ]);
        if !self.throttles {
            program = program.args(["--throttle.unsafe-da-bytes-lower-threshold", "0"]);
        }
        let url = local("http", rpc);
        Part::start("op-batcher", program, url, Ready::Answers("healthz"), [port]).await
    }
}
