//! Rows of the file of kept parts.

use alloy_primitives::{B256, Keccak256};
use set_index::{ChainPosition, StoreError};

/// Bytes of a [`BlockRow`].
pub(super) const BLOCK_LEN: usize = 32 * 2 + 8 + CHECKSUM_LEN;
/// Bytes of a [`Stretch`].
pub(super) const STRETCH_LEN: usize = 8 * 3 + CHECKSUM_LEN;
const CHECKSUM_LEN: usize = 8;
/// Stands for the block of a stretch whose parts were thrown away.
const THROWN_AWAY: u64 = u64::MAX;

/// A stretch of the chain: the commitments behind `after`, up to and with `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) after: ChainPosition,
    pub(crate) to: ChainPosition,
    /// Number of the block at which they are proven; `None` once the parts were thrown away for want of room.
    pub(crate) at: Option<u64>,
}

/// A block at which something is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockRow {
    pub(crate) hash: B256,
    /// Its output root, which games claim.
    pub(crate) output_root: B256,
    /// Commitments that were proven at it.
    pub(crate) commitments: u64,
}

/// A place as the file orders it.
pub(super) const fn key(position: ChainPosition) -> (u64, u64) {
    (position.block, position.log_index)
}

impl Stretch {
    pub(super) fn encode(&self) -> [u8; STRETCH_LEN] {
        let at = self.at.unwrap_or(THROWN_AWAY);
        let numbers = [self.to.block, self.to.log_index, at].map(u64::to_be_bytes);
        sealed(&[self.after.block, self.after.log_index], numbers.as_flattened())
    }

    pub(super) fn decode(start: (u64, u64), bytes: &[u8; STRETCH_LEN]) -> Result<Self, StoreError> {
        let content = opened(&[start.0, start.1], bytes)
            .ok_or_else(|| StoreError::Damaged(format!("the stretch behind {start:?} has changed")))?;
        let mut numbers = content.chunks_exact(8).map(number);
        let [block, log_index, at] = std::array::from_fn(|_| numbers.next().unwrap_or_default());
        Ok(Self {
            after: ChainPosition {
                block: start.0,
                log_index: start.1,
            },
            to: ChainPosition { block, log_index },
            at: (at != THROWN_AWAY).then_some(at),
        })
    }
}

impl BlockRow {
    pub(super) fn encode(&self, number: u64) -> [u8; BLOCK_LEN] {
        let content = [&self.hash[..], &self.output_root[..], &self.commitments.to_be_bytes()].concat();
        sealed(&[number], &content)
    }

    pub(super) fn decode(number_: u64, bytes: &[u8; BLOCK_LEN]) -> Result<Self, StoreError> {
        let content = opened(&[number_], bytes)
            .ok_or_else(|| StoreError::Damaged(format!("the row of block {number_} has changed")))?;
        Ok(Self {
            hash: B256::from_slice(&content[..32]),
            output_root: B256::from_slice(&content[32..64]),
            commitments: number(&content[64..]),
        })
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A row's content, closed by a checksum over its key and itself: a disk that changes a byte must not change a proof.
fn sealed<const N: usize>(key: &[u64], content: &[u8]) -> [u8; N] {
    let mut row = [0; N];
    row[..N - CHECKSUM_LEN].copy_from_slice(content);
    row[N - CHECKSUM_LEN..].copy_from_slice(&checksum(key, content));
    row
}

/// The content of a row that is as it was written.
fn opened<'a, const N: usize>(key: &[u64], row: &'a [u8; N]) -> Option<&'a [u8]> {
    let (content, sum) = row.split_at(N - CHECKSUM_LEN);
    (checksum(key, content) == sum).then_some(content)
}

fn checksum(key: &[u64], content: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut hasher = Keccak256::new();
    for number in key {
        hasher.update(number.to_be_bytes());
    }
    hasher.update(content);
    let mut sum = [0; CHECKSUM_LEN];
    sum.copy_from_slice(&hasher.finalize()[..CHECKSUM_LEN]);
    sum
}
