//! What calls cost.
//!
//! A call is planned before its predecessors are in a block, so the node cannot estimate it; the model
//! does. Its numbers are receipts of the registry behind its proxy, rounded up so far that a sequencer
//! which is not the lead one (2,100 more a call) fits in; a test holds them against the contract. Streams
//! that are bound to a sequencer cost more than it says: rare, and a margin's matter.

use set_plugin_sdk::prelude::{BatchId, Commitment};

use crate::calldata::{BATCH_BYTES, CALL_BYTES, RUN_BYTES};

/// Of any transaction.
const TRANSACTION: u64 = 21_000;
/// Of calldata: a byte that is zero, and one that is not (EIP-2028).
const ZERO_BYTE: u64 = 4;
const NONZERO_BYTE: u64 = 16;

/// `commitBatches`: proxy, authorisation, counters.
const CALL: u64 = 12_000;
/// Creating a data contract, of which each holds at most so many bytes.
const DATA_CONTRACT: u64 = 38_500;
const DATA_CONTRACT_BYTES: u64 = 24_566;
/// Bytes that a commitment and a run take in data contracts.
const ENTRY_BYTES: u64 = 68;
const ROOT_BYTES: u64 = 32;
/// A run: reading and moving the stream's head.
const RUN: u64 = 16_800;
/// The same, where the stream gets its first head.
const OPENING: u64 = 16_200;
/// A run of ids that are no UUIDs: the last one needs a slot of its own, fresh or used before.
const LONG_ID_OPENING: u64 = 22_300;
const LONG_ID: u64 = 5_400;
/// A commitment: its locator slot, its entry, its event.
const COMMITMENT: u64 = 41_000;

/// `commitBatch`, calldata and what a proxy keeps back included, of any registry: of a stream that is open,
/// of one that is not. The public registry is the dearer one.
const SINGLE: u64 = 124_000;
const SINGLE_OPENING: u64 = 136_500;
/// The same with an id that is no UUID.
const SINGLE_LONG_ID: u64 = 28_000;

/// Adds up what a `commitBatches` call costs, commitment by commitment.
#[derive(Debug, Clone)]
pub(crate) struct BulkCost {
    gas: u64,
    data_contract_bytes: u64,
    calldata_bytes: usize,
}

impl BulkCost {
    /// A call without commitments.
    pub(crate) const fn new() -> Self {
        Self {
            // The selector and the list's offset and length have six bytes at most that are not zero.
            gas: TRANSACTION + CALL + CALL_BYTES as u64 * ZERO_BYTE + 8 * (NONZERO_BYTE - ZERO_BYTE),
            data_contract_bytes: 0,
            calldata_bytes: CALL_BYTES,
        }
    }

    /// One more run; `opening` where its stream has no head yet. Its first commitment follows.
    pub(crate) fn add_run(&mut self, first: &Commitment, opening: bool) {
        let words = [
            first.tenant_id.to_b256(),
            first.store_id.to_b256(),
            first.prev_state_root,
        ];
        // The rest are small numbers: offsets, a length, a sequence number.
        let numbers = RUN_BYTES - 3 * 32;
        self.gas += RUN + words.iter().map(|word| calldata_gas(word.as_slice())).sum::<u64>();
        self.gas += numbers as u64 * ZERO_BYTE + (3 * 3 + 8) * (NONZERO_BYTE - ZERO_BYTE);
        self.gas += match (opening, is_uuid(first.batch_id)) {
            (true, true) => OPENING,
            (true, false) => OPENING + LONG_ID_OPENING,
            (false, true) => 0,
            (false, false) => LONG_ID,
        };
        self.data_contract_bytes += ROOT_BYTES;
        self.calldata_bytes += RUN_BYTES;
    }

    /// One more commitment in the run that was added last.
    pub(crate) fn add_commitment(&mut self, commitment: &Commitment) {
        let words = [
            commitment.batch_id.to_b256(),
            commitment.events_root,
            commitment.new_state_root,
        ];
        self.gas += COMMITMENT + words.iter().map(|word| calldata_gas(word.as_slice())).sum::<u64>();
        self.gas += calldata_gas(&commitment.event_count.to_be_bytes()) + 28 * ZERO_BYTE;
        self.data_contract_bytes += ENTRY_BYTES;
        self.calldata_bytes += BATCH_BYTES;
    }

    /// The gas limit that the call needs so far: what it uses, and the 64th that the proxy keeps back from
    /// the registry (EIP-150) and does not use.
    pub(crate) const fn gas(&self) -> u64 {
        let used = self.gas + DATA_CONTRACT * self.data_contract_bytes.div_ceil(DATA_CONTRACT_BYTES);
        used + used.div_ceil(63)
    }

    /// The call's calldata so far, in bytes.
    pub(crate) const fn calldata_bytes(&self) -> usize {
        self.calldata_bytes
    }
}

/// What a `commitBatch` costs; `opening` where the stream has no head yet.
pub(crate) fn single(commitment: &Commitment, opening: bool) -> u64 {
    let long_id = if is_uuid(commitment.batch_id) {
        0
    } else {
        SINGLE_LONG_ID
    };
    long_id + if opening { SINGLE_OPENING } else { SINGLE }
}

/// `gas` and so many percent of it.
pub(crate) const fn with_margin(gas: u64, percent: u32) -> u64 {
    gas + (gas * percent as u64).div_ceil(100)
}

fn calldata_gas(bytes: &[u8]) -> u64 {
    let price = |byte: &u8| if *byte == 0 { ZERO_BYTE } else { NONZERO_BYTE };
    bytes.iter().map(price).sum()
}

fn is_uuid(id: BatchId) -> bool {
    id.to_uuid().is_some()
}
