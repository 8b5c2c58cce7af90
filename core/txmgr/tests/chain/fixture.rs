//! An account under test, with its tracker and its events.

use std::{collections::HashSet, sync::Arc, time::Duration};

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    network::TxSignerSync,
    providers::Provider,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, keccak256};
use set_chain::{EndpointConfig, SettlementTag};
use set_lease::Leadership;
use set_testkit::Anvil;
use set_txmgr::{
    AlarmKind, BlockBudget, Call, CallId, Journal, LocalKey, Spending, StartParts, TxConfig, TxEvent, TxMgr, TxSigner,
    TxStatus,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use url::Url;

/// Longest wait for anything; only a broken manager gets there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Somebody to send to.
pub(crate) const PAYEE: Address = address!("00000000000000000000000000000000000a11ce");

/// Settings whose time-outs are no part of what most tests are about.
pub(crate) fn patient() -> TxConfig {
    TxConfig {
        resubmission_timeout: Duration::from_secs(3_600),
        stuck_after: Duration::from_secs(7_200),
        publish_retry: Duration::from_millis(100),
        publish_retry_max: Duration::from_millis(200),
        watch_until: SettlementTag::Finalized,
        max_in_flight: 8,
        ..TxConfig::default()
    }
}

/// The same, but what is not in a block is repaired after a second.
pub(crate) fn impatient() -> TxConfig {
    TxConfig {
        resubmission_timeout: Duration::from_secs(1),
        ..patient()
    }
}

/// A running transaction manager, of anvil's account 1 where nothing else is said. Dropping it is a kill:
/// nothing is drained.
pub(crate) struct Account {
    pub(crate) manager: TxMgr,
    events: mpsc::Receiver<TxEvent>,
    tracker: JoinHandle<()>,
    /// Whose sending was told.
    sent: HashSet<CallId>,
}

impl Drop for Account {
    fn drop(&mut self) {
        self.tracker.abort();
    }
}

impl Account {
    pub(crate) fn start(anvil: &Anvil, url: &Url, config: TxConfig, journal: Journal) -> Self {
        Self::with_signer(anvil, url, config, journal, key())
    }

    pub(crate) fn with_signer(
        anvil: &Anvil,
        url: &Url,
        config: TxConfig,
        journal: Journal,
        signer: Arc<dyn TxSigner>,
    ) -> Self {
        Self::with(anvil, url, config, |parts| {
            parts.journal = journal;
            parts.signer = signer;
        })
    }

    /// An account with other parts than usual.
    pub(crate) fn with(anvil: &Anvil, url: &Url, config: TxConfig, change: impl FnOnce(&mut StartParts)) -> Self {
        Self::on(anvil.chain_id(), url, config, change)
    }

    /// An account on any chain.
    pub(crate) fn on(chain_id: u64, url: &Url, config: TxConfig, change: impl FnOnce(&mut StartParts)) -> Self {
        let provider = set_chain::connect(&EndpointConfig {
            rpc_urls: vec![url.clone()],
            chain_id: None,
            timeout: Duration::from_secs(5),
            poll_interval: Duration::from_millis(50),
        })
        .unwrap();
        let (heads, tracking) = set_chain::track(provider.clone(), chain_id, Duration::from_millis(50));
        let tracker = tokio::spawn(tracking);
        let mut parts = StartParts {
            config,
            signer: key(),
            provider,
            chain_id,
            heads,
            journal: Journal::in_memory(),
            spending: Spending::in_memory(),
            leadership: Leadership::always(),
            budget: BlockBudget::default(),
        };
        change(&mut parts);
        let (manager, events) = set_txmgr::start(parts).unwrap();
        Self {
            manager,
            events,
            tracker,
            sent: HashSet::new(),
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> TxEvent {
        let event = match timeout(PATIENCE, self.events.recv()).await {
            Ok(event) => event.expect("the coordinator ended"),
            Err(_) => panic!("no event; the status stays {:?}", self.manager.status()),
        };
        if let TxEvent::Sent { id, .. } = event {
            self.sent.insert(id);
        }
        event
    }

    /// The next event that a slow machine does not add: where time-outs are short, a call may be sent anew before a
    /// block takes it.
    async fn event_in_time(&mut self) -> TxEvent {
        let may_repeat = self.manager.config().resubmission_timeout < PATIENCE;
        loop {
            let known = self.sent.len();
            let event = self.event().await;
            let again = matches!(event, TxEvent::Sent { .. }) && self.sent.len() == known;
            if !(again && may_repeat) {
                return event;
            }
        }
    }

    /// Submits a transfer of `wei` and waits until it was sent; gives its nonce and hash.
    pub(crate) async fn send(&mut self, wei: u64) -> (u64, B256) {
        let id = self.manager.submit(transfer(wei)).await.unwrap();
        match self.event_in_time().await {
            TxEvent::Sent { id: sent, nonce, hash } if sent == id => (nonce, hash),
            other => panic!("{other:?}"),
        }
    }

    /// The next event that is not about sending.
    pub(crate) async fn outcome(&mut self) -> TxEvent {
        loop {
            match self.event().await {
                TxEvent::Sent { .. } => {}
                other => return other,
            }
        }
    }

    /// Waits until the next event, which says that a transaction was included; gives nonce, hash, block.
    pub(crate) async fn included(&mut self) -> (u64, B256, u64) {
        match self.event_in_time().await {
            TxEvent::Included {
                nonce,
                hash,
                block,
                succeeded: true,
                ..
            } => (nonce, hash, block.number),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the status fits.
    pub(crate) async fn status(&self, fits: impl FnMut(&TxStatus) -> bool) -> Arc<TxStatus> {
        let mut fits = fits;
        let mut changes = self.manager.status_changes();
        let waited = timeout(PATIENCE, changes.wait_for(|status| fits(status))).await;
        match waited {
            Ok(status) => status.expect("the coordinator ended").clone(),
            Err(_) => panic!("the status stays {:?}", self.manager.status()),
        }
    }

    /// Waits until an alarm is on, or off.
    pub(crate) async fn alarm(&self, kind: AlarmKind, on: bool) {
        self.status(|status| status.alarms.iter().any(|alarm| alarm.kind == kind) == on)
            .await;
    }

    /// Waits until the manager has looked at the chain's newest block.
    pub(crate) async fn account_nonce(&self, nonce: u64) {
        self.status(|status| status.account_nonce == Some(nonce)).await;
    }

    /// Whether an event is waiting.
    pub(crate) fn is_silent(&self) -> bool {
        self.events.is_empty()
    }
}

pub(crate) fn key() -> Arc<dyn TxSigner> {
    Arc::new(LocalKey::from(Anvil::account(1)))
}

pub(crate) fn transfer(wei: u64) -> Call {
    Call {
        to: PAYEE,
        data: Bytes::new(),
        value: U256::from(wei),
        gas_limit: 21_000,
    }
}

/// A call with so many bytes of noise, which does nothing.
pub(crate) fn noise(bytes: u32) -> Call {
    let words = (0..bytes.div_ceil(32)).flat_map(|word| keccak256(word.to_be_bytes()).0);
    Call {
        data: words.take(bytes as usize).collect::<Vec<_>>().into(),
        gas_limit: 21_000 + 40 * u64::from(bytes),
        ..transfer(0)
    }
}

/// Sends a transfer of account 1 that the manager knows nothing of, at a price above its own.
pub(crate) async fn foreign_transfer(anvil: &Anvil, nonce: u64) -> B256 {
    let mut tx = TxEip1559 {
        chain_id: anvil.chain_id(),
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 50_000_000_000,
        max_priority_fee_per_gas: 5_000_000_000,
        to: TxKind::Call(PAYEE),
        value: U256::from(77),
        ..TxEip1559::default()
    };
    let signature = Anvil::account(1).sign_transaction_sync(&mut tx).unwrap();
    let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
    *anvil.provider().send_raw_transaction(&raw).await.unwrap().tx_hash()
}

/// Empties the node's pool, as a restart of the node does.
pub(crate) async fn empty_pool(anvil: &Anvil) {
    let _: serde_json::Value = anvil.call("anvil_dropAllTransactions", ()).await.unwrap();
}

/// What the payee received so far, in wei.
pub(crate) async fn received(anvil: &Anvil) -> U256 {
    anvil.provider().get_balance(PAYEE).await.unwrap()
}
