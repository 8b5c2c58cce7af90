//! op-geth by itself: a pool on the chain's first block, and nobody who makes more.

use std::path::Path;

use set_chain::L2Provider;
use url::Url;

use super::{
    OpStackError,
    builder::connect,
    genesis::finished,
    part::{Part, Ready, local, reserve},
    programs::Programs,
};
use crate::ReservedPort;

/// op-geth without an op-node. Ends when dropped.
#[derive(Debug)]
pub struct LoneGeth {
    part: Part,
    provider: L2Provider,
}

impl LoneGeth {
    /// Starts it on a `genesis.json`, with its data in the new directory `dir` and with `arguments` of its own.
    ///
    /// # Errors
    /// See [`OpStackError`].
    pub async fn start(
        dir: &Path,
        genesis: &Path,
        arguments: impl IntoIterator<Item = &str>,
    ) -> Result<Self, OpStackError> {
        let programs = Programs::find(false);
        let init = programs
            .get("op-geth")?
            .args(["init", "--state.scheme", "hash", "--datadir"])
            .arg(dir)
            .arg(genesis);
        finished("op-geth init", &init.spawn()?).await?;
        let ports: [_; 2] = reserve()?;
        let [http, auth] = ports.each_ref().map(ReservedPort::number);
        let program = programs
            .get("op-geth")?
            .arg("--datadir")
            .arg(dir)
            .args(["--state.scheme", "hash", "--syncmode", "full"])
            .args(["--http", "--http.addr", "127.0.0.1", "--http.port", &http.to_string()])
            .args(["--http.api", "eth,net,web3,txpool"])
            .args(["--authrpc.addr", "127.0.0.1", "--authrpc.port", &auth.to_string()])
            .args([
                "--nodiscover",
                "--maxpeers",
                "0",
                "--port",
                "0",
                "--ipcdisable",
                "--cache",
                "64",
            ])
            .args(arguments);
        let part = Part::start("op-geth", program, local("http", http), Ready::Answers(""), ports).await?;
        Ok(Self {
            provider: connect(part.url())?,
            part,
        })
    }

    /// Its JSON-RPC over HTTP.
    pub const fn url(&self) -> &Url {
        self.part.url()
    }

    /// A provider for it.
    pub const fn provider(&self) -> &L2Provider {
        &self.provider
    }
}
