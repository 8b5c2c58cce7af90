//! What this crate's metrics mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use set_plugin_abi::status;

/// Describes the metrics of this crate; once, after the recorder is installed. Plugins' own metrics are
/// described when they come up.
pub fn describe_metrics() {
    describe_counter!(
        "set_plugin_calls_total",
        "Calls of plugins, by plugin, method and outcome."
    );
    describe_histogram!(
        "set_plugin_call_seconds",
        Unit::Seconds,
        "How long a call of a plugin took, by plugin and method."
    );
    describe_counter!(
        "set_plugin_failures_total",
        "Times that a plugin failed, so that its instance was replaced or given up, by plugin."
    );
    describe_counter!(
        "set_plugin_chain_calls_total",
        "Calls of the node that plugins asked for, by plugin and method."
    );
}

/// Describes a metric that a plugin reports; of what it counts only its documentation tells.
pub(crate) fn describe_of_plugin(kind: u32, name: &str) {
    const TEXT: &str = "A metric that a plugin reports; the plugin's documentation says what it means.";
    let name = name.to_owned();
    match kind {
        status::METRIC_COUNTER => describe_counter!(name, TEXT),
        status::METRIC_GAUGE => describe_gauge!(name, TEXT),
        status::METRIC_HISTOGRAM => describe_histogram!(name, TEXT),
        _ => {}
    }
}
