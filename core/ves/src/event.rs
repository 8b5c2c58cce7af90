//! Signed commerce events, as agents make them.

use alloy_primitives::{B256, hex};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::hash::{Transcript, leaf_hash};

/// An event with its agent's signature: what a leaf of a batch's tree stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedEvent {
    /// Version of the hashing scheme; 1 here.
    pub ves_version: u32,
    /// The event.
    pub event_id: Uuid,
    /// The stream's tenant.
    pub tenant_id: Uuid,
    /// The stream's store.
    pub store_id: Uuid,
    /// Who made the event.
    pub source_agent_id: Uuid,
    /// Which of the agent's keys signed it.
    pub agent_key_id: u32,
    /// What the event is about, such as `order`.
    pub entity_type: String,
    /// Which one.
    pub entity_id: String,
    /// What happened, such as `order.created`.
    pub event_type: String,
    /// When, as the agent wrote it: the text itself is hashed.
    pub created_at: String,
    /// 0: plaintext payload.
    pub payload_kind: u32,
    /// The payload, where it is in clear and was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Hash of the payload in clear.
    pub payload_plain_hash: B256,
    /// Hash of the encrypted payload; zero for plaintext events.
    pub payload_cipher_hash: B256,
    /// The agent's Ed25519 signature of the signing hash: 64 bytes in hex.
    #[serde(with = "signature_hex")]
    pub agent_signature: [u8; 64],
}

/// Why a signed event proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Another hashing scheme.
    #[error("`ves_version` is {0}; only version 1 is known")]
    Version(u32),
    /// The payload is not the one that was signed.
    #[error("`payload` hashes to {computed}, but `payload_plain_hash` is {expected}")]
    Payload {
        /// Hash of the payload given.
        computed: B256,
        /// Hash that the event claims.
        expected: B256,
    },
    /// The payload has no canonical form.
    #[error("`payload` has no canonical JSON form: {0}")]
    Canonical(#[source] serde_json::Error),
    /// The key is not an Ed25519 public key.
    #[error("the agent's public key is not an Ed25519 key")]
    Key,
    /// The signature does not verify.
    #[error("`agent_signature` is not the agent's signature of this event")]
    Signature,
}

/// Hash of a plaintext payload in its canonical form (RFC 8785).
///
/// # Errors
/// [`EventError::Canonical`] where the payload holds a number that JSON cannot say.
pub fn payload_plain_hash(payload: &Value) -> Result<B256, EventError> {
    let canonical = serde_json_canonicalizer::to_vec(payload).map_err(EventError::Canonical)?;
    Ok(Transcript::new("VES_PAYLOAD_PLAIN_V1").bytes(canonical).finish())
}

impl SignedEvent {
    /// What the agent signs.
    pub fn signing_hash(&self) -> B256 {
        Transcript::new("VES_EVENTSIG_V1")
            .u32(self.ves_version)
            .uuid(self.tenant_id)
            .uuid(self.store_id)
            .uuid(self.event_id)
            .uuid(self.source_agent_id)
            .u32(self.agent_key_id)
            .text(&self.entity_type)
            .text(&self.entity_id)
            .text(&self.event_type)
            .text(&self.created_at)
            .u32(self.payload_kind)
            .bytes(self.payload_plain_hash)
            .bytes(self.payload_cipher_hash)
            .finish()
    }

    /// The leaf that stands for this event at `sequence` of its stream.
    pub fn leaf(&self, sequence: u64) -> B256 {
        leaf_hash(
            self.tenant_id,
            self.store_id,
            sequence,
            self.signing_hash(),
            &self.agent_signature,
        )
    }

    /// Checks that the payload, where it is there, is the one that the event's hash stands for.
    ///
    /// # Errors
    /// [`EventError::Version`], [`EventError::Canonical`] or [`EventError::Payload`].
    pub fn check_payload(&self) -> Result<(), EventError> {
        if self.ves_version != 1 {
            return Err(EventError::Version(self.ves_version));
        }
        let Some(payload) = &self.payload else { return Ok(()) };
        let computed = payload_plain_hash(payload)?;
        if computed != self.payload_plain_hash {
            return Err(EventError::Payload {
                computed,
                expected: self.payload_plain_hash,
            });
        }
        Ok(())
    }

    /// Checks the agent's signature (RFC 8032, strict) against a public key that the caller trusts.
    ///
    /// # Errors
    /// [`EventError::Key`] or [`EventError::Signature`].
    pub fn verify_signature(&self, public_key: &B256) -> Result<(), EventError> {
        let key = VerifyingKey::from_bytes(&public_key.0).map_err(|_| EventError::Key)?;
        let signature = Signature::from_bytes(&self.agent_signature);
        key.verify_strict(self.signing_hash().as_slice(), &signature)
            .map_err(|_| EventError::Signature)
    }
}

mod signature_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::hex;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode_prefixed(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 64], D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_| D::Error::custom("a signature is 64 bytes of hex, with or without 0x"))?;
        Ok(bytes)
    }
}
