//! What the index's metrics mean.

/// Tells the installed recorder what each metric of this crate means; call it once, after installing one.
pub fn describe_metrics() {
    metrics::describe_gauge!(
        "set_index_block",
        "Number of the last block that the index has followed."
    );
    metrics::describe_gauge!(
        "set_index_from_block",
        "Number of the first block from which on no log is missing in the index."
    );
    metrics::describe_gauge!("set_index_lag_blocks", "Blocks that the index is behind the head.");
    metrics::describe_counter!(
        "set_index_commitments_total",
        "Commitments entered since the start, those that a reorg took back included."
    );
    metrics::describe_counter!(
        "set_index_rollbacks_total",
        "Reorgs that took blocks back which the index had followed."
    );
    metrics::describe_counter!(
        "set_index_refusals_total",
        "Ranges of logs that the node refused, so that less was asked for."
    );
    metrics::describe_counter!(
        "set_index_rebuilds_total",
        "Times that the index was found damaged while in use, and rebuilt."
    );
}
