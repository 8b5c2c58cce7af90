//! The accounts that this process sends from.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use alloy_primitives::Address;
use eyre::{Result, WrapErr};
use set_chain::{ChainView, L2Provider};
use set_lease::Leadership;
use set_pipeline::{Account, PipelineControl};
use set_rpc::admin::{AccountAnswer, AccountRole, AccountState};
use set_txmgr::{BlockBudget, Journal, SignerKind, Spending, StartParts, TxConfig, TxMgr, TxStatus, Wei};
use tokio::sync::watch;
use tracing::info;

use crate::signers::NamedSigner;

/// What all accounts work with.
pub(crate) struct Ground {
    pub(crate) provider: L2Provider,
    pub(crate) chain_id: u64,
    pub(crate) heads: watch::Receiver<Arc<ChainView>>,
    pub(crate) leadership: Leadership,
    /// Where journals are; `None` keeps them in memory.
    pub(crate) data_dir: Option<PathBuf>,
}

/// The accounts, from being opened until nothing of them is left to watch.
pub(crate) struct Accounts {
    ground: Ground,
    budget: BlockBudget,
    entries: RwLock<Vec<Entry>>,
}

/// One of them.
#[derive(Clone)]
struct Entry {
    signer: String,
    kind: SignerKind,
    daily_spending_cap: Option<Wei>,
    role: AccountRole,
    state: AccountState,
    txmgr: TxMgr,
}

/// How an account is used.
pub(crate) struct InUse {
    /// What its signer was opened from.
    pub(crate) kind: SignerKind,
    /// What it may spend in a day.
    pub(crate) daily_spending_cap: Option<Wei>,
    /// Where it is.
    pub(crate) state: AccountState,
}

/// An account, as `set_status` and health look at it.
pub(crate) struct AccountView {
    pub(crate) signer: String,
    pub(crate) role: AccountRole,
    pub(crate) state: AccountState,
    pub(crate) status: Arc<TxStatus>,
}

