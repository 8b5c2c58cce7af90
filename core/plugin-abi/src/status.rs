//! How a call ended, and how grave a log record is.

/// Done; the payload is the answer.
pub const OK: u32 = 0;
/// Refused; the payload is a refusal: `{"message": "…", "retryable": true}`.
pub const REFUSED: u32 = 1;
/// The plugin panicked; the payload is the message, as text. The host replaces the instance.
pub const PANICKED: u32 = 2;
/// No such method; the payload is empty.
pub const UNKNOWN_METHOD: u32 = 3;
/// The payload could not be read as the method's request; the payload says why, as text.
pub const INVALID: u32 = 4;
/// Cancelled, or the instance ended first; the payload is empty.
pub const CANCELLED: u32 = 5;

/// Log level: error.
pub const LOG_ERROR: u32 = 1;
/// Log level: warning.
pub const LOG_WARN: u32 = 2;
/// Log level: information.
pub const LOG_INFO: u32 = 3;
/// Log level: debugging.
pub const LOG_DEBUG: u32 = 4;
/// Log level: tracing.
pub const LOG_TRACE: u32 = 5;

/// Metric: add the value to a counter.
pub const METRIC_COUNTER: u32 = 1;
/// Metric: set a gauge to the value.
pub const METRIC_GAUGE: u32 = 2;
/// Metric: record the value in a histogram.
pub const METRIC_HISTOGRAM: u32 = 3;
