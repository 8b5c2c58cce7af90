//! What the transaction manager shows of itself.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use serde::Serialize;
use set_types::Timestamp;

use crate::{CallId, CallSize, TxConfig, Wei, metrics::AccountMetrics};

/// An account's transactions at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TxStatus {
    /// The sending account.
    pub address: Address,
    /// The settings in force.
    pub in_force: TxConfig,
    /// Whether this process may send from it.
    pub leading: bool,
    /// Its balance in wei at the head; `None` until the node answered once.
    pub balance: Option<U256>,
    /// Its nonce at the head; `None` until the node answered once.
    pub account_nonce: Option<u64>,
    /// The nonce that the next call gets; `None` until the node answered once.
    pub next_nonce: Option<u64>,
    /// Calls that have no nonce yet.
    pub queued: usize,
    /// Transactions that are sent or about to be, and in no block yet, by nonce.
    pub in_flight: Vec<InFlight>,
    /// Transactions in a block that is not settled enough yet.
    pub awaiting_settlement: usize,
    /// What the account spent today (UTC) and what is reserved for transactions in flight, in wei.
    pub spent_today: U256,
    /// Most that it may spend in a day, in wei; `None` where nothing bounds it.
    pub daily_cap: Option<U256>,
    /// The largest call that blocks surely take, where they were seen to pass over larger ones; `None`
    /// where only the configured caps count.
    pub size_limit: Option<CallSize>,
    /// What needs the operator, or may soon.
    pub alarms: Vec<Alarm>,
}

impl TxStatus {
    /// Whether every call is in a block.
    pub fn is_idle(&self) -> bool {
        self.queued == 0 && self.in_flight.is_empty()
    }
}

/// A transaction that is in no block yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    /// The call; `None` for an empty transaction that only fills a gap between nonces.
    pub id: Option<CallId>,
    /// The nonce.
    pub nonce: u64,
    /// Hash of the newest version; `None` while it is being signed.
    pub hash: Option<B256>,
    /// Signed versions so far.
    pub versions: usize,
    /// Tip of the newest version, per gas.
    pub tip: Option<Wei>,
    /// Fee cap of the newest version, per gas.
    pub fee_cap: Option<Wei>,
    /// Since when it has its nonce.
    pub since: Timestamp,
}

/// Something that needs the operator, or may soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// Which.
    pub kind: AlarmKind,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// Kinds of alarms. Each ends by itself once its cause is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// The account cannot pay for a transaction; sending goes on after a top-up.
    InsufficientFunds,
    /// The balance is below `balance_alarm`, or below the cost of the largest transaction.
    LowBalance,
    /// The market asks more than `max_fee`, or a replacement is at its ceiling.
    FeeCeiling,
    /// The signer fails.
    Signer,
    /// Signed bytes cannot be kept, so nothing is sent.
    Journal,
    /// The node refuses to take transactions for now.
    Refused,
    /// The node does not say what became of what was sent; nothing is repaired until it does.
    Unobserved,
    /// A transaction is in no block for longer than `stuck_after`.
    Stuck,
    /// Blocks pass over even the smallest call, although it pays enough.
    PassedOver,
    /// The day's spending cap is reached.
    SpendingCap,
    /// The account carries code, so nodes take one transaction of it at a time.
    HasCode,
}

impl AlarmKind {
    /// The kind as metrics and JSON name it.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::LowBalance => "low_balance",
            Self::FeeCeiling => "fee_ceiling",
            Self::Signer => "signer",
            Self::Journal => "journal",
            Self::Refused => "refused",
            Self::Unobserved => "unobserved",
            Self::Stuck => "stuck",
            Self::PassedOver => "passed_over",
            Self::SpendingCap => "spending_cap",
            Self::HasCode => "has_code",
        }
    }
}

/// The alarms that are on. Says each once when it starts and once when it ends.
#[derive(Debug)]
pub(crate) struct Alarms {
    on: BTreeMap<AlarmKind, Alarm>,
    metrics: AccountMetrics,
}

impl Alarms {
    pub(crate) const fn new(metrics: AccountMetrics) -> Self {
        Self {
            on: BTreeMap::new(),
            metrics,
        }
    }

    /// Turns an alarm on, or renews its message.
    pub(crate) fn raise(&mut self, kind: AlarmKind, message: impl Into<String>) {
        let message = message.into();
        match self.on.get_mut(&kind) {
            Some(alarm) => alarm.message = message,
            None => {
                tracing::warn!(alarm = kind.label(), "{message}");
                self.metrics.alarm(kind.label()).set(1.0);
                let since = Timestamp::now();
                self.on.insert(kind, Alarm { kind, since, message });
            }
        }
    }

    /// Turns an alarm off.
    pub(crate) fn clear(&mut self, kind: AlarmKind) {
        if self.on.remove(&kind).is_some() {
            tracing::info!(alarm = kind.label(), "alarm over");
            self.metrics.alarm(kind.label()).set(0.0);
        }
    }

    pub(crate) fn is_on(&self, kind: AlarmKind) -> bool {
        self.on.contains_key(&kind)
    }

    /// The alarms that are on.
    pub(crate) fn list(&self) -> Vec<Alarm> {
        self.on.values().cloned().collect()
    }
}
