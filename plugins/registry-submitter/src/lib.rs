//! Submitter plugin: commitments as SetRegistry calls.
