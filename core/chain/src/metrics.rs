//! What the chain's metrics mean.

/// Tells the installed recorder what each metric of this crate means; call it once, after installing one.
pub fn describe_metrics() {
    metrics::describe_gauge!(
        "set_chain_reachable",
        "Whether a node answers, of the right chain and not behind: 1 or 0."
    );
    metrics::describe_gauge!(
        "set_chain_block",
        "Number of the block at the tag `latest`, `safe` or `finalized`; 0 where there is none."
    );
    metrics::describe_gauge!(
        "set_chain_next_base_fee_wei",
        "Base fee of the next block, in wei per gas."
    );
    metrics::describe_counter!(
        "set_chain_poll_failures_total",
        "Polls of the head that brought nothing usable."
    );
    metrics::describe_gauge!(
        "set_chain_endpoint_up",
        "Whether the endpoint was well when it was last asked: 1 or 0."
    );
    metrics::describe_gauge!("set_chain_endpoint_active", "Whether calls go to the endpoint: 1 or 0.");
    metrics::describe_gauge!(
        "set_chain_op_node_up",
        "Whether op-node, where it is configured, answers of blocks that the node has: 1 or 0."
    );
    metrics::describe_counter!(
        "set_chain_failovers_total",
        "Changes of the endpoint that calls go to, returns to the preferred one included."
    );
    metrics::describe_counter!(
        "set_chain_rate_limited_total",
        "Requests that the endpoint refused because there were too many."
    );
}
