//! What this crate's metrics mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Describes the metrics of this crate; once, after the recorder is installed.
pub fn describe_metrics() {
    describe_counter!("set_rpc_requests_total", "Calls answered, by method and outcome.");
    describe_histogram!(
        "set_rpc_request_seconds",
        Unit::Seconds,
        "How long a call took, by method."
    );
    describe_gauge!("set_rpc_in_flight", "Calls that are being answered.");
    describe_counter!("set_rpc_batches_total", "JSON-RPC batches.");
    describe_counter!(
        "set_rpc_refused_total",
        "Requests refused by their host name, their origin, or for want of a token."
    );
    describe_counter!(
        "set_rpc_panics_total",
        "Handlers that panicked, by method: faults of the program."
    );
    describe_counter!(
        "set_rpc_proofs_total",
        "Inclusion proofs handed out, by whether they came from memory or from the source."
    );
}
