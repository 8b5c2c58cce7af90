//! op-geth, the execution node.

use std::path::Path;

use url::Url;

use super::{
    OpStackError,
    genesis::{Genesis, finished},
    part::{Part, Ready, local, reserve},
    programs::Programs,
};
use crate::ReservedPort;

/// What there is to choose of the execution node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geth<'a> {
    pub(super) dir: &'a Path,
    pub(super) jwt: &'a Path,
    pub(super) archive: bool,
    pub(super) port: Option<u16>,
}

/// The node and its other addresses.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) part: Part,
    pub(super) ws: Url,
    pub(super) auth: Url,
}

impl Geth<'_> {
    /// Writes the first block and starts the node on it.
    pub(super) async fn start(self, programs: &Programs, genesis: &Genesis) -> Result<Running, OpStackError> {
        let init = programs
            .get("op-geth")?
            .args(["init", "--state.scheme", "hash", "--datadir"])
            .arg(self.dir)
            .arg(&genesis.genesis);
        finished("op-geth init", &init.spawn()?).await?;

        let ports: [_; 3] = reserve()?;
        let [http, ws, auth] = ports.each_ref().map(ReservedPort::number);
        let http = self.port.unwrap_or(http);
        let namespaces = "eth,net,web3,debug,txpool,miner,admin";
        let program = programs
            .get("op-geth")?
            .arg("--datadir")
            .arg(self.dir)
            .args(["--state.scheme", "hash", "--syncmode", "full"])
            .args(["--gcmode", if self.archive { "archive" } else { "full" }])
            .args(["--http", "--http.addr", "127.0.0.1", "--http.port", &http.to_string()])
            .args(["--http.api", namespaces])
            .args(["--ws", "--ws.addr", "127.0.0.1", "--ws.port", &ws.to_string()])
            .args(["--ws.api", namespaces])
            .args(["--authrpc.addr", "127.0.0.1", "--authrpc.port", &auth.to_string()])
            .arg("--authrpc.jwtsecret")
            .arg(self.jwt)
            .args(["--rollup.disabletxpoolgossip", "--rollup.computependingblock"])
            .args(["--nodiscover", "--maxpeers", "0", "--port", "0", "--ipcdisable"])
            // Enough for a chain of some thousand blocks, beside everything else on the machine.
            .args(["--cache", "128"]);
        Ok(Running {
            // A GET is op-geth's own health check.
            part: Part::start("op-geth", program, local("http", http), Ready::Answers(""), ports).await?,
            ws: local("ws", ws),
            auth: local("http", auth),
        })
    }
}
