//! An operator's desk: a chain, a sequencer, and one configuration file that is edited like a real one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::{
    network::TransactionResponse,
    providers::Provider,
    rpc::types::{Filter, TransactionRequest},
    sol_types::{SolCall, SolEvent},
};
use alloy_primitives::{Address, B256};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use set_chain::bindings::SetRegistry;
use set_testkit::{Anvil, Process, Program, Rpc, Stack, sequencer::SequencerBuilder};
use tempfile::TempDir;

/// Long enough for a debug build on a busy machine; nothing waits for it when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Another program's state changes without telling anybody: asking is the only event there is.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(50);
/// Owns the contracts.
pub(crate) const OWNER: usize = 0;
/// Is authorised from the beginning.
pub(crate) const FIRST: usize = 1;
/// Is not.
pub(crate) const SECOND: usize = 2;

/// What the file says in the places that tests change.
pub(crate) struct Settings {
    /// `[chain]` beside the node and the addresses.
    pub(crate) chain: String,
    /// `sidecar.signers`, and whatever else belongs to `[sidecar]`.
    pub(crate) sidecar: String,
    /// Sections besides.
    pub(crate) more: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            chain: String::new(),
            sidecar: "signers = [\"first\"]".to_owned(),
            more: String::new(),
        }
    }
}

pub(crate) struct Desk {
    pub(crate) stack: Stack,
    pub(crate) dir: TempDir,
}

impl Desk {
    pub(crate) async fn with(sequencer: SequencerBuilder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stack = Stack::start(Anvil::builder().block_time(1), sequencer, dir.path())
            .await
            .unwrap();
        let desk = Self { stack, dir };
        desk.write(&Settings::default());
        desk
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("operator.toml")
    }

    /// Writes the file anew.
    pub(crate) fn write(&self, settings: &Settings) {
        let (node, sequencer) = (self.stack.chain.url(), self.stack.sequencer.url());
        let Settings { chain, sidecar, more } = settings;
        let nodes = if chain.contains("rpc_urls") {
            String::new()
        } else {
            format!("rpc_urls = [\"{node}\"]")
        };
        // A machine that stalls for a while is no fault of the node.
        let timeout = if chain.contains("rpc_timeout") {
            ""
        } else {
            "rpc_timeout = \"30s\""
        };
        let text = format!(
            r#"
            [chain]
            addresses = "addresses.json"
            {nodes}
            {timeout}
            {chain}
            [block]
            time = "1s"
            [sequencer]
            url = "{sequencer}"
            [commitment]
            poll_interval = "300ms"
            [sidecar]
            data_dir = "data"
            {sidecar}
            [rpc]
            listen = "127.0.0.1:0"
            health_listen = "127.0.0.1:0"
            admin_listen = "127.0.0.1:0"
            [signers.first]
            kind = "env"
            variable = "FIRST_KEY"
            [signers.second]
            kind = "env"
            variable = "SECOND_KEY"
            [signers.owner]
            kind = "env"
            variable = "OWNER_KEY"
            {more}
            "#
        );
        fs::write(self.file(), text).unwrap();
    }

    /// The program with a command, on the file.
    pub(crate) fn program(&self, command: &[&str]) -> Program {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let key = |account: usize| Anvil::account(account).to_bytes().to_string();
        Program::new(env!("CARGO_BIN_EXE_set-sidecar"))
            .current_dir(project)
            .args(command.iter().copied())
            .args([
                "--config",
                "config/chain-config.toml",
                "--overlay",
                "config/devnet.toml",
            ])
            .args(["--overlay".into(), self.file().into_os_string()])
            .args(["--log-format", "text"])
            .echo()
            .env("NO_COLOR", "1")
            .env("SET_SEQUENCER_API_KEY", self.stack.sequencer.admin_key())
            .env("FIRST_KEY", key(FIRST))
            .env("SECOND_KEY", key(SECOND))
            .env("OWNER_KEY", key(OWNER))
    }

