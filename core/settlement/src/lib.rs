//! How far Ethereum has settled the chain: safe heads, dispute games, and proofs that are kept.
//!
//! - [`Settlement`] follows op-node's safe head and the dispute games on L1, and says of a block which L1 block made it
//!   safe and which game claims it. A game counts only if it claims the output root of this node's own block.
//! - [`l1`] asks L1's contracts what a game is worth.
//! - [`capture`] keeps what proves commitments to a game's claim, before the nodes forget it.
//!
//! Nothing here is sent to anybody, and nothing waits for it: where op-node or L1 is away, less is known.

pub mod capture;
mod claim;
mod game_book;
mod games;
pub mod l1;
mod lag;
mod metrics;
mod safe_heads;
mod settlement;
mod store;

pub use claim::{Claim, ClaimStatus, PassedOver};
pub use games::{GamesView, L1Access};
pub use lag::{Alarm, AlarmKind, Lag, Lags};
pub use metrics::describe_metrics;
pub use settlement::{Settled, Settlement, SettlementSettings, SettlementView, StepsView};
