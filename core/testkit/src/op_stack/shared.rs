//! One stack for all cases of a test program.

use std::{fmt, ops::Deref, sync::OnceLock, thread, time::Duration};

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    network::{Network, TxSignerSync},
    providers::Provider,
    signers::local::PrivateKeySigner,
    transports::TransportError,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use op_alloy::network::Optimism;
use set_chain::L2Provider;
use tokio::{
    runtime::Runtime,
    sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{interval, timeout},
};

use super::{OpStack, OpStackBuilder, builder::connect};
use crate::{Anvil, anvil::DEVNET_CHAIN_ID};

/// A receipt of the chain.
pub type Receipt = <Optimism as Network>::ReceiptResponse;

/// The development account whose ether goes to the cases' accounts.
const FAUCET: usize = 4;
/// Longest wait for a block that takes a transaction.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often op-geth is asked meanwhile.
const LOOK: Duration = Duration::from_millis(50);
/// Wei per gas that everything of the tests' own pays for, unless a test says otherwise.
const FEE_CAP: u128 = 10_000_000_000;

/// A stack that all cases of a test program share, since bringing one up takes longer than most cases do.
/// Make it a `static`. The first case that takes a turn starts it; it ends with the program.
pub struct SharedStack {
    builder: fn() -> OpStackBuilder,
    started: OnceLock<Result<Started, String>>,
    turns: RwLock<()>,
    faucet: Mutex<()>,
}

struct Started {
    stack: OpStack,
    /// What the stack was started on. Cases have runtimes of their own, which end with them.
    _runtime: Runtime,
}

impl SharedStack {
    /// The stack that `builder` describes.
    pub const fn new(builder: fn() -> OpStackBuilder) -> Self {
        Self {
            builder,
            started: OnceLock::new(),
            turns: RwLock::const_new(()),
            faucet: Mutex::const_new(()),
        }
    }

    /// A turn beside other cases, for one that works with accounts of its own.
    ///
    /// # Panics
    /// If the stack does not start; then in every case, with the same reason.
    pub async fn shared(&self) -> Turn<'_> {
        let turn = Hold::Shared(self.turns.read().await);
        self.turn(turn)
    }

    /// A turn while no other case has one, for one that everybody on the chain would notice.
    ///
    /// # Panics
    /// If the stack does not start; then in every case, with the same reason.
    pub async fn alone(&self) -> Turn<'_> {
        let turn = Hold::Alone(self.turns.write().await);
        self.turn(turn)
    }

    fn turn<'a>(&'a self, hold: Hold<'a>) -> Turn<'a> {
        let started = self.started.get_or_init(|| {
            let builder = self.builder;
            let starting = thread::spawn(move || {
                let runtime = Runtime::new().map_err(|error| error.to_string())?;
                let stack = runtime.block_on(builder().start()).map_err(|error| error.to_string())?;
                Ok(Started {
                    stack,
                    _runtime: runtime,
                })
            });
            starting
                .join()
                .unwrap_or_else(|_| Err("starting the stack panicked".into()))
        });
        let stack = match started {
            Ok(started) => &started.stack,
            Err(problem) => panic!("{problem}"),
        };
        Turn {
            provider: connect(stack.rpc_url()).expect("the stack's own URL is one of HTTP"),
            stack,
            faucet: &self.faucet,
            _hold: hold,
        }
    }
}

impl fmt::Debug for SharedStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStack").finish_non_exhaustive()
    }
}

/// One case's turn with the stack.
#[derive(Debug)]
pub struct Turn<'a> {
    stack: &'a OpStack,
    provider: L2Provider,
    faucet: &'a Mutex<()>,
    _hold: Hold<'a>,
}

#[derive(Debug)]
#[allow(dead_code, reason = "held until the turn ends")]
enum Hold<'a> {
    Shared(RwLockReadGuard<'a, ()>),
    Alone(RwLockWriteGuard<'a, ()>),
}

impl Deref for Turn<'_> {
    type Target = OpStack;

    fn deref(&self) -> &OpStack {
        self.stack
    }
}

impl Drop for Turn<'_> {
    /// The stack outlives the case: where that is failing, what the programs said last is printed here.
    fn drop(&mut self) {
        if thread::panicking() {
            for part in self.stack.parts() {
                part.process().show_last_lines();
            }
        }
    }
}

impl Turn<'_> {
    /// A provider on the case's own runtime.
    pub const fn provider(&self) -> &L2Provider {
        &self.provider
    }

    /// A new account that holds so much, in wei, once a block has it.
    ///
    /// # Errors
    /// What the node says.
    pub async fn account(&self, wei: U256) -> Result<PrivateKeySigner, TransportError> {
        let account = PrivateKeySigner::random();
        let faucet = Anvil::account(FAUCET);
        let hash = {
            let _one_at_a_time = self.faucet.lock().await;
            let nonce = self.provider.get_transaction_count(faucet.address()).pending().await?;
            let transfer = TxEip1559 {
                nonce,
                to: TxKind::Call(account.address()),
                value: wei,
                ..transaction()
            };
            let hash = self.send(&signed(transfer, &faucet)).await?;
            self.pending(faucet.address(), nonce + 1).await?;
            hash
        };
        self.receipt(hash).await?;
        Ok(account)
    }

    /// Waits until op-geth counts so many transactions of an account, those in its pool too: it answers whoever hands it
    /// one a moment before.
    ///
    /// # Errors
    /// What op-geth says.
    ///
    /// # Panics
    /// If it does not within minutes.
    pub async fn pending(&self, account: Address, count: u64) -> Result<(), TransportError> {
        let counting = async {
            let mut looks = interval(LOOK);
            while self.provider.get_transaction_count(account).pending().await? < count {
                looks.tick().await;
            }
            Ok(())
        };
        match timeout(PATIENCE, counting).await {
            Ok(counted) => counted,
            Err(_) => panic!("op-geth's pool does not get to {count} transactions of {account}"),
        }
    }

    /// Hands signed bytes to op-geth.
    ///
    /// # Errors
    /// What op-geth says.
    pub async fn send(&self, raw: &Bytes) -> Result<B256, TransportError> {
        self.provider.client().request("eth_sendRawTransaction", (raw,)).await
    }

    /// The receipt of a transaction, once it is in a block.
    ///
    /// # Errors
    /// What op-geth says.
    ///
    /// # Panics
    /// If no block takes it within minutes.
    pub async fn receipt(&self, hash: B256) -> Result<Receipt, TransportError> {
        let mut looks = interval(LOOK);
        let looking = async {
            loop {
                looks.tick().await;
                if let Some(receipt) = self.provider.get_transaction_receipt(hash).await? {
                    return Ok(receipt);
                }
            }
        };
        match timeout(PATIENCE, looking).await {
            Ok(receipt) => receipt,
            Err(_) => panic!("no block takes {hash}"),
        }
    }
}

/// A transaction for [`signed`], with a price that every block takes and gas for a transfer; to nobody, without value.
pub fn transaction() -> TxEip1559 {
    TxEip1559 {
        chain_id: DEVNET_CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: FEE_CAP,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::repeat_byte(0x77)),
        ..TxEip1559::default()
    }
}

/// A transaction's bytes as they go to a node.
///
/// # Panics
/// Never with a key that is in this process.
pub fn signed(mut tx: TxEip1559, key: &PrivateKeySigner) -> Bytes {
    let signature = key.sign_transaction_sync(&mut tx).expect("a local key signs");
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}