    /// A sidecar that runs with the file.
    pub(crate) async fn run(&self) -> Running {
        let process = self.program(&["run"]).spawn().unwrap();
        let listening = async |line: &str| {
            let line = process.line_with(line, PATIENCE).await.unwrap();
            line.split_once("address=").unwrap().1.trim().to_owned()
        };
        let rpc = format!("http://{}/", listening(" json-rpc is served").await);
        let admin = listening("admin methods are served").await;
        Running {
            process,
            rpc: Rpc::new(rpc.parse().unwrap()),
            admin,
        }
    }

    /// Waits until so many commitments were reported.
    pub(crate) async fn reported(&self, count: usize) {
        let reported = self.stack.sequencer.reported(count, PATIENCE).await;
        let missing = self.stack.sequencer.unreported().len();
        let made = self.stack.sequencer.commitments().len();
        assert!(
            reported,
            "{count} commitments were to be reported within {PATIENCE:?}, and {missing} of {made} are not"
        );
    }

    /// Whether the registry takes commitments from an account.
    pub(crate) async fn authorised(&self, account: usize) -> bool {
        let call = SetRegistry::authorizedSequencersCall(Anvil::account(account).address());
        let request = TransactionRequest::default()
            .to(self.stack.contracts.registry)
            .input(call.abi_encode().into());
        let answer = self.stack.chain.provider().call(request.into()).await.unwrap();
        SetRegistry::authorizedSequencersCall::abi_decode_returns(&answer).unwrap()
    }

    /// Has the registry's owner call a function of it.
    pub(crate) async fn own(&self, call: impl SolCall) {
        let request = TransactionRequest::default()
            .from(Anvil::account(OWNER).address())
            .to(self.stack.contracts.registry)
            .input(call.abi_encode().into());
        let sent = self
            .stack
            .chain
            .provider()
            .send_transaction(request.into())
            .await
            .unwrap();
        sent.get_receipt().await.unwrap();
    }

    /// Checks that everything is on chain exactly once, and gives who sent how many of the commitments.
    pub(crate) async fn anchored_once_by(&self) -> BTreeMap<Address, usize> {
        let provider = self.stack.chain.provider();
        let filter = Filter::new()
            .address(self.stack.contracts.registry)
            .event_signature(SetRegistry::BatchCommitted::SIGNATURE_HASH)
            .from_block(0);
        let (mut times, mut senders) = (BTreeMap::<B256, usize>::new(), BTreeMap::new());
        for log in provider.get_logs(&filter).await.unwrap() {
            *times.entry(log.topics()[1]).or_default() += 1;
            let sent = provider
                .get_transaction_by_hash(log.transaction_hash.unwrap())
                .await
                .unwrap();
            *senders.entry(sent.unwrap().from()).or_default() += 1;
        }
        for commitment in self.stack.sequencer.commitments() {
            assert_eq!(
                times.get(&commitment.batch_id.to_b256()),
                Some(&1),
                "{}",
                commitment.batch_id
            );
        }
        assert_eq!(self.stack.sequencer.contradictions(), BTreeMap::new());
        senders
    }
}

/// A sidecar that runs. Killed when dropped.
pub(crate) struct Running {
    pub(crate) process: Process,
    rpc: Rpc,
    /// Where its admin methods are.
    pub(crate) admin: String,
}

impl Running {
    /// Has it read its configuration again.
    pub(crate) fn hang_up(&self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::HUP).unwrap();
    }

    /// Waits until `set_status` is as wanted.
    pub(crate) async fn status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let search = async {
            let mut ticks = tokio::time::interval(ASK_EVERY);
            loop {
                ticks.tick().await;
                last = self.rpc.call("set_status", json!([])).await.unwrap();
                if wanted(&last) {
                    return;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        assert!(found.is_ok(), "never saw {what}; the status stays {last:#}");
        last
    }
}

/// The entry of an account in `set_status`.
pub(crate) fn account(status: &Value, index: usize) -> Option<&Value> {
    let address = json!(Anvil::account(index).address());
    let accounts = status["txmgr"]["accounts"].as_array()?;
    accounts.iter().find(|account| account["address"] == address)
}
