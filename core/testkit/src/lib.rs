//! What tests share: a chain, a development sequencer, faults.
