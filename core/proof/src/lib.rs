//! One proof from a commerce event to Ethereum.

pub mod slots;
