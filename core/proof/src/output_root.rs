//! Output roots: what dispute games claim of an L2 block.

use alloy_consensus::Header;
use alloy_primitives::{B256, FixedBytesSliceExt, keccak256};
use serde::{Deserialize, Serialize};

/// What an output root is the hash of (OP Stack specification, "L2 output root proposals": `OutputRootProof`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputRoot {
    /// Version of this preimage; zero is the only one.
    pub version: B256,
    /// State root of the L2 block.
    pub state_root: B256,
    /// Storage root of the predeploy `L2ToL1MessagePasser`.
    pub message_passer_storage_root: B256,
    /// Hash of the L2 block.
    pub latest_blockhash: B256,
}

impl OutputRoot {
    /// The output root of a block from Isthmus on, whose header has the message passer's storage root in place of a
    /// withdrawals root; `None` for a header without one.
    pub fn of(header: &Header) -> Option<Self> {
        Some(Self {
            version: B256::ZERO,
            state_root: header.state_root,
            message_passer_storage_root: header.withdrawals_root?,
            latest_blockhash: header.hash_slow(),
        })
    }

    /// `keccak256(version ‖ state root ‖ message passer's storage root ‖ block hash)`.
    pub fn hash(&self) -> B256 {
        keccak256(
            [
                self.version,
                self.state_root,
                self.message_passer_storage_root,
                self.latest_blockhash,
            ]
            .as_flattened(),
        )
    }
}
