//! Signers, nonces, fees, replacement and confirmation of transactions.

mod call;
mod config;
mod signer;
mod status;
mod wei;

pub use call::{Call, CallId, TxEvent};
pub use config::{ConfigProblem, TxConfig};
pub use signer::{LocalKey, SignError, SignerConfig, SignerConfigError, TxSigner};
pub use status::{Alarm, AlarmKind, InFlight, TxStatus};
pub use wei::{Wei, WeiError};
