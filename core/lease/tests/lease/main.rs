//! Leases as operators keep them: in files, and in a real PostgreSQL server.

#![allow(clippy::unwrap_used)]

mod cluster;
mod file;
mod holder;
mod pair;
mod postgres;
