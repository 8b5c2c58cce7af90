//! Domain-separated SHA-256.

use alloy_primitives::B256;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Hashes `domain` and then each part, without separators: every part has a fixed length, or carries
/// its own (see [`Transcript::text`]).
pub(crate) struct Transcript(Sha256);

impl Transcript {
    pub(crate) fn new(domain: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(domain.as_bytes());
        Self(hasher)
    }

    pub(crate) fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.update(bytes.as_ref());
        self
    }

    pub(crate) fn uuid(self, uuid: Uuid) -> Self {
        self.bytes(uuid.as_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.bytes(value.to_be_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.bytes(value.to_be_bytes())
    }

    /// A text with its byte length before it. A text longer than u32 can say cannot occur: no event
    /// that large passes any body limit.
    pub(crate) fn text(self, text: &str) -> Self {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.u32(length).bytes(text)
    }

    pub(crate) fn finish(self) -> B256 {
        B256::from_slice(&self.0.finalize())
    }
}

/// The tree's leaf for one signed event at its place in the stream.
pub fn leaf_hash(tenant: Uuid, store: Uuid, sequence: u64, signing_hash: B256, agent_signature: &[u8; 64]) -> B256 {
    Transcript::new("VES_LEAF_V1")
        .uuid(tenant)
        .uuid(store)
        .u64(sequence)
        .bytes(signing_hash)
        .bytes(agent_signature)
        .finish()
}
