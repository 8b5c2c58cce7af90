//! The JSON-RPC namespace set_, health and metrics.
