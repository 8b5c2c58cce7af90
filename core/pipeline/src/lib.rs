//! From source to report: checks, policies, plans, settlement, quarantine.
//!
//! [`Pipeline::start`] runs one task that owns the state, a ledger that does no I/O: it takes in events
//! and says what is to be done. Workers do it and bring back an event each. Nothing waits inside the
//! ledger, and nothing outside it decides.
//!
//! Nothing here needs the disk. A new run asks the source what is unreported and the chain what is
//! committed; what is in its way is looked up and compared, never assumed.

mod clock;
mod config;
mod control;
mod coordinator;
mod ledger;
mod metrics;
mod pipeline;
mod plan_check;
mod proofs;
mod seats;
mod status;
mod work;

pub use self::metrics::describe_metrics;
pub use config::{EventsRootCheck, PipelineConfig, StateRootCheck};
pub use control::{Account, AdmitError, PipelineControl};
pub use pipeline::{Parts, Pipeline, PipelineError, PipelineHandle, PipelineView};
pub use status::{
    Alarm, AlarmKind, Hold, HoldKind, MalformedEntry, PendingFilter, PipelineStatus, SourceStatus, StuckStream, Window,
};
