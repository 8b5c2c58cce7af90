//! Names of the methods. Request and answer types are in `set-types`.

/// Any plugin: `null` → `null`; a refusal says what is wrong.
pub const HEALTH: &str = "health";

/// Source: `PollRequest` → `PollResponse`.
pub const POLL: &str = "poll";
/// Source: `PollStreamRequest` → `PollResponse`.
pub const POLL_STREAM: &str = "poll_stream";
/// Source: `ReportRequest` → `ReportResponse`.
pub const REPORT: &str = "report";
/// Source: `InclusionProofRequest` → `InclusionProof`.
pub const INCLUSION_PROOF: &str = "inclusion_proof";

/// Policy: `EvaluateRequest` → `EvaluateResponse`.
pub const EVALUATE: &str = "evaluate";

/// Submitter: `PlanRequest` → `PlanResponse`.
pub const PLAN: &str = "plan";
/// Submitter: `SettleRequest` → `SettleResponse`.
pub const SETTLE: &str = "settle";
/// Submitter: `HeadsRequest` → `HeadsResponse`.
pub const HEADS: &str = "heads";
/// Submitter: `LookupRequest` → `LookupResponse`.
pub const LOOKUP: &str = "lookup";
/// Submitter: `null` → `LogFilter`.
pub const LOG_FILTER: &str = "log_filter";
/// Submitter: `DecodeRequest` → `DecodeResponse`.
pub const DECODE: &str = "decode";

/// What a plugin asks of the host.
pub mod host {
    /// `ChainCall` → the node's `result`. Read-only `eth_` methods that the operator allows.
    pub const CHAIN_CALL: &str = "chain_call";
    /// `KvGet` → `KvValue`. Keys are the plugin's own.
    pub const KV_GET: &str = "kv_get";
    /// `KvPut` → `null`. Durable once it is answered.
    pub const KV_PUT: &str = "kv_put";
}
