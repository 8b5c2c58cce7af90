//! Signers, nonces, fees, replacement and confirmation of transactions.
//!
//! [`start`] gives a [`TxMgr`] for one account and the [`TxEvent`]s of its calls. Behind it one task
//! owns the account's nonces. A call gets the next nonce, is signed, its bytes are kept in the
//! [`Journal`], and only then sent; the next call does not wait for a receipt. What is sent is
//! watched, replaced or sent again until the chain has settled it as far as
//! [`TxConfig::watch_until`] says; a reorg on the way is repaired with the very same bytes.
//!
//! An answer that leaves open whether the node has a transaction counts as sent. A call whose nonce
//! was used by something else is given back ([`TxEvent::Superseded`]): what the chain holds decides
//! what is to be planned anew. Without [`set_lease::Leadership`] nothing is signed and nothing sent.
//!
//! Several accounts of one process share a [`BlockBudget`], so that together they leave of each block
//! what [`TxConfig::max_block_share`] leaves to others.

mod block_budget;
mod block_division;
mod call;
mod classify;
mod config;
mod coordinator;
mod fees;
mod handle;
mod journal;
mod ledger;
mod metrics;
mod room;
mod signer;
mod size;
mod size_limit;
mod slot;
mod spending;
mod status;
mod sweep;
mod wei;

pub use block_budget::{BlockBudget, BlockShare, BlockShareError};
pub use call::{Call, CallId, TxEvent};
pub use config::TxConfig;
pub use handle::{StartParts, SubmitError, TxError, TxMgr, start};
pub use journal::{Journal, JournalError};
pub use metrics::describe_metrics;
pub use signer::{ClientTls, LocalKey, SignError, SignerConfig, SignerConfigError, SignerKind, TxSigner, UrlText};
pub use size::CallSize;
pub use spending::{Spending, SpendingError};
pub use status::{Alarm, AlarmKind, InFlight, TxStatus};
pub use wei::{Wei, WeiError};
