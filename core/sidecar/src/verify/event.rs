//! The signed event that a proof is about.

use std::path::Path;

use alloy_primitives::B256;
use eyre::Result;
use set_ves::{EventError, SignedEvent};

use super::files;

/// Reads a signed event, as its agent wrote it or as the sequencer lists it.
pub(super) fn read(path: &Path) -> Result<SignedEvent> {
    files::read(path, &["result", "event"])
}

/// Checks the event in itself, and says how far: its payload, and its signature where the agent's key is known.
pub(super) fn check(event: &SignedEvent, agent_key: Option<&B256>) -> Result<String, EventError> {
    event.check_payload()?;
    match agent_key {
        Some(key) => {
            event.verify_signature(key)?;
            Ok(format!("the agent's, over event {}", event.event_id))
        }
        None => Ok("not checked: give the agent's key with --agent-key".to_owned()),
    }
}
