//! The namespace `admin_`: what changes a running sidecar, on a listener of its own.
//!
//! It listens on a loopback address only, and every request carries a token as the engine API asks for it
//! (execution-apis, "Authentication"): HS256 with a secret of 32 bytes from a file, `iat` within 60 s, in
//! `Authorization: Bearer …`. There is no WebSocket and no batch.
//!
//! | method | parameters | answers |
//! | --- | --- | --- |
//! | `admin_accounts` | | each sending account: its signer, its role, its state, what it has in flight |
//! | `admin_reload` | | what changed; the configuration is read again, as SIGHUP does |
//! | `admin_dismissConflict` | `batchId` | whether there was such a conflict; its alarm ends for good |
//!
//! Errors are those of `set_`, and -39011 `faulty_configuration`: nothing was changed, the message says why.

mod authentication;
mod method;
mod port;
mod secret;
mod server;

pub use port::{AccountAnswer, AccountRole, AccountState, Administration, FaultyConfiguration, ReloadAnswer};
pub use secret::{AdminSecret, SecretError};
pub use server::AdminServer;
