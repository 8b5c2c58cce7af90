//! The stack under test, and what the tests ask of it.

use std::{path::Path, sync::Arc, time::Duration};

use alloy::{
    consensus::{Transaction, TxEip1559},
    eips::BlockId,
    network::{Network, ReceiptResponse},
    providers::Provider,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use op_alloy::network::Optimism;
use set_chain::{ChainView, L2Provider};
use set_testkit::op_stack::{OpStack, Parts, Receipt, SharedStack, transaction};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
    time::timeout,
};

use crate::attributes::Attributes;

pub(crate) type Block = <Optimism as Network>::BlockResponse;

/// Longest wait for anything; only a broken stack gets there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// op-geth and op-node.
pub(crate) static STACK: SharedStack =
    SharedStack::new(|| OpStack::builder(Path::new(env!("CARGO_TARGET_TMPDIR")).join("set-chain")).parts(Parts::NODE));

/// So much ether, in wei.
pub(crate) fn ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10).pow(U256::from(18))
}

/// The head as the tracker follows it. The tracker ends when this is dropped.
pub(crate) struct Heads {
    pub(crate) views: watch::Receiver<Arc<ChainView>>,
    tracker: AbortHandle,
}

impl Heads {
    pub(crate) fn follow(provider: &L2Provider) -> Self {
        let id = set_testkit::anvil::DEVNET_CHAIN_ID;
        let (views, tracking) = set_chain::track(provider.clone(), id, Duration::from_millis(100));
        let tracker: JoinHandle<()> = tokio::spawn(tracking);
        Self {
            views,
            tracker: tracker.abort_handle(),
        }
    }

    /// Waits until the view fits.
    pub(crate) async fn wait_for(&mut self, fits: impl FnMut(&ChainView) -> bool) -> Arc<ChainView> {
        let mut fits = fits;
        let waited = timeout(PATIENCE, self.views.wait_for(|view| fits(view))).await;
        match waited.map(|view| view.expect("the tracker ended").clone()) {
            Ok(view) => view,
            Err(_) => panic!("the view stays {:?}", self.views.borrow()),
        }
    }
}

impl Drop for Heads {
    fn drop(&mut self) {
        self.tracker.abort();
    }
}

/// A block with its transactions.
pub(crate) async fn block(provider: &L2Provider, id: impl Into<BlockId>) -> Block {
    provider.get_block(id.into()).full().await.unwrap().unwrap()
}

/// The block of a receipt.
pub(crate) async fn block_of(provider: &L2Provider, receipt: &Receipt) -> Block {
    block(provider, receipt.block_hash().unwrap()).await
}

/// What the deposit that a block starts with says of L1.
pub(crate) fn attributes(block: &Block) -> Attributes {
    let first = block.transactions.as_transactions().unwrap().first().unwrap();
    Attributes::read(first.input())
}

/// The bytes of a transaction as they are in a block.
pub(crate) async fn raw(provider: &L2Provider, hash: B256) -> Bytes {
    let client = provider.client();
    client.request("eth_getRawTransactionByHash", (hash,)).await.unwrap()
}

/// Bytes that do not compress.
pub(crate) fn noise(bytes: usize) -> Bytes {
    let words = (0..bytes.div_ceil(32) as u64).flat_map(|word| keccak256(word.to_be_bytes()).0);
    words.take(bytes).collect::<Vec<_>>().into()
}

/// A call that does nothing with so much data.
pub(crate) fn carrying(data: Bytes) -> TxEip1559 {
    TxEip1559 {
        // The floor of EIP-7623, if no byte is zero.
        gas_limit: 21_000 + 40 * data.len() as u64,
        to: TxKind::Call(Address::repeat_byte(0x77)),
        input: data,
        ..transaction()
    }
}
