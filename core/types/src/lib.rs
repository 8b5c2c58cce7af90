//! The domain's words, shared by every crate and by every plugin.
//!
//! A *commitment* says that a batch of commerce events happened: a Merkle root over the events, the
//! state root before and after, and the range of sequence numbers. Commitments form one chain per
//! *stream* (a tenant's store). A *source* lists them, *policies* judge them, a *submitter* turns them
//! into *candidate calls*, and once the chain holds them a *receipt* goes back to the source.
//!
//! The types here are data only: no I/O, no clock, no configuration. Their serde form is the wire
//! form of the plugin protocol (see `set-plugin-abi`) and the base of the JSON-RPC's answers.

mod call;
mod commitment;
mod config;
mod id;
mod plugin;
mod policy;
mod proof;
mod report;
mod source;
mod stage;
mod stream;

pub use call::{
    CallLimits, CandidateCall, CommittedLog, DecodeRequest, DecodeResponse, Exclusion, HeadsRequest, HeadsResponse,
    Log, LogFilter, LookupRequest, LookupResponse, PlanRequest, PlanResponse, RecordedCommitment, SettleOutcome,
    SettleRequest, SettleResponse, Settlement, StreamOpened,
};
pub use commitment::{Commitment, Malformation};
pub use config::ConfigProblem;
pub use id::{BatchId, IdError, StoreId, TenantId};
pub use plugin::{ChainCall, Descriptor, KvGet, KvPut, KvValue, PluginKind, ProtocolRange, Refusal};
pub use policy::{
    EvaluateRequest, EvaluateResponse, FeeContext, PolicyContext, Sponsorship, StreamBacklog, Subject, Verdict,
};
pub use proof::{InclusionProof, InclusionProofRequest};
pub use report::{AnchorReceipt, ReportOutcome, ReportRequest, ReportResponse, ReportStatus};
pub use source::{Malformed, PollRequest, PollResponse, PollStreamRequest};
pub use stage::{PendingCommitment, PendingCursor, Stage};
pub use stream::{StreamHead, StreamId};

pub use alloy_primitives;
pub use jiff::Timestamp;
