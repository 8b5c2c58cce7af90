//! The answers, as they go over the wire.
//!
//! Names are camelCase, as in Ethereum's JSON-RPC and in the contracts' ABI. What belongs to the chain
//! (block numbers, timestamps, log positions, the chain id) is a hex quantity; what belongs to commerce
//! (sequence numbers, counts) is a JSON number. Ids are UUID text where they are UUIDs, else `0x` and 64
//! digits. What is unknown is null.

mod commitment;
mod plugin;
mod proof;
mod settlement;
mod status;
mod stream;
mod version;

pub use commitment::{CommitmentAnswer, PageAnswer};
pub use plugin::PluginAnswer;
pub use proof::{CheckAnswer, InclusionProofAnswer, VerifyInclusionAnswer};
pub use settlement::{ClaimAnswer, L1BlockAnswer, SettlementLevel};
pub use status::{BlockAnswer, ChainAnswer, EndpointAnswer, IndexAnswer, OpNodeAnswer, StatusAnswer};
pub use stream::{IndexedHeadAnswer, StreamHeadAnswer};
pub use version::{MethodAnswer, ParamAnswer, VersionAnswer};
