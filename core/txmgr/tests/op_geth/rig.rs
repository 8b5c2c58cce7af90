//! The stack under test, and accounts on it.

use std::{path::Path, sync::Arc, thread, time::Duration};

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Bytes, U256, keccak256};
use serde_json::{Value, json};
use set_chain::ChainView;
use set_testkit::{
    Rpc,
    anvil::DEVNET_CHAIN_ID,
    op_stack::{OpStack, Parts, SharedStack, Turn},
};
use set_txmgr::{LocalKey, TxConfig};
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle, time::timeout};
use url::Url;

use crate::fixture::Account;

/// Longest wait for anything; only a broken chain gets there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// op-geth and op-node, with a block every second: most of what is tested here waits for blocks.
pub(crate) static STACK: SharedStack = SharedStack::new(|| {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let faster = dir.join("faster.toml");
    std::fs::write(&faster, "[block]\ntime = \"1s\"\n").unwrap();
    OpStack::builder(dir.join("set-txmgr"))
        .overlay(faster)
        .parts(Parts::NODE)
});

/// So much ether, in wei.
pub(crate) fn ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10).pow(U256::from(18))
}

/// The transaction manager of a new account with one ether.
pub(crate) async fn account(chain: &Turn<'_>, config: TxConfig) -> Account {
    manager_of(chain.account(ether(1)).await.unwrap(), chain.rpc_url(), config)
}

/// The same on a chain that is halted. The manager has seen the newest block before it sends anything, and so takes none
/// for one that could have held what it sent.
pub(crate) async fn halted_account(chain: &Turn<'_>, config: TxConfig) -> (Account, Halt) {
    let key = chain.account(ether(1)).await.unwrap();
    let halt = Halt::of(chain).await;
    let account = manager_of(key, chain.rpc_url(), config);
    account.account_nonce(0).await;
    (account, halt)
}

/// The transaction manager of an account.
pub(crate) fn manager_of(key: PrivateKeySigner, url: &Url, config: TxConfig) -> Account {
    Account::on(DEVNET_CHAIN_ID, url, config, |parts| {
        parts.signer = Arc::new(LocalKey::from(key));
    })
}

/// Keeps the chain from making blocks until it is dropped: none is on its way either.
pub(crate) struct Halt {
    op_node: Rpc,
    head: Value,
}

impl Halt {
    pub(crate) async fn of(chain: &OpStack) -> Self {
        let op_node = Rpc::new(chain.node_url().clone());
        let head = op_node.call("admin_stopSequencer", json!([])).await.unwrap();
        Self { op_node, head }
    }
}

impl Drop for Halt {
    /// A case that fails is to leave a chain that goes on, and nothing can be awaited here: hence the thread.
    fn drop(&mut self) {
        let (op_node, head) = (self.op_node.url().clone(), self.head.take());
        let start = async move { Rpc::new(op_node).call("admin_startSequencer", json!([head])).await };
        let started = thread::spawn(|| Runtime::new().unwrap().block_on(start)).join();
        if !thread::panicking() {
            started.unwrap().unwrap();
        }
    }
}

/// The chain's head, block by block.
pub(crate) struct Heads {
    views: watch::Receiver<Arc<ChainView>>,
    tracker: JoinHandle<()>,
    last: u64,
}

impl Heads {
    pub(crate) fn follow(chain: &Turn<'_>) -> Self {
        let poll = Duration::from_millis(100);
        let (views, tracking) = set_chain::track(chain.provider().clone(), DEVNET_CHAIN_ID, poll);
        Self {
            views,
            tracker: tokio::spawn(tracking),
            last: 0,
        }
    }

    /// The view with the next block.
    pub(crate) async fn next(&mut self) -> Arc<ChainView> {
        let last = self.last;
        let newer = |view: &Arc<ChainView>| view.latest.is_some_and(|head| head.block.number > last);
        let waited = timeout(PATIENCE, self.views.wait_for(newer)).await;
        let view = match waited.map(|view| view.expect("the tracker ended").clone()) {
            Ok(view) => view,
            Err(_) => panic!("no block after {last}: {:?}", self.views.borrow()),
        };
        self.last = view.latest.unwrap().block.number;
        view
    }
}

impl Drop for Heads {
    fn drop(&mut self) {
        self.tracker.abort();
    }
}

/// Bytes that do not compress; the same from the same position on.
pub(crate) fn noise(from: usize, bytes: usize) -> Bytes {
    let words = (from as u64 / 32..).flat_map(|word| keccak256(word.to_be_bytes()).0);
    words.skip(from % 32).take(bytes).collect::<Vec<_>>().into()
}
