//! What the pipeline's metrics mean.

use metrics::{describe_counter, describe_gauge};

/// Describes the metrics of this crate; once, after the recorder is installed.
pub fn describe_metrics() {
    describe_gauge!(
        "set_pipeline_commitments",
        "Commitments in memory, by stage. `blocked` and `quarantined` need a look where they stay."
    );
    describe_gauge!(
        "set_pipeline_holds",
        "Causes that keep everything, or everything of one account, back now; set_status names them."
    );
    describe_gauge!(
        "set_pipeline_alarm",
        "Whether an alarm is on, by kind: 1 while it is; set_status says what to do."
    );
    describe_gauge!(
        "set_pipeline_window_full",
        "Whether the source's window is full, so that streams that nobody has seen may be hidden: 1 while it is."
    );
    describe_gauge!(
        "set_pipeline_malformed",
        "Entries of the source's last list that cannot be read."
    );
    describe_counter!("set_pipeline_polls_total", "Polls of the source, by result.");
    describe_counter!(
        "set_pipeline_outcomes_total",
        "Commitments in mined transactions, by what became of them."
    );
    describe_counter!(
        "set_pipeline_reports_total",
        "Reports of anchored commitments to the source, by its answer."
    );
    describe_counter!(
        "set_pipeline_quarantined_total",
        "Commitments that were set aside, by cause."
    );
    describe_counter!(
        "set_pipeline_state_root_warnings_total",
        "Commitments whose state root VES v1 does not give, and that went on because verify_state_root only warns."
    );
}
