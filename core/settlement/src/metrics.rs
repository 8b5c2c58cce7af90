//! What the metrics of settlement mean.

use metrics::{describe_counter, describe_gauge};

/// Tells the installed recorder what each metric of this crate means; call it once, after installing one.
pub fn describe_metrics() {
    describe_gauge!(
        "set_settlement_block",
        "Number of the newest block at the stage `safe`, `finalized`, `claimed` or `resolved`."
    );
    describe_gauge!(
        "set_settlement_lag_blocks",
        "Blocks between the head and the newest block at the stage."
    );
    describe_gauge!(
        "set_settlement_lag_seconds",
        "Seconds between the head and the newest block at the stage, by the blocks' timestamps."
    );
    describe_gauge!(
        "set_settlement_alarm",
        "1 while the kind of alarm is raised, else 0: head_stands, safe_stands, op_node, l1."
    );
    describe_gauge!("set_settlement_games", "Dispute games that the factory on L1 lists.");
    describe_gauge!(
        "set_settlement_games_read",
        "Dispute games of that list that were read."
    );
    describe_gauge!(
        "set_settlement_claims",
        "Dispute games that claim blocks of this node's chain, and have not fallen."
    );
    describe_counter!(
        "set_settlement_false_claims_total",
        "Dispute games found to claim another output root than this node has."
    );
    crate::capture::describe_metrics();
}
