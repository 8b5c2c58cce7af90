//! Source plugin: the stateset-sequencer's HTTP API.
