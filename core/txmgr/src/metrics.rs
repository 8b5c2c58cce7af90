//! The numbers that an account's coordinator records, and what each of them means.

use std::sync::Arc;

use alloy_primitives::Address;
use metrics::{Counter, Gauge, Histogram, Unit};

/// Describes the metrics of this crate; once, after the recorder is installed. All of them carry the
/// label `account`.
pub fn describe_metrics() {
    metrics::describe_gauge!("set_tx_queued", "Calls that have no nonce yet.");
    metrics::describe_gauge!(
        "set_tx_in_flight",
        "Transactions that are sent or about to be, and in no block yet."
    );
    metrics::describe_gauge!(
        "set_tx_awaiting_settlement",
        "Transactions in a block that is not settled enough yet."
    );
    metrics::describe_gauge!(
        "set_tx_balance_wei",
        "The sending account's balance at the head, in wei."
    );
    metrics::describe_gauge!(
        "set_tx_spent_today_wei",
        "What the transactions of this UTC day cost, or may still cost, in wei."
    );
    metrics::describe_gauge!(
        "set_tx_leading",
        "Whether this process may send from the account: 1 or 0."
    );
    metrics::describe_gauge!("set_tx_alarm", "Whether the alarm of this kind is on: 1 or 0.");
    metrics::describe_counter!(
        "set_tx_sends_total",
        "Transactions handed to the node, by what it answered."
    );
    metrics::describe_counter!("set_tx_included_total", "Transactions seen in a block, by result.");
    metrics::describe_counter!("set_tx_replaced_total", "Transactions signed anew at a higher price.");
    metrics::describe_counter!("set_tx_resent_total", "Transactions sent again with the same bytes.");
    metrics::describe_counter!("set_tx_reorged_total", "Transactions whose block a reorg took away.");
    metrics::describe_counter!(
        "set_tx_superseded_total",
        "Calls given back because something else used their nonce."
    );
    metrics::describe_counter!(
        "set_tx_returned_total",
        "Calls given back unsent because what they were planned for is over."
    );
    metrics::describe_counter!("set_tx_dropped_total", "Calls that the node refuses for good.");
    metrics::describe_counter!(
        "set_tx_passed_over_total",
        "Transactions that blocks passed over although they paid enough."
    );
    metrics::describe_histogram!(
        "set_tx_inclusion_seconds",
        Unit::Seconds,
        "From a transaction's nonce to its block."
    );
}

/// One account's numbers. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AccountMetrics(Arc<str>);

impl AccountMetrics {
    pub(crate) fn new(account: Address) -> Self {
        Self(format!("{account:#x}").into())
    }

    pub(crate) fn gauge(&self, name: &'static str) -> Gauge {
        metrics::gauge!(name, "account" => self.0.clone())
    }

    pub(crate) fn alarm(&self, kind: &'static str) -> Gauge {
        metrics::gauge!("set_tx_alarm", "account" => self.0.clone(), "kind" => kind)
    }

    pub(crate) fn counter(&self, name: &'static str) -> Counter {
        metrics::counter!(name, "account" => self.0.clone())
    }

    /// A counter with one more label.
    pub(crate) fn counter_of(&self, name: &'static str, label: &'static str, value: &'static str) -> Counter {
        metrics::counter!(name, "account" => self.0.clone(), label => value)
    }

    pub(crate) fn histogram(&self, name: &'static str) -> Histogram {
        metrics::histogram!(name, "account" => self.0.clone())
    }
}