impl Accounts {
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            ground,
            budget: BlockBudget::default(),
            entries: RwLock::default(),
        }
    }

    /// Starts a signer's account: its journal is read, and what it holds goes out again.
    ///
    /// # Errors
    /// Where the journal cannot be used, or another program uses it.
    pub(crate) async fn open(&self, named: NamedSigner, config: TxConfig) -> Result<Account> {
        let (chain_id, address) = (self.ground.chain_id, named.address());
        let (journal, spending) = match self.ground.data_dir.clone() {
            None => (Journal::in_memory(), Spending::in_memory()),
            Some(dir) => {
                let opening = tokio::task::spawn_blocking(move || {
                    let journal = Journal::open(&dir, chain_id, address)?;
                    eyre::Ok((journal, Spending::open(&dir, chain_id, address)?))
                });
                opening.await??
            }
        };
        let parts = StartParts {
            config,
            signer: named.signer,
            provider: self.ground.provider.clone(),
            chain_id,
            heads: self.ground.heads.clone(),
            journal,
            spending: spending.with_cap(named.table.daily_spending_cap()),
            leadership: self.ground.leadership.clone(),
            budget: self.budget.clone(),
        };
        let (txmgr, events) = set_txmgr::start(parts).wrap_err_with(|| format!("the account {address}"))?;
        match named.role {
            AccountRole::Commitments => {
                info!(signer = %named.name, account = %address, "commitments are sent from this account")
            }
            AccountRole::Sponsorship => {
                info!(signer = %named.name, account = %address, "sponsorships are paid from this account")
            }
        }
        let entry = Entry {
            signer: named.name,
            daily_spending_cap: named.table.daily_spending_cap(),
            kind: named.table.kind,
            role: named.role,
            state: AccountState::Active,
            txmgr: txmgr.clone(),
        };
        self.change(|entries| entries.push(entry));
        Ok(Account { txmgr, events })
    }

    /// Puts other settings in force for every account.
    pub(crate) fn reconfigure(&self, config: &TxConfig) {
        for entry in self.read(<[Entry]>::to_vec) {
            if let Err(error) = entry.txmgr.reconfigure(config.clone()) {
                // The whole configuration was checked before.
                tracing::error!(account = %entry.txmgr.address(), %error, "[txmgr] is not in force for this account");
            }
        }
    }

    /// Lets an account that sends commitments send no more; it goes once everything of it is settled.
    pub(crate) fn retire(self: &Arc<Self>, address: Address, control: PipelineControl) {
        let Some(txmgr) = self.set_state(address, AccountState::Draining) else {
            return;
        };
        info!(account = %address, "nothing new is sent from this account; what is on its way is waited for");
        let this = Arc::clone(self);
        tokio::spawn(async move {
            control.retire(address).await;
            if !this.advance(address, AccountState::Draining, AccountState::Drained) {
                return;
            }
            info!(account = %address, "nothing of this account is on its way to a block any more");
            let mut status = txmgr.status_changes();
            while status.changed().await.is_ok() {}
            this.forget(address);
        });
    }

    /// Takes back an account that is being retired; false where there is none.
    pub(crate) async fn resume(&self, address: Address, control: &PipelineControl) -> bool {
        if !control.resume(address).await {
            return false;
        }
        self.set_state(address, AccountState::Active).is_some()
    }

    /// How an account is used, where it is.
    pub(crate) fn in_use(&self, address: Address) -> Option<InUse> {
        self.read(|entries| {
            let entry = entries.iter().find(|entry| entry.txmgr.address() == address)?;
            Some(InUse {
                kind: entry.kind.clone(),
                daily_spending_cap: entry.daily_spending_cap,
                state: entry.state,
            })
        })
    }

    /// The accounts that send commitments.
    pub(crate) fn committing(&self) -> Vec<Address> {
        self.read(|entries| {
            let active = entries
                .iter()
                .filter(|entry| entry.role == AccountRole::Commitments && entry.state == AccountState::Active);
            active.map(|entry| entry.txmgr.address()).collect()
        })
    }

    /// Every account and where it stands.
    pub(crate) fn views(&self) -> Vec<AccountView> {
        self.read(|entries| {
            let view = |entry: &Entry| AccountView {
                signer: entry.signer.clone(),
                role: entry.role,
                state: entry.state,
                status: entry.txmgr.status(),
            };
            entries.iter().map(view).collect()
        })
    }

    /// As `admin_accounts` answers.
    pub(crate) fn answers(&self) -> Vec<AccountAnswer> {
        let answer = |view: AccountView| AccountAnswer {
            address: view.status.address,
            signer: view.signer,
            role: view.role,
            state: view.state,
            queued: view.status.queued,
            in_flight: view.status.in_flight.len(),
            awaiting_settlement: view.status.awaiting_settlement,
        };
        self.views().into_iter().map(answer).collect()
    }

    fn set_state(&self, address: Address, state: AccountState) -> Option<TxMgr> {
        self.change(|entries| {
            let entry = entries.iter_mut().find(|entry| entry.txmgr.address() == address)?;
            entry.state = state;
            Some(entry.txmgr.clone())
        })
    }

    /// Moves on from one state; false where the account has left it meanwhile.
    fn advance(&self, address: Address, from: AccountState, to: AccountState) -> bool {
        self.change(|entries| {
            let mut found = entries.iter_mut().filter(|entry| entry.txmgr.address() == address);
            found.any(|entry| {
                let there = entry.state == from;
                if there {
                    entry.state = to;
                }
                there
            })
        })
    }

    /// Bounds anew what an account may spend in a day.
    pub(crate) fn set_daily_spending_cap(&self, address: Address, cap: Option<Wei>) {
        self.change(|entries| {
            for entry in entries.iter_mut().filter(|entry| entry.txmgr.address() == address) {
                entry.txmgr.set_daily_spending_cap(cap);
                entry.daily_spending_cap = cap;
            }
        });
    }

    /// Takes an account out that the pipeline does not have.
    pub(crate) fn discard(&self, address: Address) {
        self.change(|entries| entries.retain(|entry| entry.txmgr.address() != address));
    }

    fn forget(&self, address: Address) {
        let gone = self.change(|entries| {
            let before = entries.len();
            entries.retain(|entry| entry.txmgr.address() != address || entry.state != AccountState::Drained);
            before - entries.len()
        });
        if gone > 0 {
            info!(account = %address, "everything that this account sent is settled; it is no longer used");
        }
    }

    fn read<T>(&self, question: impl FnOnce(&[Entry]) -> T) -> T {
        question(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        change(&mut self.entries.write().unwrap_or_else(PoisonError::into_inner))
    }
}
