//! What tests share: a chain, a development sequencer, faults. For tests and demonstrations only;
//! nothing here is safe or meant to run in production.
//!
//! - [`Anvil`] is a chain, and [`deploy()`] puts the contracts on it.
//! - [`OpStack`] is the real thing: op-geth, op-node, an L1, and what settles the chain there.
//! - [`Sequencer`] behaves as the stateset-sequencer's anchoring API, with switches for its faults.
//!   The program `dev-sequencer` is the same behind a command line.
//! - [`RpcProxy`] stands before a node and breaks, delays or falsifies what passes.
//! - [`Postgres`] is a database server, and [`TcpProxy`] cuts or stalls the connections to it.
//! - [`Program`] and [`Process`] run a program under a test's control, on a [`ReservedPort`] where it takes one by number.
//! - [`Stack`] is all of it together, with the real sidecar beside it.
//!
//! Everything listens on the loopback interface, on free ports, and ends when it is dropped.

pub mod anvil;
mod connections;
mod contracts;
pub mod op_stack;
mod port;
mod postgres;
pub mod process;
mod rpc;
pub mod rpc_proxy;
pub mod sequencer;
mod serve;
mod stack;
mod tcp_proxy;

pub use anvil::{Anvil, AnvilError};
pub use connections::connections;
pub use contracts::{Contracts, DeployError, deploy, deploy_on};
pub use op_stack::{OpStack, OpStackError};
pub use port::ReservedPort;
pub use postgres::{Postgres, PostgresError};
pub use process::{Process, ProcessError, Program};
pub use rpc::{Rpc, RpcFailure};
pub use rpc_proxy::{Action, Gate, RpcProxy, Rule};
pub use sequencer::Sequencer;
pub use stack::{Sidecar, SidecarBuilder, Stack, StackError};
pub use tcp_proxy::TcpProxy;

/// Installs the TLS implementation that every HTTP client needs. Whatever starts something here does
/// it too; calling it again changes nothing.
pub fn init() {
    set_chain::install_tls();
}
