//! Real servers, asked over HTTP and WebSocket.

#![allow(clippy::unwrap_used)]

mod admin;
mod fixture;
mod health;
mod namespace;
mod on_chain;
mod plugins;
mod settlement_proof;
mod transport;
