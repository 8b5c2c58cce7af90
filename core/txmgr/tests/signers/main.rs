//! Signers outside this process, each against a real server that signs with a real key.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pki;
mod remote;
mod service;
