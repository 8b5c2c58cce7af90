//! What the metrics of kept proofs mean.

use metrics::{Unit, describe_counter, describe_gauge};

/// Describes every metric of kept proofs.
pub fn describe_metrics() {
    describe_counter!(
        "set_proofs_captured_total",
        "Commitments whose evidence was taken from the node and kept."
    );
    describe_counter!(
        "set_proofs_failures_total",
        "Times that evidence could not be taken, by `cause`: pruned, refused, unreachable, other_block, faulty."
    );
    describe_gauge!(
        "set_proofs_bytes",
        Unit::Bytes,
        "Size of all kept parts of proofs, of which settlement.max_proof_bytes is the bound."
    );
    describe_gauge!(
        "set_proofs_lag_blocks",
        "L2 blocks that a game claims and whose commitments have no kept evidence yet."
    );
    describe_gauge!(
        "set_proofs_failing",
        "1 while settlement proofs cannot be kept; set_status says why."
    );
}
