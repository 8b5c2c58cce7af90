//! Finds, checks, loads, calls and supervises plugins.
