//! The stack under test, and accounts on it.

use std::{path::Path, sync::Arc, time::Duration};

use alloy_primitives::{Bytes, U256, keccak256};
use set_chain::ChainView;
use set_testkit::{
    anvil::DEVNET_CHAIN_ID,
    op_stack::{OpStack, Parts, SharedStack, Turn},
};
use set_txmgr::{LocalKey, TxConfig};
use tokio::{sync::watch, task::JoinHandle};
use url::Url;

use crate::fixture::Account;

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
    account_at(chain, chain.rpc_url(), config).await
}

/// The same, behind another URL.
pub(crate) async fn account_at(chain: &Turn<'_>, url: &Url, config: TxConfig) -> Account {
    let key = chain.account(ether(1)).await.unwrap();
    Account::on(DEVNET_CHAIN_ID, url, config, |parts| {
        parts.signer = Arc::new(LocalKey::from(key));
    })
}

/// Keeps the chain from making blocks until it is dropped.
pub(crate) struct Halt<'a>(&'a OpStack);

impl<'a> Halt<'a> {
    pub(crate) fn of(chain: &'a OpStack) -> Self {
        chain.node().freeze();
        Self(chain)
    }
}

impl Drop for Halt<'_> {
    fn drop(&mut self) {
        self.0.node().thaw();
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
        let view = self.views.wait_for(newer).await.unwrap().clone();
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
